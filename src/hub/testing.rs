//! What the tests of several parts of the hub begin with.

use super::{Epoch, Frame, Hub, HubConfig, Numbering, Place, Policy};
use crate::channel::topic::Topic;

/// A message of one byte.
pub(super) struct Byte;

impl Frame for Byte {
    fn len(&self, _: Place<'_>) -> usize {
        1
    }

    fn write(&self, _: Place<'_>, out: &mut Vec<u8>) {
        out.push(0);
    }
}

/// A hub whose channels have the default policy and all one epoch.
pub(super) fn plain_hub(config: HubConfig) -> Hub {
    let policies = Box::new(|_: Topic<'_>| Policy::default());
    let numbering = |_: Topic<'_>| Numbering::Hub(Epoch::from_random([0; 12]));
    Hub::new(config, policies, Box::new(numbering))
}

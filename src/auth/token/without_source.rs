//! What stands for `source` in a build without the feature `jwks`.

use std::time::Duration;

use super::keys::KeySet;

/// There are none.
pub(crate) enum KeySource {}

impl KeySource {
    /// # Errors
    /// Always.
    pub(crate) fn start(_: &str, _: impl Fn() + Send + 'static) -> Result<Self, String> {
        Err("this build fetches no keys: build it with the feature `jwks`".into())
    }

    pub(crate) fn wanted(&self) {
        match *self {}
    }

    pub(crate) fn poll(&self) -> Option<KeySet> {
        match *self {}
    }

    pub(crate) fn wait(&self, _: Duration) -> Option<KeySet> {
        match *self {}
    }
}

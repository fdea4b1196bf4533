//! A server's endpoint as bytes, for the process that goes on with its connection, and back.

use super::{Endpoint, Inbound, Role};
use crate::snapshot::{Damaged, Reader, put_bool};
use crate::ws::partial::Partial;

impl Endpoint {
    /// Appends all that it is. What was handed out and is still kept is not among it.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        for is_so in [self.deflate, self.check_utf8, self.close_sent] {
            put_bool(out, is_so);
        }
        out.push(match self.inbound {
            Inbound::Open => 0,
            Inbound::Closed => 1,
            Inbound::Failed => 2,
        });
        let partial = self.partial.as_ref().filter(|partial| !partial.is_spent());
        put_bool(out, partial.is_some());
        if let Some(partial) = partial {
            partial.save(out);
        }
    }

    /// A server's endpoint, as it was saved.
    ///
    /// # Errors
    /// The bytes are not those of one.
    pub(crate) fn restore(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let (deflate, check_utf8, close_sent) = (reader.bool()?, reader.bool()?, reader.bool()?);
        let inbound = match reader.byte()? {
            0 => Inbound::Open,
            1 => Inbound::Closed,
            2 => Inbound::Failed,
            _ => return Err(Damaged("an endpoint is neither open nor closed")),
        };
        let partial = match reader.bool()? {
            true => Some(Box::new(Partial::restore(reader)?)),
            false => None,
        };
        Ok(Endpoint {
            partial,
            role: Role::Server,
            deflate,
            check_utf8,
            inbound,
            close_sent,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::deflate::Inflater;
    use super::super::super::encode::{write_message, write_ping};
    use super::super::super::frame::{Opcode, write_frame};
    use super::super::Event;
    use super::*;

    /// What an endpoint makes of bytes.
    fn receive(endpoint: &mut Endpoint, bytes: &[u8], events: &mut Vec<String>) {
        let (mut input, mut pos) = (bytes.to_vec(), 0);
        let mut inflater = Inflater::new();
        let end = input.len();
        loop {
            match endpoint.receive(&mut input, &mut pos, end, 100_000, &mut inflater) {
                Ok(Some(Event::Message { text, data })) => events.push(format!("{text} {data:?}")),
                Ok(Some(event)) => events.push(format!("{event:?}")),
                Ok(None) => return,
                Err(violation) => return events.push(format!("{violation:?}")),
            }
        }
    }

    fn handed_over(endpoint: &Endpoint) -> Endpoint {
        let mut out = Vec::new();
        endpoint.save(&mut out);
        let mut reader = Reader::new(&out);
        let endpoint = Endpoint::restore(&mut reader).expect("it is one");
        reader.end().expect("nothing is left");
        endpoint
    }

    /// Messages whole and in fragments, with a ping between them, from a client.
    fn stream(text: &str) -> Vec<u8> {
        let mask = Some([7, 1, 200, 9]);
        let mut out = Vec::new();
        write_message(&mut out, true, text.as_bytes(), mask);
        let (one, other) = text.as_bytes().split_at(text.len() / 2);
        write_frame(&mut out, false, false, Opcode::Text, one, mask);
        write_ping(&mut out, b"ping", mask);
        write_frame(&mut out, true, false, Opcode::Continuation, other, mask);
        write_message(&mut out, false, &[5; 300], mask);
        out
    }

    proptest! {
        #[test]
        fn an_endpoint_goes_on_wherever_its_bytes_were_cut(text in ".{0,80}", cut in any::<prop::sample::Index>(), check_utf8: bool) {
            let bytes = stream(&text);
            let (one, other) = bytes.split_at(cut.index(bytes.len()));
            let mut whole = Vec::new();
            receive(&mut Endpoint::new(Role::Server, false, check_utf8), &bytes, &mut whole);
            let mut cut = Vec::new();
            let mut before = Endpoint::new(Role::Server, false, check_utf8);
            receive(&mut before, one, &mut cut);
            let mut after = handed_over(&before);
            prop_assert_eq!(after.mid_message(), before.mid_message());
            receive(&mut after, other, &mut cut);
            prop_assert_eq!(cut, whole);
        }

        #[test]
        fn bytes_that_are_no_endpoint_never_panic(bytes: Vec<u8>, more: Vec<u8>) {
            if let Ok(mut endpoint) = Endpoint::restore(&mut Reader::new(&bytes)) {
                receive(&mut endpoint, &more, &mut Vec::new());
            }
        }

        #[test]
        fn an_endpoint_with_changed_bytes_never_panics(at in any::<prop::sample::Index>(), to: u8, cut in any::<prop::sample::Index>(), more: Vec<u8>) {
            let bytes = stream("some text");
            let mut endpoint = Endpoint::new(Role::Server, true, true);
            receive(&mut endpoint, &bytes[..cut.index(bytes.len())], &mut Vec::new());
            let mut out = Vec::new();
            endpoint.save(&mut out);
            let at = at.index(out.len());
            out[at] = to;
            if let Ok(mut endpoint) = Endpoint::restore(&mut Reader::new(&out)) {
                receive(&mut endpoint, &more, &mut Vec::new());
            }
        }
    }
}

//! A body that goes on as bytes, for the process that makes the rest of it, and back.

use super::{Batch, Body, Messages, Publications, What};
use crate::auth::rates::Key;
use crate::server::connection::snapshot::{Restoring, Saving};
use crate::server::gate::Gate;
use crate::snapshot::{Damaged, Reader, put, put_bool, put_bytes, put_len};

impl Body {
    /// Whether another process can make the rest of it.
    pub(in crate::server::connection) fn can_be_saved(&self) -> bool {
        matches!(&self.what, What::Messages(_) | What::Publications(_))
    }

    /// Appends what is still to be made, if that can be saved.
    pub(in crate::server::connection) fn save(&self, saving: &Saving<'_>, out: &mut Vec<u8>) {
        saving.save_access(&self.access, out);
        put(out, self.until);
        put_bool(out, self.is_chunked);
        put_bool(out, self.keep_alive);
        if let What::Messages(messages) = &self.what {
            out.push(0);
            saving.save_channel(messages.channel, out);
            put_bytes(out, &messages.head);
            for number in [messages.position, messages.until, messages.left] {
                put(out, number);
            }
            put_bool(out, messages.is_begun);
        } else if let What::Publications(publications) = &self.what {
            out.push(1);
            put_bytes(out, &publications.text);
            let (at, state) = publications.batch.place();
            put_len(out, at);
            out.push(state);
            match publications.key {
                Some(key) => key.save(out),
                None => out.push(0),
            }
            put_bool(out, publications.is_first);
        }
    }

    /// What was saved.
    ///
    /// # Errors
    /// The bytes are not those of a body.
    pub(in crate::server::connection) fn restore(
        reader: &mut Reader<'_>,
        restoring: &mut Restoring<'_>,
        gate: &Gate,
    ) -> Result<Self, Damaged> {
        let access = restoring.access_of_body(gate, reader)?;
        let until = reader.number()?;
        let (is_chunked, keep_alive) = (reader.bool()?, reader.bool()?);
        let what = match reader.byte()? {
            0 => What::Messages(Messages {
                channel: restoring.channel(reader)?,
                head: reader.bytes()?.to_vec(),
                position: reader.number()?,
                until: reader.number()?,
                left: reader.number()?,
                is_begun: reader.bool()?,
            }),
            1 => {
                let text = reader.bytes()?.to_vec();
                let place = (reader.size()?, reader.byte()?);
                let batch = Batch::go_on(place, text.len());
                What::Publications(Publications {
                    text,
                    batch: batch.ok_or(Damaged("a batch was read further than it is long"))?,
                    key: Key::restore(reader)?,
                    is_first: reader.bool()?,
                    waits: false,
                })
            }
            _ => return Err(Damaged("a body is of no kind that there is")),
        };
        let mut body = Body::new(access, what, is_chunked);
        (body.until, body.keep_alive) = (until, keep_alive);
        Ok(body)
    }
}

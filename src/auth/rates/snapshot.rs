//! What somebody may still do as bytes, for the process that goes on counting, and back.

use super::{Bucket, Key, Place, Table};
use crate::snapshot::{Damaged, Reader, put, put_bool, put_len};

impl Key {
    /// Appends the key of an address. That of a name is another one in each process, and is not written: it says whether it wrote anything.
    pub(crate) fn save(self, out: &mut Vec<u8>) {
        match self {
            Key::V4(address) => {
                out.push(4);
                put(out, address.into());
            }
            Key::V6(prefix) => {
                out.push(6);
                put(out, prefix);
            }
            Key::Name(_) => out.push(0),
        }
    }

    /// The key of an address; `None`: it was none.
    ///
    /// # Errors
    /// The bytes are not those of one.
    pub(crate) fn restore(reader: &mut Reader<'_>) -> Result<Option<Key>, Damaged> {
        match reader.byte()? {
            0 => Ok(None),
            4 => Ok(Some(Key::V4(reader.small()?))),
            6 => Ok(Some(Key::V6(reader.number()?))),
            _ => Err(Damaged("an address is of no kind that there is")),
        }
    }
}

impl Bucket {
    /// Appends what is in it.
    pub(crate) fn save(self, out: &mut Vec<u8>) {
        put(out, self.full_at);
    }

    /// What was saved.
    ///
    /// # Errors
    /// The bytes are not those of one.
    pub(crate) fn restore(reader: &mut Reader<'_>) -> Result<Bucket, Damaged> {
        let full_at = reader.number()?;
        Ok(Bucket { full_at })
    }
}

impl Table {
    /// Appends the buckets of addresses that are not full.
    pub(crate) fn save(&self, now_ms: u64, out: &mut Vec<u8>) {
        let own = self
            .buckets
            .iter()
            .filter_map(|(place, bucket)| match place {
                Place::Own(key @ (Key::V4(_) | Key::V6(_))) if !bucket.is_full(now_ms) => {
                    Some((*key, *bucket))
                }
                _ => None,
            });
        let own: Vec<_> = own.collect();
        put_len(out, own.len());
        for (key, bucket) in own {
            key.save(out);
            bucket.save(out);
        }
    }

    /// Takes what was saved.
    ///
    /// # Errors
    /// The bytes are not those of buckets.
    pub(crate) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        for_each_bucket(reader, |key, bucket| {
            let place = Place::Own(key);
            if self.own < self.capacity && self.buckets.insert(place, bucket).is_none() {
                self.own += 1;
            }
        })
    }

    /// Appends the buckets of a table that may not be there.
    pub(crate) fn save_any(table: Option<&Table>, now_ms: u64, out: &mut Vec<u8>) {
        put_bool(out, table.is_some());
        if let Some(table) = table {
            table.save(now_ms, out);
        }
    }

    /// Takes what [`Table::save_any`] has written, if there is a table for it.
    ///
    /// # Errors
    /// The bytes are not those of buckets.
    pub(crate) fn restore_any(
        table: Option<&mut Table>,
        reader: &mut Reader<'_>,
    ) -> Result<(), Damaged> {
        match (reader.bool()?, table) {
            (false, _) => Ok(()),
            (true, Some(table)) => table.restore(reader),
            (true, None) => for_each_bucket(reader, |_, _| {}),
        }
    }
}

fn for_each_bucket(
    reader: &mut Reader<'_>,
    mut what: impl FnMut(Key, Bucket),
) -> Result<(), Damaged> {
    for _ in 0..reader.number()? {
        let (key, bucket) = (Key::restore(reader)?, Bucket::restore(reader)?);
        what(key.ok_or(Damaged("an address is missing"))?, bucket);
    }
    Ok(())
}

//! A delta for who has a file of which the service knows nothing but the signature.

use std::io::{self, BufRead, BufReader, Read};

use lob_store::LobId;
use lob_store::delta::Signature;

use super::Served;
use crate::remote::{Remote, Result};
use crate::wire::message::SIGNATURE_MAX;
use crate::wire::{Body, FieldReader, Rolled, Tag, Verb, WireError};

impl Served {
    pub(super) fn rolled(
        &self,
        lob: &LobId,
        signature: &Signature,
        most: u64,
        take: &mut dyn FnMut(&mut dyn BufRead) -> Result<()>,
    ) -> Result<bool> {
        let asked = Rolled {
            store: self.store,
            lob: *lob.as_bytes(),
            most,
            signature: signature.to_bytes(),
        };
        if asked.signature.len() > SIGNATURE_MAX {
            return Ok(false);
        }
        let body = asked.encode().map_err(|error| self.unasked(error))?;
        let answer = self.exchange.exchange(Verb::Delta, Body::Bytes(body));
        let mut answer = answer.map_err(|error| super::of_exchange(self.describe(), error))?;
        let mut parts = Parts {
            from: FieldReader::new(&mut answer),
            part: io::Cursor::default(),
            left: most,
            failed: None,
        };
        // So that it is known whether there is one before anybody reads it.
        let first = parts.next().map_err(|error| self.failed(error))?;
        if !first {
            return Ok(false);
        }
        let mut parts = BufReader::new(parts);
        let taken = take(&mut parts);
        match parts.into_inner().failed {
            Some(error) => Err(self.failed(error)),
            None => taken.map(|()| true),
        }
    }
}

/// The bytes of a delta, as its parts come.
struct Parts<'r> {
    from: FieldReader<'r>,
    part: io::Cursor<Vec<u8>>,
    left: u64,
    failed: Option<WireError>,
}

impl Parts<'_> {
    /// Whether there is another part.
    fn next(&mut self) -> std::result::Result<bool, WireError> {
        let Some((_, bytes)) = self.from.next(&[Tag::Delta])? else {
            return Ok(false);
        };
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left =
            left.ok_or_else(|| WireError::Bad("a longer delta than was asked for".into()))?;
        self.part = io::Cursor::new(bytes);
        Ok(true)
    }
}

impl Read for Parts<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.part.read(buffer)? {
                0 if !buffer.is_empty() => {}
                read => return Ok(read),
            }
            match self.next() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) => {
                    let text = error.to_string();
                    self.failed = Some(error);
                    return Err(io::Error::other(text));
                }
            }
        }
    }
}

//! Reading fields from bytes that came from outside: every length is checked before it is used.

use crate::error::{Error, Result};
use crate::id::ID_LEN;

/// A cursor over untrusted bytes. All numbers are little-endian.
pub(crate) struct Decoder<'a> {
    what: &'a str,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Decodes `bytes`, which are called `what` in errors.
    pub(crate) fn new(what: &'a str, bytes: &'a [u8]) -> Self {
        Decoder { what, rest: bytes }
    }

    /// An error about the object at hand.
    pub(crate) fn bad(&self, why: impl ToString) -> Error {
        Error::damaged(self.what, why)
    }

    /// An error about the object at hand: a later program wrote `why` there.
    pub(crate) fn later(&self, why: impl ToString) -> Error {
        Error::Later {
            what: self.what.to_string(),
            why: why.to_string(),
        }
    }

    /// A version, which must be `known`.
    pub(crate) fn version(&mut self, known: u16) -> Result<()> {
        match self.u16()? {
            version if version == known => Ok(()),
            version if version > known => Err(self.later(format!("version {version}"))),
            version => Err(self.bad(format!("impossible version {version}"))),
        }
    }

    /// The next `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or_else(|| self.bad(format!("{} bytes where {n} must follow", self.rest.len())))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Two bytes.
    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Sixteen bytes.
    pub(crate) fn bytes16(&mut self) -> Result<[u8; 16]> {
        self.array()
    }

    /// The bytes of an id.
    pub(crate) fn id(&mut self) -> Result<[u8; ID_LEN]> {
        self.array()
    }

    /// A count of items of `size` bytes each, refused unless that many bytes are still there: so
    /// nothing is ever reserved for items that cannot come.
    pub(crate) fn count(&mut self, size: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        match count.checked_mul(size) {
            Some(bytes) if bytes <= self.rest.len() => Ok(count),
            _ => Err(self.bad(format!(
                "a count of {count}, for which the bytes are not there"
            ))),
        }
    }

    /// Fails unless the next bytes are `magic`.
    pub(crate) fn magic(&mut self, magic: &[u8]) -> Result<()> {
        if self.take(magic.len())? == magic {
            Ok(())
        } else {
            Err(self.bad("wrong magic bytes"))
        }
    }

    /// Fails unless the next `n` bytes are zero.
    pub(crate) fn zeros(&mut self, n: usize) -> Result<()> {
        if self.take(n)?.iter().all(|&b| b == 0) {
            Ok(())
        } else {
            Err(self.bad("reserved bytes that are not zero"))
        }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Fails if anything is left.
    pub(crate) fn end(self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.bad(format!("{} bytes too many", self.rest.len())))
        }
    }
}

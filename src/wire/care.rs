//! What those say to a service who look after its stores, and what it tells while it works.
//!
//! An answer to them is a row of TOLD, each a JSON object, as they come to be. Between them PROGRESS says
//! that the work goes on, so that nobody takes a long silence for a broken connection.

mod cleaning;
mod finding;
mod text;

use std::io;

use lob_store::Progress;
use lob_store::fsck::Depth;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::field::{FieldReader, FieldWriter, Tag, WireError};
pub use cleaning::{Cleaned, Cleaning, End, Freed, Listener, NEEDED_MAX, Order, Planned};
pub use cleaning::{Stays, Sum, Unknown};
pub use finding::Examination;

/// Says in [`super::Welcome::can`] that stores are looked after.
pub const CAN_CARE: &str = "care";

/// What stands for reading everything, in place of a share.
const DEEP: u8 = 255;

/// A request to examine a store. It names none, since one that is damaged may not know its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examining {
    /// How much is read.
    pub depth: Depth,
}

impl Examining {
    /// The whole request.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let (share, seed) = match self.depth {
            Depth::Quick => (0, 0),
            Depth::Sample { percent, seed } => (percent, seed),
            Depth::Deep => (DEEP, 0),
        };
        let mut to = FieldWriter::new(Vec::new());
        to.field(Tag::Depth, &[&[share], &seed.to_le_bytes()])?;
        to.end()
    }

    /// Reads a request.
    pub fn read(from: &mut dyn io::Read) -> Result<Examining, WireError> {
        let mut from = FieldReader::new(from);
        let found = from.next(&[Tag::Depth])?;
        from.end()?;
        let bytes = found.map(|(_, bytes)| bytes).unwrap_or_default();
        let bad = || WireError::bad("it does not say how much is to be read");
        let (&share, seed) = bytes.split_first().ok_or_else(bad)?;
        let seed = u64::from_le_bytes(seed.try_into().map_err(|_| bad())?);
        let depth = match share {
            0 => Depth::Quick,
            DEEP => Depth::Deep,
            percent if percent <= 100 => Depth::Sample { percent, seed },
            _ => return Err(bad()),
        };
        Ok(Examining { depth })
    }
}

/// Writes one thing of an answer.
pub fn write_told(to: &mut FieldWriter<impl io::Write>, told: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(told).map_err(io::Error::other)?;
    to.field(Tag::Told, &[&json])
}

/// Reads an answer to its end, and calls `each` with what it tells; `progress` hears of bytes as they are
/// dealt with there.
///
/// # Errors
/// Of the answer, or what `each` returns.
pub fn each_told<T: DeserializeOwned>(
    from: &mut FieldReader<'_>,
    progress: &dyn Progress,
    mut each: impl FnMut(T) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut moved = 0;
    while let Some((tag, bytes)) = from.next(&[Tag::Told, Tag::Progress])? {
        if tag == Tag::Told {
            let told = serde_json::from_slice(&bytes);
            each(told.map_err(|error| WireError::bad(format!("it tells what is none: {error}")))?)?;
            continue;
        }
        // A sign of life that is longer says more than is known here.
        let now = bytes
            .first_chunk()
            .map_or(0, |now| u64::from_le_bytes(*now));
        progress.bytes(now.saturating_sub(moved));
        moved = moved.max(now);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn how_much_is_read_comes_as_it_was_said() {
        let sample = Depth::Sample {
            percent: 7,
            seed: u64::MAX,
        };
        for depth in [Depth::Quick, Depth::Deep, sample] {
            let body = Examining { depth }.encode().unwrap();
            let read = Examining::read(&mut body.as_slice()).unwrap();
            assert_eq!(read.depth, depth);
        }
        for bytes in [&[][..], &[0], &[101; 9], &[0; 8]] {
            let mut to = FieldWriter::new(Vec::new());
            to.field(Tag::Depth, &[bytes]).unwrap();
            let body = to.end().unwrap();
            assert!(Examining::read(&mut body.as_slice()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_told_comes_in_its_order_and_progress_beside_it() {
        let mut to = FieldWriter::new(Vec::new());
        for (n, moved) in [(1, 5u64), (2, 3), (3, 12)] {
            write_told(&mut to, &n).unwrap();
            to.field(Tag::Progress, &[&moved.to_le_bytes()]).unwrap();
        }
        let answer = to.end().unwrap();
        struct Sum(AtomicU64);
        impl Progress for Sum {
            fn bytes(&self, n: u64) {
                let _ = self.0.fetch_add(n, Ordering::Relaxed);
            }
        }
        let (sum, mut told) = (Sum(AtomicU64::new(0)), Vec::new());
        let mut answer = answer.as_slice();
        let read = each_told(&mut FieldReader::new(&mut answer), &sum, |n: u8| {
            told.push(n);
            Ok(())
        });
        read.unwrap();
        assert_eq!((told, sum.0.into_inner()), (vec![1, 2, 3], 12));
    }
}

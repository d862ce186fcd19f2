//! Memory that one read is done with and the next one fills: to have the system clear new pages for each
//! stretch of a lob takes a third as long as to decode it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::{SPARE_LEN, SPARE_MAX};

/// Buffers that nobody uses. What is in them is left from before.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Vec<Vec<u8>>>);

/// Bytes to be filled, which are given back when they are dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Arc<Spare>,
}

impl Spare {
    /// So many bytes, whatever they are.
    pub(super) fn buffer(self: &Arc<Spare>, len: usize) -> Buffer {
        let mut bytes = match SPARE_LEN.contains(&len) {
            // Rounded, for the next one may be a little longer.
            true => self
                .take(len)
                .unwrap_or_else(|| vec![0; len.next_multiple_of(1 << 20)]),
            false => vec![0; len],
        };
        bytes.resize(len, 0);
        let home = self.clone();
        Buffer { bytes, home }
    }

    fn take(&self, len: usize) -> Option<Vec<u8>> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let large = spare.iter().position(|bytes| bytes.capacity() >= len);
        large.map(|at| spare.swap_remove(at))
    }

    fn give(&self, bytes: Vec<u8>) {
        if SPARE_LEN.contains(&bytes.capacity()) {
            let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() == SPARE_MAX {
                let _ = spare.remove(0);
            }
            spare.push(bytes);
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_with_is_used_again_and_bounded() {
        let spare = Arc::new(Spare::default());
        let len = *SPARE_LEN.start();
        let mut first = spare.buffer(len);
        first[5] = 1;
        let place = first.as_ptr();
        drop(first);
        let second = spare.buffer(len);
        assert_eq!((second.as_ptr(), second.len()), (place, len));
        let many: Vec<_> = (0..2 * SPARE_MAX).map(|_| spare.buffer(len)).collect();
        drop((
            many,
            second,
            spare.buffer(5),
            spare.buffer(SPARE_LEN.end() + 1),
        ));
        let held = spare.0.lock().unwrap();
        assert_eq!(held.len(), SPARE_MAX);
        assert!(
            held.iter()
                .all(|bytes| SPARE_LEN.contains(&bytes.capacity()))
        );
    }
}

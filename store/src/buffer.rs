//! Memory for the stored bytes of frames, used again: gigabytes go through it, and what the system gives
//! anew for each frame it clears first, page by page.

use std::sync::{Mutex, PoisonError};

use crate::limits::FRAME_STORED_MAX;

/// Bytes that are kept for the next who needs some.
const KEPT_MAX: usize = 16 << 20;
/// Shorter ones the allocator has at hand.
const SHORTEST: usize = 64 << 10;

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    buffers: Vec::new(),
    bytes: 0,
});

struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// `len` bytes, whatever they are: all of them are to be overwritten.
pub fn take(len: usize) -> Vec<u8> {
    let mut buffer = match len < SHORTEST {
        true => Vec::new(),
        false => taken(),
    };
    // Nothing but what it was never as long as before is cleared.
    buffer.resize(len, 0);
    buffer
}

fn taken() -> Vec<u8> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let buffer = kept.buffers.pop().unwrap_or_default();
    kept.bytes -= buffer.capacity();
    buffer
}

/// Takes back what nobody needs any more.
pub fn give(buffer: Vec<u8>) {
    let bytes = buffer.capacity();
    if !(SHORTEST..=2 * FRAME_STORED_MAX).contains(&bytes) {
        return;
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.bytes + bytes <= KEPT_MAX {
        kept.bytes += bytes;
        kept.buffers.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The others of this process share what is kept, so nothing is said of where it comes from.
    #[test]
    fn it_is_as_long_as_asked_for_and_little_is_kept() {
        for len in [0, 1, SHORTEST, FRAME_STORED_MAX, SHORTEST + 1] {
            let buffer = take(len);
            assert_eq!(buffer.len(), len);
            give(buffer);
        }
        for _ in 0..100 {
            give(vec![1; FRAME_STORED_MAX]);
        }
        let kept = KEPT.lock().expect("nobody panicked");
        let bytes: usize = kept.buffers.iter().map(Vec::capacity).sum();
        assert!(bytes <= KEPT_MAX && bytes == kept.bytes, "{bytes}");
    }
}

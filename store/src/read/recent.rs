//! The frames that were decoded last: a checkout of small lobs reads the same few again and again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::id::PackId;
use crate::limits::RECENT_FRAMES_MAX;

/// A frame: its pack, and where it is in it.
type Key = (PackId, u64);

/// Decoded frames, the last one used at the back. What is in them is not verified.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<(Key, Arc<Vec<u8>>)>>);

impl Recent {
    /// The frame `key`, which `decode` makes if it is not at hand.
    pub(super) fn frame(
        &self,
        key: Key,
        decode: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Arc<Vec<u8>>> {
        if let Some(found) = self.take(&key) {
            self.put(key, found.clone());
            return Ok(found);
        }
        // Decoded outside the lock: two threads may both do it, and both be right.
        let decoded = Arc::new(decode()?);
        self.put(key, decoded.clone());
        Ok(decoded)
    }

    fn take(&self, key: &Key) -> Option<Arc<Vec<u8>>> {
        let mut frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = frames.iter().position(|(known, _)| known == key)?;
        frames.remove(at).map(|(_, frame)| frame)
    }

    fn put(&self, key: Key, frame: Arc<Vec<u8>>) {
        let mut frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frames.push_back((key, frame));
        if frames.len() > RECENT_FRAMES_MAX {
            let _ = frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_decoded_once_while_it_is_in_use() {
        let recent = Recent::default();
        let key = |n: u64| (PackId::of(b"pack"), n);
        let mut decoded = 0;
        let mut read = |n: u64| {
            let frame = recent.frame(key(n), || {
                decoded += 1;
                Ok(vec![n as u8])
            });
            assert_eq!(*frame.expect("decodes"), [n as u8]);
            decoded
        };
        assert_eq!([read(0), read(0), read(1), read(0)], [1, 1, 2, 2]);
        (2..=RECENT_FRAMES_MAX as u64).for_each(|n| assert!(read(n) > 0));
        let before = read(0);
        assert_eq!(read(1), before + 1, "the one unused for longest has gone");
    }
}

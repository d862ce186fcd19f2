//! What the services of one server share, so that many at once have no more than one.

use std::sync::atomic::{AtomicU64, Ordering};

use super::differences::Turns;
use crate::wire::{Refusal, RefusalKind};

/// What the services of one server share.
#[derive(Debug, Default)]
pub struct Shares {
    /// The turns at making differences.
    pub turns: Turns,
    /// The turns at looking after stores.
    pub care: Turns,
    /// The bytes that wait to be verified.
    pub stage: Stage,
}

impl Shares {
    /// With at most so many bytes in stages.
    pub fn with_stage(most: u64) -> Shares {
        Shares {
            turns: Turns::default(),
            care: Turns::default(),
            stage: Stage {
                most,
                taken: AtomicU64::new(0),
            },
        }
    }
}

/// Bytes of frames that came and are not part of a store yet.
#[derive(Debug)]
pub struct Stage {
    most: u64,
    taken: AtomicU64,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage {
            most: u64::MAX,
            taken: AtomicU64::new(0),
        }
    }
}

impl Stage {
    /// So many there are now.
    pub fn bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Room for one request, none of it yet. It is given back with the value.
    pub(super) fn room(&self) -> Room<'_> {
        Room {
            stage: self,
            bytes: 0,
        }
    }
}

/// The bytes of one request.
pub(super) struct Room<'s> {
    stage: &'s Stage,
    bytes: u64,
}

impl Room<'_> {
    /// Bytes that came so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes so many more.
    ///
    /// # Errors
    /// Where there would be too many: [`RefusalKind::Busy`], since it passes, unless they are all of this
    /// request.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Refusal> {
        let Stage { most, taken } = self.stage;
        let more = |taken: u64| taken.checked_add(bytes).filter(|sum| sum <= most);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(taken) if taken > self.bytes => {
                let message = format!(
                    "as many bytes as this server takes, {most}, wait to be verified; some are others'"
                );
                Err(Refusal::new(RefusalKind::Busy, message))
            }
            Err(_) => {
                let message = format!(
                    "one push may bring {most} bytes at once here (stage-bytes of lob serve); what came \
                     stays, and the same push again goes on behind it"
                );
                Err(Refusal::new(RefusalKind::TooLarge, message))
            }
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.stage.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_all_requests_together_keep_to_the_limit() {
        let shares = Shares::with_stage(100);
        let (mut one, mut two) = (shares.stage.room(), shares.stage.room());
        one.take(60).unwrap();
        two.take(40).unwrap();
        assert_eq!(shares.stage.bytes(), 100);
        assert_eq!(two.take(1).unwrap_err().kind, RefusalKind::Busy);
        drop(one);
        two.take(60).unwrap();
        let refusal = two.take(1).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::TooLarge);
        assert!(refusal.to_text().contains("stage-bytes"));
        assert_eq!(two.take(u64::MAX).unwrap_err().kind, RefusalKind::TooLarge);
        drop(two);
        assert_eq!(shares.stage.bytes(), 0);
    }
}

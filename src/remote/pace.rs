//! How fast bytes may move: one token bucket that all workers of a run share.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A limit in bytes a second, or none.
#[derive(Debug)]
pub struct Pace(Option<Bucket>);

#[derive(Debug)]
struct Bucket {
    rate: u64,
    /// When everything that was taken so far is paid for.
    paid: Mutex<Instant>,
}

/// What moves at once where nothing limits it, and the least where something does.
const PIECE: usize = 256 << 10;
const PIECE_MIN: usize = 512;

/// What may be taken at once after a pause.
const BURST: Duration = Duration::from_millis(100);

impl Pace {
    /// The limit that is set, if one is.
    pub fn of(limit: Option<u64>) -> Pace {
        limit.map_or_else(Pace::unlimited, Pace::bytes_per_second)
    }

    /// No limit.
    pub fn unlimited() -> Pace {
        Pace(None)
    }

    /// At most `rate` bytes a second, over every span much longer than a tenth of one.
    pub fn bytes_per_second(rate: u64) -> Pace {
        Pace(Some(Bucket {
            rate: rate.max(1),
            paid: Mutex::new(Instant::now()),
        }))
    }

    /// The limit, in bytes a second.
    pub fn rate(&self) -> Option<u64> {
        self.0.as_ref().map(|bucket| bucket.rate)
    }

    /// Most bytes to move at once so that some move often: who waits for them must not take a slow
    /// connection for a dead one.
    pub fn piece(&self) -> usize {
        self.rate().map_or(PIECE, |rate| {
            usize::try_from(rate / 4)
                .unwrap_or(PIECE)
                .clamp(PIECE_MIN, PIECE)
        })
    }

    /// Waits until `bytes` more may move.
    pub fn take(&self, bytes: u64) {
        if let Some(bucket) = &self.0 {
            thread::sleep(bucket.reserve(Instant::now(), bytes));
        }
    }
}

impl Bucket {
    /// Takes `bytes` at the time `now`; returns how long to wait before moving them.
    fn reserve(&self, now: Instant, bytes: u64) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        *paid = (*paid).max(earliest) + cost;
        paid.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_spreads_bytes_over_time() {
        let Pace(Some(bucket)) = Pace::bytes_per_second(1000) else {
            panic!("a limit was set");
        };
        let start = Instant::now() + Duration::from_secs(10);
        let waits: Vec<_> = (0..4).map(|_| bucket.reserve(start, 500)).collect();
        // A tenth of a second of burst, then half a second for each 500 bytes.
        let expected = [400, 900, 1400, 1900].map(Duration::from_millis);
        assert_eq!(waits, expected);
        // Debts are paid by time passing, and a long pause saves up no more than the burst.
        let later = start + Duration::from_secs(60);
        assert_eq!(bucket.reserve(later, 500), Duration::from_millis(400));
    }

    #[test]
    fn slow_bytes_move_in_small_pieces() {
        assert_eq!(Pace::unlimited().piece(), PIECE);
        for (rate, piece) in [(1, 512), (40_000, 10_000), (1 << 30, PIECE)] {
            assert_eq!(Pace::bytes_per_second(rate).piece(), piece);
        }
    }
}

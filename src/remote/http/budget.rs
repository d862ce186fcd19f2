//! How long is waited, and how often something is tried again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time limits of a client.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection, with the handshake of TLS or ssh's.
    pub connect: Duration,
    /// For the head of an answer, once the request was sent.
    pub first_byte: Duration,
    /// For any progress of a body or an answer; then another connection is tried.
    pub stall: Duration,
    /// Longest wait before the second attempt. Each further one may be twice as long.
    pub first_wait: Duration,
    /// Longest wait between two attempts.
    pub longest_wait: Duration,
    /// Time in which nothing at all moves, over all requests, until it is given up.
    pub budget: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(30),
            first_byte: Duration::from_secs(120),
            stall: Duration::from_secs(30),
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(20),
            budget: Duration::from_secs(180),
        }
    }
}

impl Patience {
    /// How long to wait after the attempt of this number, from 1: anything up to a limit that doubles, so
    /// that clients that failed together come back apart ("full jitter"). `random` is from 0 to 1.
    pub(super) fn wait(&self, attempt: u32, random: f64) -> Duration {
        let doubled = 1_u32
            .checked_shl(attempt.saturating_sub(1).min(31))
            .unwrap_or(u32::MAX);
        let most = self
            .first_wait
            .saturating_mul(doubled)
            .min(self.longest_wait);
        most.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// From 0 to 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the longest wait is as good.
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

/// What moved so far, and since when nothing does.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Duration,
    /// The first failure since something moved.
    failing_since: Mutex<Option<Instant>>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Budget {
    pub(super) fn new(limit: Duration) -> Budget {
        Budget {
            limit,
            failing_since: Mutex::default(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    pub(super) fn note_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that an answer goes on: everything is well again.
    pub(super) fn note_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        let since = self.failing_since.lock();
        *since.unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notes a failure at the time `now`; returns what is left of the time to try again.
    pub(super) fn left(&self, now: Instant) -> Duration {
        let since = self.failing_since.lock();
        let mut since = since.unwrap_or_else(PoisonError::into_inner);
        let began = *since.get_or_insert(now);
        self.limit
            .saturating_sub(now.saturating_duration_since(began))
    }

    /// Bytes of requests and of answers so far.
    pub(super) fn moved(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.sent), load(&self.received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_are_spread() {
        let patience = Patience {
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(1),
            ..Patience::default()
        };
        let full: Vec<_> = (1..7).map(|n| patience.wait(n, 1.0).as_millis()).collect();
        assert_eq!(full, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(patience.wait(3, 0.0), Duration::ZERO);
        assert_eq!(patience.wait(2, 0.5), Duration::from_millis(100));
        assert_eq!(patience.wait(u32::MAX, 1.0), Duration::from_secs(1));
        assert!((0.0..=1.0).contains(&random()));
    }

    #[test]
    fn what_moves_renews_the_budget() {
        let budget = Budget::new(Duration::from_secs(10));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(budget.left(start), Duration::from_secs(10));
        assert_eq!(budget.left(after(7)), Duration::from_secs(3));
        budget.note_received(5);
        assert_eq!(budget.left(after(9)), Duration::from_secs(10));
        budget.note_sent(7);
        assert_eq!(budget.left(after(19)), Duration::ZERO);
        assert_eq!(budget.left(after(99)), Duration::ZERO);
        assert_eq!(budget.moved(), (7, 5));
    }
}

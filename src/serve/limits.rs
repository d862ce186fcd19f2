//! What a server grants to those who ask.

use std::io;
use std::time::Duration;

/// The limits of a server. They hold whatever a peer does.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Requests that are answered at once, each by a thread; more are refused as busy.
    pub requests: usize,
    /// Bytes in the body of one request.
    pub request_bytes: u64,
    /// Bytes of all requests that came and wait to be verified.
    pub stage_bytes: u64,
    /// Bytes in the head of one request.
    pub head_bytes: usize,
    /// Time for the handshake of TLS, and for the head of a request.
    pub head: Duration,
    /// Time for any progress of a body or an answer, and how long a slow start is borne.
    pub stall: Duration,
    /// Bytes a second below which a body or an answer is given up, once waiting for it took `stall`.
    pub rate: u64,
    /// Time that a connection without a request stays open.
    pub idle: Duration,
    /// Time for requests to end when the server is to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 128,
            requests: 64,
            // A push is one request; what it brings is on disk as it comes.
            request_bytes: 1 << 40,
            stage_bytes: 1 << 40,
            head_bytes: 16 << 10,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            rate: 1 << 10,
            idle: Duration::from_secs(120),
            grace: Duration::from_secs(30),
        }
    }
}

/// Watches that a peer moves bytes. Only the time that is spent waiting for him counts.
#[derive(Debug)]
pub(super) struct Watch {
    stall: Duration,
    rate: u64,
    waited: Duration,
    moved: u64,
}

impl Watch {
    pub(super) fn new(limits: &Limits) -> Watch {
        Watch {
            stall: limits.stall,
            rate: limits.rate,
            waited: Duration::ZERO,
            moved: 0,
        }
    }

    /// How long to wait for the next bytes.
    pub(super) fn patience(&self) -> Duration {
        self.stall
    }

    /// Bytes that moved so far.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Takes note that `bytes` moved after a wait of `waited`; fails where that is too slow.
    pub(super) fn note(&mut self, bytes: usize, waited: Duration) -> io::Result<()> {
        self.waited += waited;
        self.moved += bytes as u64;
        let due = self.waited.as_secs_f64() * self.rate as f64;
        match self.waited > self.stall && (self.moved as f64) < due {
            true => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("slower than {} bytes a second", self.rate),
            )),
            false => Ok(()),
        }
    }
}

/// What a wait that came to its end is.
pub(super) fn stalled(patience: Duration) -> io::Error {
    let text = format!("nothing moved for {} s", patience.as_secs_f64());
    io::Error::new(io::ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_dribbles_is_given_up_and_who_pauses_is_not() {
        let limits = Limits {
            stall: Duration::from_secs(30),
            rate: 1024,
            ..Limits::default()
        };
        let mut dribble = Watch::new(&limits);
        let mut notes = (0..).map(|_| dribble.note(1, Duration::from_secs(10)));
        let borne = notes.position(|note| note.is_err());
        assert_eq!(borne, Some(3), "the fourth byte comes after 40 s");

        let mut pause = Watch::new(&limits);
        pause.note(1 << 20, Duration::from_secs(1)).unwrap();
        for _ in 0..4 {
            pause.note(10, Duration::from_secs(29)).unwrap();
        }
        assert_eq!(pause.moved(), (1 << 20) + 40);
    }
}

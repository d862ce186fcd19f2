//! Trying again what failed for a reason that passes.

use std::thread;
use std::time::Duration;

use super::error::{Error, Result};

/// Attempts in all before a transient error is final.
const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// Runs `work`, and again after a growing, randomly spread wait while it fails with a transient
/// error (see [`Error::is_transient`]). `work` must be safe to repeat.
pub fn retrying<T>(mut work: impl FnMut() -> Result<T>) -> Result<T> {
    retrying_with(&mut work, &mut thread::sleep)
}

fn retrying_with<T>(
    work: &mut dyn FnMut() -> Result<T>,
    wait: &mut dyn FnMut(Duration),
) -> Result<T> {
    for attempt in 1.. {
        match work() {
            Err(error) if error.is_transient() && attempt < ATTEMPTS => wait(pause(attempt)),
            done => return done,
        }
    }
    Err(Error::Store(lob_store::Error::Interrupted))
}

/// Between half and all of the full wait, so that clients that failed together come back apart.
fn pause(attempt: u32) -> Duration {
    let full = FIRST_WAIT * (1 << attempt.saturating_sub(1));
    let mut random = [0; 1];
    // Without randomness the full wait is as good.
    let spread = match getrandom::fill(&mut random) {
        Ok(()) => f64::from(random[0]) / 255.0,
        Err(_) => 1.0,
    };
    full.mul_f64(0.5 + spread / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;

    fn io_error(kind: io::ErrorKind) -> Error {
        Error::Store(lob_store::Error::at(Path::new("x"))(kind.into()))
    }

    fn run(errors: &[io::ErrorKind]) -> (Result<u32>, Vec<Duration>) {
        let mut calls = 0;
        let mut waits = Vec::new();
        let done = retrying_with(
            &mut || {
                calls += 1;
                match errors.get(calls as usize - 1) {
                    Some(kind) => Err(io_error(*kind)),
                    None => Ok(calls),
                }
            },
            &mut |wait| waits.push(wait),
        );
        (done, waits)
    }

    #[test]
    fn transient_errors_are_tried_again_with_growing_waits() {
        let (done, waits) = run(&[io::ErrorKind::WouldBlock; 3]);
        assert_eq!(done.unwrap(), 4);
        for (n, wait) in waits.iter().enumerate() {
            let full = FIRST_WAIT * (1 << n);
            assert!(*wait >= full / 2 && *wait <= full, "{n}: {wait:?}");
        }
        assert_eq!(waits.len(), 3);
    }

    #[test]
    fn it_gives_up_at_last_and_at_once_on_what_will_not_pass() {
        let (done, waits) = run(&[io::ErrorKind::Interrupted; 9]);
        assert!(done.is_err());
        assert_eq!(waits.len() + 1, ATTEMPTS as usize);
        let (done, waits) = run(&[io::ErrorKind::PermissionDenied]);
        assert!(done.is_err());
        assert!(waits.is_empty());
    }
}

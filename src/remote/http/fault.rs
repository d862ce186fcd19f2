//! What stands between a request and its answer, as those read it who wait for it.

use std::error::Error;
use std::fmt::{Display, Write};
use std::time::Duration;

use crate::wire::ExchangeError;

/// Something that may pass.
pub(super) fn passing(message: impl Display) -> ExchangeError {
    ExchangeError::Broken {
        message: message.to_string(),
        hint: None,
        transient: true,
    }
}

/// Something that does not pass by itself.
pub(super) fn lasting(message: impl Display, hint: Option<&str>) -> ExchangeError {
    ExchangeError::Broken {
        message: message.to_string(),
        hint: hint.map(str::to_owned),
        transient: false,
    }
}

/// The end of a limit.
pub(super) fn late(what: &str, limit: Duration) -> ExchangeError {
    passing(format_args!(
        "{what} took longer than {} s",
        limit.as_secs_f64()
    ))
}

/// An error with what caused it, each once: those of the network say little themselves.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            write!(text, ": {cause_text}").expect("a String takes all");
        }
        next = cause.source();
    }
    text
}

/// The same error, which is not to be tried again, with what had moved. Where it happened, those say who
/// pass it on.
pub(super) fn final_after(
    error: ExchangeError,
    attempts: u32,
    (sent, received): (u64, u64),
) -> ExchangeError {
    let ExchangeError::Broken { message, hint, .. } = error else {
        return error;
    };
    let tries = match attempts {
        1 => String::new(),
        n => format!(" after {n} attempts"),
    };
    let moved = match sent + received {
        0 => "nothing had moved".to_owned(),
        _ => format!("{sent} bytes had been sent and {received} received"),
    };
    let message = format!("it cannot be reached{tries}: {message} ({moved})");
    let on = "what has arrived stays; run the same command again, and it goes on from there";
    ExchangeError::Broken {
        message,
        hint: Some(hint.unwrap_or_else(|| on.to_owned())),
        transient: false,
    }
}

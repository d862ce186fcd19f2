//! What a service says of its errors. Places of the server's disk are not told.

use std::io;

use crate::remote::Error;
use crate::wire::{Refusal, RefusalKind, WireError};

/// Of an error of the store.
pub(super) fn of_error(error: Error) -> Refusal {
    use lob_store::Error as Of;
    let kind = match &error {
        Error::NoStore(_) | Error::NoParent(_) | Error::Gone { .. } => {
            return Refusal::new(RefusalKind::NotFound, "there is no lob store there yet");
        }
        Error::OtherStore { .. } => RefusalKind::Conflict,
        Error::Left { chunk, .. } => RefusalKind::MissingChunk(*chunk),
        Error::Store(store) => match store {
            Of::NoChunk(chunk) => RefusalKind::MissingChunk(*chunk),
            Of::Damaged { .. } | Of::WrongContent { .. } | Of::NoPack(_) => RefusalKind::Damaged,
            Of::OverLimit { .. } => RefusalKind::TooLarge,
            Of::Newer { .. } | Of::Later { .. } => RefusalKind::Unsupported,
            Of::Busy => RefusalKind::Busy,
            Of::NotAStore(_) | Of::Occupied(_) => {
                let message = "what is there is not a lob store";
                return Refusal::new(RefusalKind::NotFound, message);
            }
            Of::Io { source, .. } => return of_io(source, store.is_full()),
            Of::Source(source) | Of::Sink(source) => return of_io(source, false),
            _ => RefusalKind::Internal,
        },
        _ => RefusalKind::Internal,
    };
    Refusal::new(kind, error.to_string())
}

fn of_io(source: &io::Error, is_full: bool) -> Refusal {
    match is_full {
        true => Refusal::new(RefusalKind::Full, "the disk of the store is full"),
        false => {
            let message = format!("the store cannot be used there: {}", source.kind());
            Refusal::new(RefusalKind::Internal, message)
        }
    }
}

/// Of what the server itself cannot do.
pub(super) fn internal(what: &str, error: &io::Error) -> Refusal {
    Refusal::new(RefusalKind::Internal, format!("{what}: {error}"))
}

/// Of a request that is none.
pub(super) fn of_wire(error: WireError) -> Refusal {
    match error {
        WireError::Refused(refusal) => refusal,
        WireError::Later(_) => Refusal::new(RefusalKind::Unsupported, error.to_string()),
        WireError::Cut(_) | WireError::Changed | WireError::Bad(_) => {
            Refusal::new(RefusalKind::BadRequest, error.to_string())
        }
    }
}

/// Of an answer that nobody takes any more.
pub(super) fn of_sink(error: io::Error) -> Refusal {
    Refusal::new(RefusalKind::Internal, error.kind().to_string())
}

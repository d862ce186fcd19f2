//! What a service says in place of an answer.

use std::fmt;

use lob_store::ChunkId;

use super::Rights;

/// Longest message of a refusal, in characters: it is shown to people.
const MESSAGE_MAX: usize = 500;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// Nobody knows who asks.
    Unauthorized,
    /// Who asks may not do this.
    Forbidden,
    /// No store is there.
    NotFound,
    /// The request is not one.
    BadRequest,
    /// The request is over a limit.
    TooLarge,
    /// The store is another one than was expected.
    Conflict,
    /// A chunk that was asked for, or that a lob to be named needs, is not there.
    MissingChunk(ChunkId),
    /// The service speaks no version, verb or field that this needs.
    Unsupported,
    /// Too much is going on; later it works.
    Busy,
    /// The disk is full.
    Full,
    /// The store is damaged.
    Damaged,
    /// Something else went wrong.
    Internal,
}

impl RefusalKind {
    /// Its name in what is sent.
    pub fn code(self) -> &'static str {
        match self {
            RefusalKind::Unauthorized => "unauthorized",
            RefusalKind::Forbidden => "forbidden",
            RefusalKind::NotFound => "not-found",
            RefusalKind::BadRequest => "bad-request",
            RefusalKind::TooLarge => "too-large",
            RefusalKind::Conflict => "conflict",
            RefusalKind::MissingChunk(_) => "missing-chunk",
            RefusalKind::Unsupported => "unsupported",
            RefusalKind::Busy => "busy",
            RefusalKind::Full => "full",
            RefusalKind::Damaged => "damaged",
            RefusalKind::Internal => "internal",
        }
    }

    /// Its status in HTTP.
    pub fn status(self) -> u16 {
        match self {
            RefusalKind::Unauthorized => 401,
            RefusalKind::Forbidden => 403,
            RefusalKind::NotFound => 404,
            RefusalKind::BadRequest => 400,
            RefusalKind::TooLarge => 413,
            RefusalKind::Conflict => 409,
            RefusalKind::MissingChunk(_) => 422,
            RefusalKind::Unsupported => 501,
            RefusalKind::Busy => 503,
            RefusalKind::Full => 507,
            RefusalKind::Damaged | RefusalKind::Internal => 500,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(self) -> bool {
        matches!(self, RefusalKind::Busy)
    }

    /// The kind that a status stands for, where nothing more is known: of a proxy on the way.
    fn of_status(status: u16) -> RefusalKind {
        match status {
            401 => RefusalKind::Unauthorized,
            403 | 407 => RefusalKind::Forbidden,
            404 | 410 => RefusalKind::NotFound,
            400..=499 if status == 413 => RefusalKind::TooLarge,
            408 | 425 | 429 | 502..=504 => RefusalKind::Busy,
            400..=499 => RefusalKind::BadRequest,
            501 | 505 => RefusalKind::Unsupported,
            507 => RefusalKind::Full,
            _ => RefusalKind::Internal,
        }
    }

    fn of_code(code: &str, about: Option<&str>) -> Option<RefusalKind> {
        let missing = || Some(RefusalKind::MissingChunk(about?.parse().ok()?));
        Some(match code {
            "unauthorized" => RefusalKind::Unauthorized,
            "forbidden" => RefusalKind::Forbidden,
            "not-found" => RefusalKind::NotFound,
            "bad-request" => RefusalKind::BadRequest,
            "too-large" => RefusalKind::TooLarge,
            "conflict" => RefusalKind::Conflict,
            "missing-chunk" => return missing(),
            "unsupported" => RefusalKind::Unsupported,
            "busy" => RefusalKind::Busy,
            "full" => RefusalKind::Full,
            "damaged" => RefusalKind::Damaged,
            "internal" => RefusalKind::Internal,
            _ => return None,
        })
    }
}

/// What a service says in place of an answer, or where one breaks off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is about.
    pub kind: RefusalKind,
    /// For the one who asked.
    pub message: String,
}

impl Refusal {
    /// A refusal with its message, of which control characters and what is over the limit are left out.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        let message: String = message.into();
        let shown = message.chars().filter(|c| !c.is_control());
        Refusal {
            kind,
            message: shown.take(MESSAGE_MAX).collect(),
        }
    }

    /// That somebody may not do what takes certain rights.
    pub fn forbidden(name: &str, needs: Rights) -> Refusal {
        let (doing, right) = (needs.doing(), needs.name());
        let message = format!("{name} may not {doing} here: that takes the right {right}");
        Refusal::new(RefusalKind::Forbidden, message)
    }

    /// One line: `code: message`, where the code of a chunk that is missing has its id behind it.
    pub fn to_text(&self) -> String {
        match self.kind {
            RefusalKind::MissingChunk(id) => {
                format!("{} {id}: {}", self.kind.code(), self.message)
            }
            kind => format!("{}: {}", kind.code(), self.message),
        }
    }

    /// The refusal of an answer with this status and the begin of its text, which a service or anybody on
    /// the way wrote.
    pub fn from_text(status: u16, text: &str) -> Refusal {
        match Refusal::parse(text) {
            Some(refusal) => refusal,
            None => Refusal::new(RefusalKind::of_status(status), heading(text).trim()),
        }
    }

    /// The refusal that [`Refusal::to_text`] gave.
    pub fn parse(text: &str) -> Option<Refusal> {
        let (head, message) = text.split_once(": ")?;
        let mut words = head.split(' ');
        let kind = RefusalKind::of_code(words.next()?, words.next())?;
        Some(Refusal::new(kind, message.trim_end()))
    }
}

/// Of a page, as proxies send them, the title; of anything else all.
fn heading(text: &str) -> &str {
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    title.map_or(text, |(title, _)| title)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.is_empty() {
            true => f.write_str(self.kind.code()),
            false => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Refusal {}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The service refused.
    #[error("{0}")]
    Refused(Refusal),
    /// It could not be asked, or the connection broke.
    #[error("{message}")]
    Broken {
        /// What happened.
        message: String,
        /// What the user can do about it.
        hint: Option<String>,
        /// Whether the same may succeed a moment later.
        transient: bool,
    },
}

impl ExchangeError {
    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            ExchangeError::Refused(refusal) => refusal.kind.is_transient(),
            ExchangeError::Broken { transient, .. } => *transient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_comes_back_from_its_text() {
        let chunk = ChunkId::of(b"gone");
        for kind in [
            RefusalKind::Unauthorized,
            RefusalKind::Forbidden,
            RefusalKind::NotFound,
            RefusalKind::BadRequest,
            RefusalKind::TooLarge,
            RefusalKind::Conflict,
            RefusalKind::MissingChunk(chunk),
            RefusalKind::Unsupported,
            RefusalKind::Busy,
            RefusalKind::Full,
            RefusalKind::Damaged,
            RefusalKind::Internal,
        ] {
            let refusal = Refusal::new(kind, "because: of this");
            assert_eq!(Refusal::parse(&refusal.to_text()), Some(refusal.clone()));
            assert_eq!(
                Refusal::from_text(kind.status(), &refusal.to_text()),
                refusal
            );
        }
    }

    #[test]
    fn what_others_say_is_taken_by_its_status() {
        for (status, text, kind) in [
            (502, "<html>Bad gateway</html>", RefusalKind::Busy),
            (404, "", RefusalKind::NotFound),
            (413, "nginx", RefusalKind::TooLarge),
            (418, "missing-chunk: no id", RefusalKind::BadRequest),
            (599, "nonsense: x", RefusalKind::Internal),
        ] {
            assert_eq!(Refusal::from_text(status, text).kind, kind, "{status}");
        }
        let page = "<html>\r\n<head><title>413 Request Entity Too Large</title></head><body>nginx";
        let refusal = Refusal::from_text(413, page);
        assert_eq!(refusal.message, "413 Request Entity Too Large");
    }

    #[test]
    fn messages_are_short_and_plain() {
        let refusal = Refusal::new(RefusalKind::Internal, "\x1b[2J".repeat(10_000));
        assert_eq!(refusal.message.len(), MESSAGE_MAX);
        assert!(!refusal.message.contains('\x1b'));
    }
}

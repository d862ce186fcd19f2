//! The one error that a run prints, and the exit codes.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

/// How a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// Everything is done: exit code 0.
    Done,
    /// Done, but something is missing or damaged, and was reported: exit code 3.
    Incomplete,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::Incomplete => ExitCode::from(3),
        }
    }
}

/// What kind of failure it is; the kind decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The work could not be done: exit code 1.
    Failed,
    /// The program was called wrongly: exit code 2.
    Usage,
    /// Done, but something is missing or damaged: exit code 3.
    Incomplete,
    /// The user stopped it: exit code 130.
    Interrupted,
    /// The reader of stdout has gone, as `head` does: exit code 0, nothing is printed.
    ReaderGone,
}

impl Kind {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Kind::ReaderGone => 0,
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Incomplete => 3,
            Kind::Interrupted => 130,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::Incomplete => "incomplete",
            Kind::Interrupted => "interrupted",
            Kind::ReaderGone => "reader_gone",
        }
    }
}

/// Why a run failed: a message, what caused it, and hints at the way out. Every error of the
/// libraries turns into one by `?`; [`Explain`] adds to it on the way.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// The work could not be done.
    pub fn new(message: impl Display) -> Failure {
        Failure::of(Kind::Failed, message)
    }

    /// The program was called wrongly.
    pub fn usage(message: impl Display) -> Failure {
        Failure::of(Kind::Usage, message)
    }

    /// Done, but something is missing or damaged.
    pub fn incomplete(message: impl Display) -> Failure {
        Failure::of(Kind::Incomplete, message)
    }

    /// Writing to stdout failed: a reader that has gone is no failure.
    pub fn stdout(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::of(Kind::ReaderGone, error),
            _ => Failure::new(format_args!("writing to stdout failed: {error}")),
        }
    }

    fn of(kind: Kind, message: impl Display) -> Failure {
        Failure {
            kind,
            message: message.to_string(),
            causes: Vec::new(),
            hints: Vec::new(),
            source: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Failure {
        self.hints.push(hint.to_string());
        self
    }

    /// Puts `message` in front; what was the message becomes the first cause.
    #[must_use]
    pub fn because(mut self, message: impl Display) -> Failure {
        let cause = std::mem::replace(&mut self.message, message.to_string());
        self.causes.insert(0, cause);
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What caused it, the nearest cause first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// The hints.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The error that it was made from, and what caused that, outermost first.
    pub fn errors(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let mut next = self
            .source
            .as_deref()
            .map(|error| error as &(dyn Error + 'static));
        std::iter::from_fn(move || {
            let error = next?;
            next = error.source();
            Some(error)
        })
    }

    /// Whether there is nothing to say about it.
    pub fn is_silent(&self) -> bool {
        self.kind == Kind::ReaderGone
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut failure = Failure::new(&error);
        failure.source = Some(Box::new(error));
        let mut kind = Kind::Failed;
        let mut said = vec![failure.message.clone()];
        for error in failure.errors() {
            if let Some(lob_store::Error::Interrupted) = error.downcast_ref() {
                kind = Kind::Interrupted;
            }
            let text = error.to_string();
            // Many errors say their source themselves; once is enough.
            if !said.last().is_some_and(|last| last.ends_with(&text)) {
                said.push(text);
            }
        }
        failure.kind = kind;
        failure.causes = said.split_off(1);
        failure
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> ExitCode {
        ExitCode::from(failure.kind.code())
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("error", 5)?;
        fields.serialize_field("kind", self.kind.name())?;
        fields.serialize_field("code", &self.kind.code())?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("causes", &self.causes)?;
        fields.serialize_field("hints", &self.hints)?;
        fields.end()
    }
}

/// Adds to an error on its way up.
pub trait Explain<T> {
    /// Says what failed because of it.
    fn because(self, message: impl Display) -> Result<T, Failure>;
    /// Adds a hint.
    fn hint(self, hint: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Explain<T> for Result<T, E> {
    fn because(self, message: impl Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().because(message))
    }

    fn hint(self, hint: impl Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_source_that_the_message_names_is_not_repeated() {
        let error = lob_store::Error::Io {
            path: PathBuf::from("packs"),
            source: io::Error::other("no luck"),
        };
        let failure = Failure::from(error).because("cannot open the store");
        assert_eq!(failure.message(), "cannot open the store");
        assert_eq!(failure.causes(), ["packs: no luck"]);
    }

    #[test]
    fn the_kind_decides_the_exit_code() {
        let gone = Failure::stdout(io::ErrorKind::BrokenPipe.into());
        assert!(gone.is_silent());
        assert_eq!(gone.kind().code(), 0);
        assert_eq!(Failure::new("x").kind().code(), 1);
        assert_eq!(Failure::usage("x").kind().code(), 2);
        assert_eq!(Failure::incomplete("x").kind().code(), 3);
        let stopped = Failure::from(lob_store::Error::Interrupted);
        assert_eq!(stopped.kind().code(), 130);
    }

    #[test]
    fn an_error_inside_another_pipe_is_a_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.kind(), Kind::Failed);
    }
}

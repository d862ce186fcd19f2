//! What smart remotes say to each other, and the seam between those who say it and those who carry it.
//!
//! An [`Exchange`] carries one request to a service and its answer back; a [`Serve`] answers it. What
//! is in them stands in docs/protocol.md. Neither knows a socket: what carries requests over HTTP, TLS
//! and ssh implements the one and calls the other.

pub mod care;
pub mod field;
pub mod list;
pub mod message;
mod refusal;

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use field::{Field, FieldReader, FieldWriter, Tag, WireError};
pub use message::{Asked, Differing, Hello, Rolled, Welcome};
pub use refusal::{ExchangeError, Refusal, RefusalKind};

/// What a request asks for. Each may be sent again: twice the same does what once does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Which versions are spoken, and which store this is.
    Hello,
    /// Which lobs are there, and how long they are.
    Sizes,
    /// As [`Verb::Sizes`], and what was set aside comes back.
    Recall,
    /// Which lobs are set aside.
    Aside,
    /// As [`Verb::Recall`], and what is there counts as stored just now.
    Hold,
    /// Which chunks are there.
    Has,
    /// The manifests of lobs.
    Manifests,
    /// The bytes of chunks.
    Chunks,
    /// What the frames of chunks stand on.
    Kin,
    /// Frames that hold chunks.
    Frames,
    /// All lobs.
    Lobs,
    /// A digest over lobs.
    Digest,
    /// Which lobs differ from those of who asks (docs/reconcile.md).
    Differ,
    /// The delta that makes a lob from a file of which only a signature is known.
    Delta,
    /// Frames to store, and manifests of lobs to name when they are there.
    Put,
    /// Set aside what nobody needs of the store, and delete what was set aside long ago.
    Gc,
    /// Examine the store: is all of it there, and is it what it must be?
    Fsck,
}

/// What somebody may do with a store; each includes those before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rights {
    /// Read what is there.
    #[default]
    Read,
    /// And add to it.
    Append,
    /// And delete from it.
    Write,
    /// And look after it: clean it up, examine it.
    Admin,
}

impl Rights {
    const ALL: [Rights; 4] = [Rights::Read, Rights::Append, Rights::Write, Rights::Admin];

    /// Its name, as tokens have it.
    pub fn name(self) -> &'static str {
        match self {
            Rights::Read => "read",
            Rights::Append => "append",
            Rights::Write => "write",
            Rights::Admin => "admin",
        }
    }

    /// Its number in messages.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The rights of this number.
    pub fn numbered(number: u8) -> Option<Rights> {
        let mut all = Rights::ALL.into_iter();
        all.find(|rights| rights.number() == number)
    }

    /// What they allow beyond those before, for messages: what somebody may or may not do.
    pub fn doing(self) -> &'static str {
        match self {
            Rights::Read => "read",
            Rights::Append => "write anything",
            Rights::Write => "delete anything",
            Rights::Admin => "clean up or examine stores",
        }
    }
}

impl Verb {
    /// All verbs.
    pub const ALL: [Verb; 17] = [
        Verb::Hello,
        Verb::Sizes,
        Verb::Recall,
        Verb::Aside,
        Verb::Hold,
        Verb::Has,
        Verb::Manifests,
        Verb::Chunks,
        Verb::Kin,
        Verb::Frames,
        Verb::Lobs,
        Verb::Digest,
        Verb::Differ,
        Verb::Delta,
        Verb::Put,
        Verb::Gc,
        Verb::Fsck,
    ];

    /// The last part of the path of its requests: lower-case letters.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Hello => "hello",
            Verb::Sizes => "sizes",
            Verb::Recall => "recall",
            Verb::Aside => "aside",
            Verb::Hold => "hold",
            Verb::Has => "has",
            Verb::Manifests => "manifests",
            Verb::Chunks => "chunks",
            Verb::Kin => "kin",
            Verb::Frames => "frames",
            Verb::Lobs => "lobs",
            Verb::Digest => "digest",
            Verb::Differ => "differ",
            Verb::Delta => "delta",
            Verb::Put => "put",
            Verb::Gc => "gc",
            Verb::Fsck => "fsck",
        }
    }

    /// The verb of this name.
    pub fn named(name: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether it changes a store, by itself or at times.
    pub fn writes(self) -> bool {
        self.needs() != Rights::Read && self != Verb::Fsck
    }

    /// What a caller must at least be allowed to do. A service checks it; who carries requests may do so
    /// before it reads them.
    pub fn needs(self) -> Rights {
        match self {
            Verb::Hold | Verb::Put => Rights::Append,
            Verb::Gc | Verb::Fsck => Rights::Admin,
            _ => Rights::Read,
        }
    }
}

/// The body of a request.
pub enum Body {
    /// A short one, which can be sent again on another connection.
    Bytes(Vec<u8>),
    /// A long one, made while it is sent. An error of the reader must reach the service as a cut: the
    /// end of the body is never sent then.
    Stream(Box<dyn Stream>),
}

/// A body that is made while it is sent.
pub trait Stream: Read + Send {
    /// The next bytes of it, at least one and at most `most`; none at its end. Whoever has them in a
    /// buffer of their own hands that over, and nothing is copied.
    ///
    /// # Errors
    /// As of reading.
    fn part(&mut self, most: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; most];
        loop {
            match self.read(&mut buffer) {
                Ok(len) => {
                    buffer.truncate(len);
                    return Ok(buffer.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<T: AsRef<[u8]> + Send> Stream for io::Cursor<T> {}

impl<A: Read + Send, B: Read + Send> Stream for io::Chain<A, B> {}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Body::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// Carries requests to one store of a service. Any thread, many at once.
pub trait Exchange: Send + Sync + fmt::Debug {
    /// Sends a request, and returns its answer as it arrives. The body is read as it is sent, in bounded
    /// memory. The reader fails where the answer was cut, as far as that can be told: what is in it says
    /// by itself where it ends.
    ///
    /// # Errors
    /// [`ExchangeError::Refused`] with what the service said in place of an answer, or
    /// [`ExchangeError::Broken`] where it could not be asked.
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError>;

    /// How long it took at best until a short request was answered; `None` where no network is between.
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// Moves at most so many bytes a second from now on, both ways together; `None` for no limit. False
    /// where it has no way to.
    fn limit(&self, _bytes_per_second: Option<u64>) -> bool {
        false
    }

    /// Where the store is, for messages: without anything secret.
    fn describe(&self) -> String;
}

/// Who asks, and what he may do. Found out by who carries the requests.
#[derive(Debug, Clone)]
pub struct Caller {
    /// His name, for the log.
    pub name: String,
    /// From where he asks, for the log.
    pub from: String,
    /// What he may do with the store that is asked, as it was when he began.
    pub rights: Rights,
    /// Tells what has become of that.
    pub standing: Standing,
}

impl Caller {
    /// That he may still do what needs these rights: a request may take long, and what it changes is seen
    /// only at its end.
    ///
    /// # Errors
    /// The refusal that he would get who asked now.
    pub fn may_still(&self, needs: Rights) -> Result<(), Refusal> {
        let rights = match &self.standing.0 {
            Some(now) => now()?,
            None => self.rights,
        };
        match rights < needs {
            true => Err(Refusal::forbidden(&self.name, needs)),
            false => Ok(()),
        }
    }
}

/// What somebody may do now, or why nothing.
type Now = dyn Fn() -> Result<Rights, Refusal> + Send + Sync;

/// How long rights last: as long as the request, unless somebody can take them back meanwhile.
#[derive(Clone, Default)]
pub struct Standing(Option<Arc<Now>>);

impl Standing {
    /// Rights that `now` tells whenever it is asked.
    pub fn told_by(now: impl Fn() -> Result<Rights, Refusal> + Send + Sync + 'static) -> Standing {
        Standing(Some(Arc::new(now)))
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Standing")
    }
}

/// Answers the requests to one store. Any thread, many at once; blocks.
pub trait Serve: Send + Sync {
    /// Reads a request from `body`, until it has enough, and writes the answer to `answer`, as it comes
    /// to be.
    ///
    /// # Errors
    /// A [`Refusal`], where nothing was written to `answer`. Once something was, the answer itself ends
    /// with what went wrong, or breaks off where `answer` fails.
    fn serve(
        &self,
        caller: &Caller,
        verb: Verb,
        body: &mut dyn Read,
        answer: &mut dyn Write,
    ) -> Result<(), Refusal>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_name_of_its_own() {
        for verb in Verb::ALL {
            assert_eq!(Verb::named(verb.name()), Some(verb));
            assert!(verb.name().bytes().all(|c| c.is_ascii_lowercase()));
        }
        assert_eq!(Verb::named("HELLO"), None);
        assert_eq!(Verb::named(""), None);
    }

    #[test]
    fn whoever_may_do_more_may_do_less() {
        assert!(
            Rights::Admin > Rights::Write
                && Rights::Write > Rights::Append
                && Rights::Append > Rights::Read
        );
        assert!(Verb::Frames.needs() <= Rights::Read);
        assert!(Verb::Put.needs() > Rights::Read);
        assert!(Verb::Fsck.needs() > Rights::Write);
        for (number, rights) in (0..).zip(Rights::ALL) {
            assert_eq!(Rights::numbered(number), Some(rights));
        }
        assert_eq!(Rights::numbered(4), None);
    }
}

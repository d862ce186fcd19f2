//! The long-running filter protocol, version 2: one process answers all that one run of git asks.
//!
//! This module knows the protocol and nothing of lobs; a [`Handler`] has the content. Whatever
//! happens to one file, an error or a panic, is an answer about that file, and the session goes on:
//! git never takes the beginning of a content for the whole.

mod request;

use std::any::Any;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use request::{Request, Smudge};

use super::pktline::{self, Reader, Writer};

/// Why one file could not be converted.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The session with git failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream from or to git is broken.
    #[error(transparent)]
    Stream(#[from] pktline::Error),
    /// The other side does not speak this protocol.
    #[error("{0}: is this process run by git, as `filter.lob.process`?")]
    NotGit(&'static str),
    /// A request that cannot be understood.
    #[error("git sent a request that this lob does not understand: {0}")]
    Request(String),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::Stream(error.into())
    }
}

/// Writes a content.
pub type WriteContent<'h> = Box<dyn FnOnce(&mut dyn Write) -> Result<(), Failure> + 'h>;

/// The answer to a smudge.
pub enum Reply<'h> {
    /// This content, which is known to be whole.
    Whole(Vec<u8>),
    /// The content that the function writes. When it fails midway, git is told to forget all of it.
    Stream(WriteContent<'h>),
    /// Later: the path comes up in [`Handler::available`], and then git asks again. Only for a
    /// request with [`Smudge::can_delay`].
    Delayed,
}

/// Who has the content.
pub trait Handler {
    /// Whether this git may be told to ask for a content later.
    fn may_delay(&mut self) -> bool;
    /// What git shall store for `content`, the bytes of a file of the work tree.
    fn clean(&mut self, path: &[u8], content: &mut (dyn Read + Send)) -> Result<Vec<u8>, Failure>;
    /// What shall stand in the work tree for `content`, the bytes that git stores. For a path that
    /// came out of [`Handler::available`], `content` is empty.
    fn smudge(
        &mut self,
        request: &Smudge,
        content: &mut (dyn Read + Send),
    ) -> Result<Reply<'_>, Failure>;
    /// Waits until at least one delayed content can be given, and names the paths. None means that
    /// all were named.
    fn available(&mut self) -> Result<Vec<Vec<u8>>, Failure>;
    /// Hears of a file whose conversion failed, or panicked. Must say it to the user: git does not.
    fn failed(&mut self, path: &[u8], failure: &Failure);
}

/// Answers git until it closes `input` between two requests, which is the orderly end. Neither
/// stream needs a buffer of its own.
pub fn serve<R: Read + Send, W: Write>(
    input: R,
    output: W,
    handler: &mut dyn Handler,
) -> Result<(), Error> {
    let mut session = Session {
        input: Reader::new(input),
        output: Writer::new(output),
        handler,
    };
    session.shake_hands()?;
    session.agree()?;
    while let Some(request) = request::read(&mut session.input)? {
        match request {
            Request::Clean(path) => session.clean(&path)?,
            Request::Smudge(smudge) => session.smudge(&smudge)?,
            Request::Available => session.available()?,
        }
    }
    Ok(())
}

struct Session<'h, R, W> {
    input: Reader<R>,
    output: Writer<W>,
    handler: &'h mut dyn Handler,
}

impl<R: Read + Send, W: Write> Session<'_, R, W> {
    fn shake_hands(&mut self) -> Result<(), Error> {
        let welcome = request::list(&mut self.input)
            .map_err(|_| Error::NotGit("no greeting of git's filter protocol came"))?;
        let mut lines = welcome.iter();
        if lines.next().is_none_or(|line| line != b"git-filter-client") {
            return Err(Error::NotGit("no greeting of git's filter protocol came"));
        }
        if !lines.any(|line| line == b"version=2") {
            return Err(Error::NotGit(
                "git offers no version 2 of its filter protocol",
            ));
        }
        self.output.line(&[b"git-filter-server"])?;
        self.output.line(&[b"version=2"])?;
        end_list(&mut self.output)
    }

    /// Takes of git's capabilities those that the handler has; to ask for another kills git.
    fn agree(&mut self) -> Result<(), Error> {
        let offered = request::list(&mut self.input)?;
        for capability in [&b"clean"[..], b"smudge", b"delay"] {
            let line = [b"capability=", capability].concat();
            let taken = offered.contains(&line)
                && (capability != b"delay"
                    || guard(|| Ok(self.handler.may_delay())).unwrap_or(false));
            if taken {
                self.output.line(&[&line])?;
            }
        }
        end_list(&mut self.output)
    }

    fn clean(&mut self, path: &[u8]) -> Result<(), Error> {
        let mut content = self.input.content();
        let outcome = guard(|| self.handler.clean(path, &mut content));
        // Also after a failure: git waits until all that it writes was read.
        content.drain()?;
        match outcome {
            Ok(stored) => whole(&mut self.output, &stored),
            Err(failure) => self.failure(path, &failure),
        }
    }

    fn smudge(&mut self, request: &Smudge) -> Result<(), Error> {
        let mut content = self.input.content();
        let outcome = guard(|| self.handler.smudge(request, &mut content));
        // Before the reply: with both pipes full, both sides would wait for ever.
        content.drain()?;
        match answer(&mut self.output, request, outcome)? {
            None => Ok(()),
            Some(failure) => self.failure(&request.path, &failure),
        }
    }

    fn available(&mut self) -> Result<(), Error> {
        let outcome = guard(|| self.handler.available());
        for path in outcome.iter().flatten() {
            self.output.line(&[b"pathname=", path])?;
        }
        self.output.flush_packet();
        match outcome {
            Ok(_) => {
                self.output.line(&[b"status=success"])?;
                end_list(&mut self.output)
            }
            Err(failure) => self.failure(b"", &failure),
        }
    }

    fn failure(&mut self, path: &[u8], failure: &Failure) -> Result<(), Error> {
        self.output.line(&[b"status=error"])?;
        end_list(&mut self.output)?;
        // Whether it could be said or not, the session goes on.
        let _ = guard(|| {
            self.handler.failed(path, failure);
            Ok(())
        });
        Ok(())
    }
}

/// Answers a smudge; what is returned is a failure that git is still to be told.
fn answer<W: Write>(
    output: &mut Writer<W>,
    request: &Smudge,
    outcome: Result<Reply<'_>, Failure>,
) -> Result<Option<Failure>, Error> {
    match outcome {
        Ok(Reply::Whole(content)) => whole(output, &content)?,
        Ok(Reply::Delayed) if request.can_delay => {
            output.line(&[b"status=delayed"])?;
            end_list(output)?;
        }
        Ok(Reply::Delayed) => return Ok(Some("a delay that git does not allow here".into())),
        Ok(Reply::Stream(write)) => {
            output.line(&[b"status=success"])?;
            output.flush_packet();
            let outcome = guard(|| write(output));
            output.flush_packet();
            match outcome {
                Ok(()) => end_list(output)?,
                // The list that follows the content can still take the success back.
                Err(failure) => return Ok(Some(failure)),
            }
        }
        Err(failure) => return Ok(Some(failure)),
    }
    Ok(None)
}

fn whole<W: Write>(output: &mut Writer<W>, content: &[u8]) -> Result<(), Error> {
    output.line(&[b"status=success"])?;
    output.flush_packet();
    output.write_all(content)?;
    output.flush_packet();
    end_list(output)
}

fn end_list<W: Write>(output: &mut Writer<W>) -> Result<(), Error> {
    output.flush_packet();
    Ok(output.send()?)
}

/// Runs the handler; a panic becomes the failure of this one file.
fn guard<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(said(&*panic).into()))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("a defect of lob: {}", text.unwrap_or("no text"))
}

#[cfg(test)]
mod tests;

//! The records of a long answer of git, one at a time: lines, or words that end in a zero byte.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::thread::{self, JoinHandle};

use super::{Git, GitError, Pipe, Result};

/// No record is longer: a path, and a little more.
const RECORD_MAX: u64 = 1 << 20;

/// A running git whose answer is read record by record, in memory that doesn't grow with it.
pub struct Records {
    pipe: Option<Pipe>,
    answer: Option<Box<dyn BufRead + Send>>,
    writer: Option<JoinHandle<io::Result<()>>>,
    end: u8,
    record: Vec<u8>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Records");
        f.field("pipe", &self.pipe).finish_non_exhaustive()
    }
}

impl Records {
    /// Runs git, which reads nothing; each record of its answer ends with the byte `end`.
    pub fn stream<A: AsRef<OsStr>>(
        git: &Git,
        args: impl IntoIterator<Item = A>,
        end: u8,
    ) -> Result<Records> {
        Ok(Records::over(git.stream(args)?, end))
    }

    /// Runs git with `input` on its stdin; each record of its answer ends with the byte `end`.
    pub fn feed<A: AsRef<OsStr>>(
        git: &Git,
        args: impl IntoIterator<Item = A>,
        input: Vec<u8>,
        end: u8,
    ) -> Result<Records> {
        let mut pipe = git.pipe(args)?;
        let stdin = pipe.take_stdin();
        let mut records = Records::over(pipe, end);
        // Git answers before it has read everything: both ends must move. The thread ends when git
        // does.
        records.writer = Some(thread::spawn(move || match stdin {
            Some(mut stdin) => stdin.write_all(&input),
            None => Ok(()),
        }));
        Ok(records)
    }

    /// Reads an answer of which somebody else has seen to the git.
    pub fn of(answer: impl BufRead + Send + 'static, end: u8) -> Records {
        Records {
            pipe: None,
            answer: Some(Box::new(answer)),
            writer: None,
            end,
            record: Vec::new(),
        }
    }

    fn over(mut pipe: Pipe, end: u8) -> Records {
        let mut records = match pipe.take_stdout() {
            Some(stdout) => Records::of(stdout, end),
            None => Records::of(io::empty(), end),
        };
        records.pipe = Some(pipe);
        records
    }

    /// The next record without its end; `None` after the last, when git has exited with 0.
    pub fn read(&mut self) -> Result<Option<&[u8]>> {
        self.record.clear();
        let Some(answer) = &mut self.answer else {
            return Ok(None);
        };
        let read = answer
            .take(RECORD_MAX)
            .read_until(self.end, &mut self.record);
        read.map_err(|source| self.error(source))?;
        if self.record.last() == Some(&self.end) {
            self.record.pop();
            return Ok(Some(&self.record));
        }
        // A git that failed says more than its answer that ends early.
        self.finish()?;
        match self.record.is_empty() {
            true => Ok(None),
            false => Err(self.unreadable()),
        }
    }

    /// The next `len` bytes, whatever they are, without the end that follows them.
    pub fn content(&mut self, len: usize) -> Result<&[u8]> {
        self.record.clear();
        self.record.resize(len.saturating_add(1), 0);
        let read = match &mut self.answer {
            Some(answer) => answer.read_exact(&mut self.record),
            None => Err(ErrorKind::UnexpectedEof.into()),
        };
        if let Err(source) = read {
            self.finish()?;
            return Err(self.error(source));
        }
        match self.record.pop() == Some(self.end) {
            true => Ok(&self.record),
            false => Err(self.unreadable()),
        }
    }

    /// Passes over the next `len` bytes and the end that follows them.
    pub fn skip(&mut self, len: u64) -> Result<()> {
        self.record.clear();
        let skipped = match &mut self.answer {
            Some(answer) => io::copy(&mut answer.take(len), &mut io::sink()),
            None => Ok(0),
        };
        match skipped {
            Ok(count) if count == len => self.content(0).map(drop),
            Ok(_) => {
                self.finish()?;
                Err(self.error(ErrorKind::UnexpectedEof.into()))
            }
            Err(source) => Err(self.error(source)),
        }
    }

    /// Lends the next `len` bytes, and passes over what is not read of them and the end that follows.
    ///
    /// # Errors
    /// When the answer ends before: then what `take` made of it does not count.
    pub fn lend<T>(
        &mut self,
        len: u64,
        take: impl FnOnce(&mut (dyn Read + Send)) -> T,
    ) -> Result<T> {
        let (taken, rest) = match &mut self.answer {
            Some(answer) => {
                let mut part = answer.take(len);
                (take(&mut part), part.limit())
            }
            None => (take(&mut io::empty()), len),
        };
        self.skip(rest)?;
        Ok(taken)
    }

    /// The error of an answer that is not as documented, with the beginning of its last record.
    pub fn unreadable(&self) -> GitError {
        let text = String::from_utf8_lossy(&self.record);
        let head: String = text.chars().take(80).collect();
        GitError::Answer {
            command: self.words(),
            what: format!("{head:?}"),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.answer = None;
        let words = self.words();
        self.pipe.take().map_or(Ok(()), Pipe::finish)?;
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(Err(source))) => Err(GitError::Run {
                command: words,
                source,
            }),
            _ => Ok(()),
        }
    }

    fn words(&self) -> String {
        self.pipe.as_ref().map_or("git", Pipe::words).to_string()
    }

    fn error(&self, source: io::Error) -> GitError {
        GitError::Run {
            command: self.words(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn much_input_and_much_output_pass_at_once() {
        let fixture = Fixture::new();
        let input = "no-such-object-of-this-name\n".repeat(100_000).into_bytes();
        let args = ["cat-file", "--batch-check", "--buffer"];
        let mut records = Records::feed(fixture.git(), args, input, b'\n').unwrap();
        let mut count = 0;
        while let Some(record) = records.read().unwrap() {
            assert_eq!(record, b"no-such-object-of-this-name missing");
            count += 1;
        }
        assert_eq!(count, 100_000);
        assert_eq!(records.read().unwrap(), None);
    }

    #[test]
    fn a_git_that_fails_says_why() {
        let fixture = Fixture::new();
        let mut records = Records::stream(fixture.git(), ["rev-list", "nothing"], b'\n').unwrap();
        let text = records.read().unwrap_err().to_string();
        assert!(text.contains("ambiguous argument 'nothing'"), "{text}");
        let args = ["rev-parse", "--no-such-option-"];
        let input = vec![b'x'; 1 << 20];
        let mut records = Records::feed(fixture.git(), args, input, b'\n').unwrap();
        assert_eq!(records.read().unwrap(), Some(&b"--no-such-option-"[..]));
        assert!(records.read().is_err(), "it did not read its input");
    }

    #[test]
    fn contents_may_hold_ends() {
        let fixture = Fixture::new();
        fixture.write("file", "1\n2\n");
        let oid = fixture.run(&["hash-object", "-w", "file"]);
        let args = ["cat-file", "--batch"];
        let input = oid.repeat(2).into_bytes();
        let mut records = Records::feed(fixture.git(), args, input, b'\n').unwrap();
        let line = format!("{} blob 4", oid.trim_end());
        assert_eq!(records.read().unwrap(), Some(line.as_bytes()));
        assert_eq!(records.content(4).unwrap(), b"1\n2\n");
        assert_eq!(records.read().unwrap(), Some(line.as_bytes()));
        assert!(records.content(2).is_err(), "no end after two bytes");
        let input = oid.repeat(2).into_bytes();
        let mut records = Records::feed(fixture.git(), args, input, b'\n').unwrap();
        records.read().unwrap();
        records.skip(4).unwrap();
        assert_eq!(records.read().unwrap(), Some(line.as_bytes()));
        assert!(records.skip(5).is_err(), "the end is the last byte");
        let mut records = Records::feed(fixture.git(), args, oid.into_bytes(), b'\n').unwrap();
        records.read().unwrap();
        assert!(records.content(100).is_err(), "only five bytes come");
    }

    #[test]
    fn what_is_lent_need_not_be_read_and_must_be_there() {
        let answer = &b"abc\ndef\ngh"[..];
        let mut records = Records::of(answer, b'\n');
        let some = |content: &mut (dyn Read + Send)| {
            let mut two = [0; 2];
            content.read_exact(&mut two).map(|()| two)
        };
        assert_eq!(records.lend(3, some).unwrap().unwrap(), *b"ab");
        let mut all = String::new();
        records
            .lend(3, |c| c.read_to_string(&mut all))
            .unwrap()
            .unwrap();
        assert_eq!(all, "def", "and not the end");
        assert!(records.lend(3, some).is_err(), "two bytes and no end");
        let mut records = Records::of(answer, b'\n');
        assert!(
            records.lend(2, some).is_err(),
            "another byte where its end should be"
        );
    }
}

//! How git is run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};

use super::error::{GitError, Result};

/// Most bytes that an answer that is collected in memory may have.
pub const ANSWER_MAX: usize = 256 << 20;
/// Most bytes of stderr that are kept for an error.
const STDERR_MAX: usize = 4096;

/// What git calls the environment of one repository (`git rev-parse --local-env-vars`): hooks and
/// filters inherit it, and a command about another repository must not.
const LOCAL_ENV: [&str; 16] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// A way to run git: the program, the directory it runs in, and the environment it gets.
///
/// Git never asks for a password on the terminal unless [`Git::with_prompt`], never takes an
/// optional lock, and speaks English on stderr, so that errors can be told apart.
#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
    dir: PathBuf,
    env: Vec<(&'static str, Option<OsString>)>,
    prompt: bool,
}

impl Git {
    /// Git in `dir`, in the environment of this process: in a hook or a filter it is about the
    /// repository that git runs them for.
    pub fn new(dir: &Path) -> Result<Git> {
        let git = Git {
            program: program()?.to_path_buf(),
            dir: dir.to_path_buf(),
            env: Vec::new(),
            prompt: false,
        };
        #[cfg(test)]
        let git = super::fixture::isolate(git);
        Ok(git)
    }

    /// Git in `dir`, about the repository that is found there and no other.
    pub fn elsewhere(dir: &Path) -> Result<Git> {
        Ok(Git::new(dir)?.foreign())
    }

    /// The same without what the environment says about one repository.
    pub fn foreign(self) -> Git {
        LOCAL_ENV.into_iter().fold(self, Git::without_env)
    }

    /// Lets git ask on the terminal.
    pub fn with_prompt(mut self) -> Git {
        self.prompt = true;
        self
    }

    /// Sets a variable for every command.
    pub fn with_env(mut self, name: &'static str, value: impl Into<OsString>) -> Git {
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, Some(value.into())));
        self
    }

    /// Hides a variable from every command.
    pub fn without_env(mut self, name: &'static str) -> Git {
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, None));
        self
    }

    /// The same, in another directory.
    pub fn in_dir(mut self, dir: &Path) -> Git {
        self.dir = dir.to_path_buf();
        self
    }

    /// The directory that commands run in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The value that commands see of a variable.
    pub fn env(&self, name: &str) -> Option<OsString> {
        match self.env.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => value.clone(),
            None => env::var_os(name),
        }
    }

    /// What git prints. Fails unless it exits with 0, or prints more than [`ANSWER_MAX`].
    pub fn output<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Vec<u8>> {
        self.output_limited(args, ANSWER_MAX)
    }

    /// What git prints, at most `max` bytes: more is an error, found before it is held.
    pub fn output_limited<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        max: usize,
    ) -> Result<Vec<u8>> {
        let mut pipe = self.start(args, Stdio::null())?;
        let answer = pipe.collect(max)?;
        pipe.finish()?;
        Ok(answer)
    }

    /// What git prints, without its last newline.
    pub fn line<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Vec<u8>> {
        let mut answer = self.output(args)?;
        if answer.last() == Some(&b'\n') {
            answer.pop();
        }
        Ok(answer)
    }

    /// What git prints when `input` is on its stdin.
    pub fn feed<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: Vec<u8>,
    ) -> Result<Vec<u8>> {
        let mut pipe = self.pipe(args)?;
        let stdin = pipe.stdin.take();
        // Git may answer before it has read everything: both ends must move.
        let writer = thread::spawn(move || match stdin {
            Some(mut stdin) => stdin.write_all(&input),
            None => Ok(()),
        });
        let answer = pipe.collect(ANSWER_MAX);
        if answer.is_err() {
            pipe.kill();
        }
        let written = writer.join().unwrap_or_else(|_| Err(broken()));
        let answer = answer?;
        let command = pipe.words.clone();
        // When git ended early, what it says is worth more than the broken pipe.
        pipe.finish()?;
        written.map_err(|source| GitError::Run { command, source })?;
        Ok(answer)
    }

    /// The exit code of git, whatever it is; what it prints is thrown away.
    pub fn status<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<i32> {
        match self.output(args) {
            Ok(_) => Ok(0),
            Err(GitError::Failed {
                code: Some(code), ..
            }) => Ok(code),
            Err(error) => Err(error),
        }
    }

    /// Starts git with both ends in the caller's hands.
    pub fn pipe<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Pipe> {
        self.start(args, Stdio::piped())
    }

    /// Starts git with nothing to read: for long answers that are used as they come.
    pub fn stream<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Pipe> {
        self.start(args, Stdio::null())
    }

    /// The last value of a key, as git finds it now, or `None` where it has none.
    pub fn config_value(&self, key: &str) -> Result<Option<Vec<u8>>> {
        match self.output(["config", "-z", "--get", operand(key)?]) {
            Ok(mut value) => {
                value.pop();
                Ok(Some(value))
            }
            Err(GitError::Failed { code: Some(1), .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a key in the repository's own configuration, in place of all values that it has there.
    pub fn set_config(&self, key: &str, value: impl AsRef<OsStr>) -> Result<()> {
        let words = ["config", "--local", "--replace-all", operand(key)?];
        let words = words.iter().map(OsStr::new);
        self.output(words.chain([value.as_ref()])).map(drop)
    }

    /// Removes all values of a key from the repository's own configuration; none is no error.
    pub fn unset_config(&self, key: &str) -> Result<()> {
        match self.output(["config", "--local", "--unset-all", operand(key)?]) {
            Err(GitError::Failed { code: Some(5), .. }) => Ok(()),
            answer => answer.map(drop),
        }
    }

    fn start<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        stdin: Stdio,
    ) -> Result<Pipe> {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.dir).args(args);
        command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
        if !self.prompt {
            command.env("GIT_TERMINAL_PROMPT", "0");
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let words = words(&command);
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => Ok(Pipe::over(child, words)),
            Err(source) => Err(GitError::Run {
                command: words,
                source,
            }),
        }
    }
}

/// A running git. Dropped before [`Pipe::finish`], it is killed.
#[derive(Debug)]
pub struct Pipe {
    words: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Pipe {
    fn over(mut child: Child, words: String) -> Pipe {
        let stderr = child.stderr.take();
        Pipe {
            words,
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            // Somebody must read it, or a git with much to say would wait for ever.
            stderr: stderr.map(|stderr| thread::spawn(move || head(stderr))),
            child,
        }
    }

    /// The words of the command, for errors.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// The end that git reads; `None` when taken before, or for [`Git::stream`]. Dropping it is the
    /// end of git's input.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// The end that git writes; `None` when taken before.
    pub fn take_stdout(&mut self) -> Option<BufReader<ChildStdout>> {
        self.stdout.take()
    }

    /// What both of the streams' errors become.
    pub fn error(&self, source: io::Error) -> GitError {
        GitError::Run {
            command: self.words.clone(),
            source,
        }
    }

    /// Closes what was not taken and waits for the end. Fails unless git exits with 0.
    pub fn finish(mut self) -> Result<()> {
        drop(self.stdin.take());
        drop(self.stdout.take());
        let status = self.child.wait().map_err(|source| self.error(source))?;
        if status.success() {
            return Ok(());
        }
        let stderr = self.stderr.take().map(JoinHandle::join);
        let stderr = stderr.and_then(thread::Result::ok).unwrap_or_default();
        Err(GitError::Failed {
            command: self.words.clone(),
            code: status.code(),
            stderr: String::from_utf8_lossy(&stderr).trim().to_string(),
        })
    }

    /// All that git prints, at most `max` bytes.
    pub fn collect(&mut self, max: usize) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        if let Some(stdout) = self.stdout.take() {
            let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
            let read = stdout.take(limit).read_to_end(&mut answer);
            read.map_err(|source| self.error(source))?;
        }
        if answer.len() <= max {
            return Ok(answer);
        }
        Err(GitError::Answer {
            command: self.words.clone(),
            what: format!("more than {max} bytes"),
        })
    }

    fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A word from outside that is used where git also takes options: never one that begins with `-`.
pub fn operand(word: &str) -> Result<&str> {
    match word.starts_with('-') {
        true => Err(GitError::Dash(word.chars().take(80).collect())),
        false => Ok(word),
    }
}

/// The first bytes of a stream, which is read to its end.
fn head(mut stderr: ChildStderr) -> Vec<u8> {
    let mut kept = Vec::new();
    // What can't be read is only missing from an error.
    let _ = (&mut stderr).take(STDERR_MAX as u64).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    kept
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

fn words(command: &Command) -> String {
    let mut words = String::from("git");
    for arg in command.get_args() {
        words.push(' ');
        words.push_str(&arg.to_string_lossy());
    }
    match words.char_indices().nth(200) {
        Some((at, _)) => format!("{}...", words.get(..at).unwrap_or_default()),
        None => words,
    }
}

/// The absolute path of git, looked up once.
fn program() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PROGRAM.get_or_init(|| find(&env::var_os("PATH")?));
    found.as_deref().ok_or(GitError::NoGit)
}

/// Only in absolute directories: an entry that is empty or relative means the current directory,
/// where a repository could place a program of this name.
fn find(path: &OsStr) -> Option<PathBuf> {
    let name = format!("git{}", env::consts::EXE_SUFFIX);
    env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&name))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    let Ok(meta) = file.metadata() else {
        return false;
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        meta.is_file() && meta.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    {
        meta.is_file()
    }
}

#[cfg(test)]
mod tests;

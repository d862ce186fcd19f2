//! A service on a machine that ssh reaches: what is run there, and what it says when it can't be.

use std::ffi::OsString;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::fault::{lasting, passing};
use super::place::SshPlace;
use crate::wire::ExchangeError;

/// Most bytes that are kept of what is printed in place of an answer.
const SAID_MAX: usize = 4096;
/// How long a program that broke its connection may take to end and say why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The program that connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// ssh, found as other programs are.
    Ssh(OsString),
    /// What the user wrote for a shell, as git takes it: a command with options.
    Shell(OsString),
}

/// How ssh is run.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// What is run.
    pub program: Program,
    /// Whether somebody is there who can be asked for a password.
    pub may_ask: bool,
}

impl Ssh {
    /// The command that runs a service for `place` on its machine.
    pub(super) fn command(&self, place: &SshPlace) -> Command {
        let mut command = match &self.program {
            Program::Ssh(program) => Command::new(program),
            Program::Shell(line) => {
                // As git runs it; the words that follow are operands, which no shell reads again.
                let mut script = line.clone();
                script.push(" \"$@\"");
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(script).arg(line);
                shell
            }
        };
        if !self.may_ask {
            command.args(["-o", "BatchMode=yes"]);
        }
        if let Some(port) = place.port {
            command.args(["-p", &port.to_string()]);
        }
        command.arg(place.destination());
        command.arg(format!("lob serve --stdio {}", quoted(&place.path)));
        command
    }
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The words of a command that was put together as this module does it; `None` where it was not.
pub fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = command.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next()?),
            c if c.is_ascii_alphanumeric() || "-_./~+:@%=,".contains(c) || !c.is_ascii() => {
                word.get_or_insert_default().push(c);
            }
            // What a shell makes something else of.
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

/// A program that runs, as a connection.
#[derive(Debug)]
pub(super) struct Running {
    input: ChildStdin,
    output: ChildStdout,
    said: Arc<Said>,
    began: bool,
}

/// What a program said that is no answer, and how it ended.
#[derive(Debug)]
pub(super) struct Said {
    host: String,
    /// What came in place of the first byte of an answer.
    greeting: Mutex<Vec<u8>>,
    errors: Mutex<Vec<u8>>,
    /// Its exit code, or -1 where it has none, once it has ended.
    ended: watch::Receiver<Option<i32>>,
}

/// Starts `command`, which reaches `host`.
pub(super) fn start(mut command: Command, host: &str) -> Result<Running, ExchangeError> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let mut child = command.spawn().map_err(|error| {
        let message = format!("{program} cannot be run: {error}");
        lasting(
            message,
            Some("install ssh, or name it with GIT_SSH_COMMAND or core.sshCommand"),
        )
    })?;
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(passing("a program without its streams"));
    };
    let (sender, ended) = watch::channel(None);
    let said = Arc::new(Said {
        host: host.to_owned(),
        greeting: Mutex::default(),
        errors: Mutex::default(),
        ended,
    });
    drop(tokio::spawn(listen(child, errors, said.clone(), sender)));
    Ok(Running {
        input,
        output,
        said,
        began: false,
    })
}

/// Keeps what the program says, and waits for its end.
async fn listen(
    mut child: Child,
    mut errors: ChildStderr,
    said: Arc<Said>,
    ended: watch::Sender<Option<i32>>,
) {
    let read = async {
        let mut buffer = [0; 1024];
        while let Ok(len) = errors.read(&mut buffer).await {
            if len == 0 {
                break;
            }
            keep(&said.errors, &buffer[..len]);
        }
    };
    let (status, ()) = tokio::join!(child.wait(), async {
        // A program that it leaves behind may hold the stream open.
        let mut end = said.ended.clone();
        tokio::select! {
            () = read => {}
            _ = async {
                let _ = end.wait_for(Option::is_some).await;
            } => {}
        }
    });
    let code = status.ok().and_then(|status| status.code());
    ended.send_replace(Some(code.unwrap_or(-1)));
}

/// Keeps the last bytes.
fn keep(kept: &Mutex<Vec<u8>>, bytes: &[u8]) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.extend_from_slice(bytes);
    let over = kept.len().saturating_sub(SAID_MAX);
    kept.drain(..over);
}

impl Running {
    pub(super) fn said(&self) -> Arc<Said> {
        self.said.clone()
    }
}

impl AsyncRead for Running {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        let polled = Pin::new(&mut self.output).poll_read(context, buffer);
        let Poll::Ready(Ok(())) = &polled else {
            return polled;
        };
        let new = buffer.filled().get(start..).unwrap_or_default();
        match new.first() {
            // The length of a first frame of HTTP/2 is small: no text begins like this.
            Some(0) => self.began = true,
            Some(_) if !self.began => {
                keep(&self.said.greeting, new);
                buffer.set_filled(start);
                let error = io::Error::new(io::ErrorKind::InvalidData, "this is no answer");
                return Poll::Ready(Err(error));
            }
            _ => {}
        }
        polled
    }
}

impl AsyncWrite for Running {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}

impl Said {
    /// Why there is no answer, from what the program said; `error` is what the connection suffered.
    pub(super) async fn explain(&self, error: ExchangeError) -> ExchangeError {
        let greeting = text(&self.greeting);
        if !greeting.is_empty() {
            let message = format!(
                "{} printed this before lob could speak there: {greeting:?}",
                self.host
            );
            let hint = "something in the far shell's startup files prints even where no terminal is; \
                        make it silent then";
            return lasting(message, Some(hint));
        }
        let mut ended = self.ended.clone();
        let Ok(Ok(code)) = timeout(LAST_WORDS, ended.wait_for(Option::is_some)).await else {
            return error;
        };
        let code = code.unwrap_or(-1);
        explained(&self.host, code, &text(&self.errors), error)
    }
}

fn text(kept: &Mutex<Vec<u8>>) -> String {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// What the exit code of ssh, or of the program that it ran, means.
fn explained(host: &str, code: i32, errors: &str, error: ExchangeError) -> ExchangeError {
    let last = errors.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.unwrap_or_default().trim();
    let lower = errors.to_ascii_lowercase();
    let no_program = lower.contains("command not found") || lower.contains("lob: not found");
    let install = "install lob there (cargo install lob) so that 'ssh HOST lob --version' answers: the \
                   PATH of a shell without a terminal counts";
    if code == 127 || code == 126 || (code != 255 && no_program) {
        let message = format!("{host} has no lob that can be run: {last}");
        return lasting(message, Some(install));
    }
    if lower.contains("unrecognized subcommand") || lower.contains("unexpected argument") {
        let message = format!("the lob on {host} is too old to serve: {last}");
        return lasting(message, Some(install));
    }
    if code == 255 {
        return refused_by_ssh(host, &lower, last);
    }
    match (code, last) {
        // It ended well: the connection is over, and another may be had.
        (0, _) => error,
        (-1, "") => passing(format_args!("the connection to {host} was killed")),
        (_, "") => passing(format_args!("lob on {host} ended with exit code {code}")),
        // It said why, which another connection does not change.
        _ => lasting(format_args!("lob on {host} says: {last}"), None),
    }
}

fn refused_by_ssh(host: &str, lower: &str, last: &str) -> ExchangeError {
    let hints = [
        (
            "host key verification failed",
            "connect once with ssh by hand and compare the key; lob takes no host on trust",
        ),
        (
            "permission denied",
            "ssh is not let in without a password: load a key (ssh-add), or name one in ~/.ssh/config",
        ),
        ("could not resolve", "is the name of the host right?"),
    ];
    let message = format!("ssh does not reach {host}: {last}");
    match hints.iter().find(|(words, _)| lower.contains(words)) {
        Some((_, hint)) => lasting(message, Some(hint)),
        None => passing(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reaches_the_far_side_as_one_word() {
        for path in [
            "/srv/x",
            "a b",
            "it's",
            "$(touch x)",
            "`x`",
            "a;b",
            "''",
            "\\",
            "*",
        ] {
            let word = quoted(path);
            let shell = std::process::Command::new("/bin/sh")
                .args(["-c", &format!("printf %s {word}")])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(shell.stdout).unwrap(), path);
            let command = format!("lob serve --stdio {word}");
            let expected = ["lob", "serve", "--stdio", path].map(str::to_owned);
            assert_eq!(words(&command).as_deref(), Some(&expected[..]), "{command}");
        }
        for command in ["lob; rm x", "lob $(x)", "lob 'open", "lob > x", "lob \\"] {
            assert_eq!(words(command), None, "{command}");
        }
    }

    #[test]
    fn ssh_gets_its_words_and_no_shell_reads_them() {
        let place = SshPlace::parse("ssh://me@host:2222/a b").unwrap();
        let words = |ssh: &Ssh| {
            let command = ssh.command(&place);
            let args = command.as_std().get_args();
            args.map(|arg| arg.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let mut ssh = Ssh {
            program: Program::Ssh("ssh".into()),
            may_ask: false,
        };
        let operands = ["-p", "2222", "me@host", "lob serve --stdio '/a b'"];
        assert_eq!(
            words(&ssh),
            [&["-o", "BatchMode=yes"], &operands[..]].concat()
        );
        ssh.may_ask = true;
        assert_eq!(words(&ssh), operands);
        ssh.program = Program::Shell("ssh -i 'my key'".into());
        let shell = ["-c", "ssh -i 'my key' \"$@\"", "ssh -i 'my key'"];
        assert_eq!(words(&ssh), [&shell, &operands[..]].concat());
    }

    #[test]
    fn the_end_of_ssh_says_what_to_do() {
        let broken = || passing("the connection closed");
        for (code, errors, said, transient) in [
            (
                127,
                "bash: line 1: lob: command not found",
                "has no lob",
                false,
            ),
            (1, "sh: 1: lob: not found", "has no lob", false),
            (
                2,
                "error: unrecognized subcommand 'serve'",
                "too old",
                false,
            ),
            (
                255,
                "me@h: Permission denied (publickey).",
                "Permission denied",
                false,
            ),
            (
                255,
                "Host key verification failed.",
                "Host key verification",
                false,
            ),
            (
                255,
                "ssh: connect to host h port 22: Connection refused",
                "Connection refused",
                true,
            ),
            (
                255,
                "Connection closed by 10.0.0.1",
                "Connection closed",
                true,
            ),
            (
                1,
                "lob: error: there is no store here\n",
                "there is no store here",
                false,
            ),
            (-1, "", "was killed", true),
            (0, "", "the connection closed", true),
        ] {
            let error = explained("h", code, errors, broken());
            assert!(error.to_string().contains(said), "{errors}: {error}");
            assert_eq!(error.is_transient(), transient, "{errors}");
        }
    }
}

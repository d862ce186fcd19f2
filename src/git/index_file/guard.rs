//! A process that takes git's lock away when the one that holds it is killed.
//!
//! Git's lock is a file: it outlives its holder, and every command of git then refuses to go on until
//! the user has removed it. Nobody can remove a file when he is killed. So a second process waits on
//! a pipe whose other end only the holder has, and when that end is closed it removes the lock, if that
//! is still the holder's: the same file, which another one of this name is not.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says which program has the verb `guard`, which calls [`wait`]. Until then nobody waits.
pub fn guard_with(program: PathBuf) {
    // The first one stays: there is one program to a process.
    let _ = PROGRAM.set(program);
}

/// The process that waits, until this is dropped.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    /// Starts one for `lock`, which is `file` or is going to be; `None` where it can't be started, and
    /// where the system does not tell files apart.
    pub(super) fn start(lock: &Path, file: &File) -> Option<Guard> {
        let lock = std::path::absolute(lock).ok()?;
        let identity = identity(&file.metadata().ok()?)?;
        let mut command = Command::new(PROGRAM.get()?);
        command.arg("guard").arg(lock).arg(identity);
        // What ends all that was started from a terminal must leave this one.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().ok().map(Guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Closes the pipe first.
        let _ = self.0.wait();
    }
}

/// Waits for the end of `input`, and removes `lock` where it is the file of this identity then.
///
/// # Errors
/// Where it can't be removed.
pub fn wait(lock: &Path, wanted: &str, mut input: impl Read) -> io::Result<()> {
    // However it ends, nobody is at the other end any more.
    let _ = io::copy(&mut input, &mut io::sink());
    match fs::symlink_metadata(lock) {
        Ok(found) if identity(&found).as_deref() == Some(wanted) => fs::remove_file(lock),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn identity(meta: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    Some(format!("{}:{}", meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<String> {
    None
}

#[cfg(all(test, unix))]
mod tests;

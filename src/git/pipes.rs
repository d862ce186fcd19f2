//! The two ends of a filter: what git writes to it, and what git reads from it.

use std::fs::File;
use std::io;

/// What a pipe is enlarged to: the default of Linux is one packet, for which both sides would take
/// turns.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PIPE_BYTES: usize = 1 << 20;

/// Stdin without the buffer and the lock of the standard library.
pub fn input() -> io::Result<File> {
    #[cfg(unix)]
    let end = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?;
    #[cfg(windows)]
    let end = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned()?;
    Ok(enlarged(end.into()))
}

/// Stdout without the buffer and the lock of the standard library.
pub fn output() -> io::Result<File> {
    #[cfg(unix)]
    let end = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let end = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(enlarged(end.into()))
}

fn enlarged(end: File) -> File {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // No pipe, or more than this user may have: then it works as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&end, PIPE_BYTES);
    }
    end
}

//! The socket that was handed over by who started this process.

use std::net::TcpListener;

use crate::ui::Failure;

/// The socket of systemd's socket activation: that of `LISTEN_FDS`, or else stdin.
#[cfg(unix)]
pub(super) fn over() -> Result<TcpListener, Failure> {
    use std::os::fd::AsFd;

    use crate::ui::Explain;

    let (socket, what) = match of_systemd()? {
        Some(socket) => (socket, "what LISTEN_FDS hands over"),
        None => (std::io::stdin().as_fd().try_clone_to_owned()?, "stdin"),
    };
    let listener = TcpListener::from(socket);
    listener
        .local_addr()
        .because(format_args!("{what} is no socket that accepts connections"))?;
    Ok(listener)
}

#[cfg(not(unix))]
pub(super) fn over() -> Result<TcpListener, Failure> {
    Err(Failure::usage(
        "sockets cannot be handed over on this system",
    ))
}

/// The one socket that is meant for this very process, as sd_listen_fds(3) says.
#[cfg(target_os = "linux")]
fn of_systemd() -> Result<Option<std::os::fd::OwnedFd>, Failure> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    /// The number of the first.
    const FIRST: i32 = 3;

    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(None);
    }
    match number("LISTEN_FDS") {
        None | Some(0) => Ok(None),
        // By way of this process's own handle the number becomes a descriptor that is owned.
        Some(1) => {
            let own = pidfd_open(getpid(), PidfdFlags::empty()).map_err(std::io::Error::from)?;
            let socket = pidfd_getfd(own, FIRST, PidfdGetfdFlags::empty());
            Ok(Some(socket.map_err(std::io::Error::from)?))
        }
        Some(count) => Err(Failure::usage(format_args!(
            "{count} sockets are handed over, and one can be served"
        ))
        .hint("one ListenStream in the socket unit")),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn of_systemd() -> Result<Option<std::os::fd::OwnedFd>, Failure> {
    Ok(None)
}

//! Running a server: over a socket that many connect to, or over the standard streams.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::app::{App, Peer};
use super::connection::{self, Stop};

/// Pause after a connection could not be accepted: of file descriptors, say, some are free soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Threads that move bytes. Requests have others.
const WORKERS_MAX: usize = 4;

/// Stops a running server: what is under way may end, nothing new begins.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<watch::Sender<bool>>);

impl Stopper {
    /// Tells the server to stop. More than once does nothing more.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// A server that is ready to run.
pub struct Server {
    app: Arc<App>,
    runtime: Runtime,
    stopper: Stopper,
    stop: Stop,
}

impl Server {
    /// A server of `app`.
    pub fn new(app: App) -> io::Result<Server> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.min(WORKERS_MAX))
            // Two more for the standard streams.
            .max_blocking_threads(app.limits().requests + 2)
            .thread_name("lob-serve")
            .enable_all()
            .build()?;
        let (sender, stop) = watch::channel(false);
        Ok(Server {
            app: Arc::new(app),
            runtime,
            stopper: Stopper(Arc::new(sender)),
            stop,
        })
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Stops it when this process is asked to end (SIGTERM, SIGINT).
    pub fn stop_on_signals(&self) -> io::Result<()> {
        let stopper = self.stopper();
        let _guard = self.runtime.enter();
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            drop(self.runtime.spawn(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                stopper.stop();
            }));
        }
        #[cfg(not(unix))]
        drop(self.runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stopper.stop();
            }
        }));
        Ok(())
    }

    /// Answers all who connect to `listener` until it is stopped, and what was under way then has ended
    /// or its time is over.
    pub fn listen(self, listener: TcpListener, tls: Option<TlsAcceptor>) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let _guard = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let accept = accept(&listener, &self.app, &self.stop, tls.as_ref());
        self.runtime.block_on(accept);
        let end = self.app.limits().grace;
        drop(_guard);
        self.runtime.shutdown_timeout(end);
        Ok(())
    }

    /// Answers the requests on stdin until it ends.
    pub fn stdio(self) {
        let streams = Streams {
            input: tokio::io::stdin(),
            output: tokio::io::stdout(),
        };
        let peer = Peer {
            from: "stdin".into(),
            is_local: true,
        };
        let serve = connection::serve(streams, peer, self.app.clone(), self.stop.clone());
        self.runtime.block_on(serve);
        // A thread may still wait for input that never comes.
        self.runtime.shutdown_background();
    }
}

async fn accept(
    listener: &tokio::net::TcpListener,
    app: &Arc<App>,
    stop: &Stop,
    tls: Option<&TlsAcceptor>,
) {
    let places = Arc::new(Semaphore::new(app.limits().connections));
    let mut open = JoinSet::new();
    let mut stopped = stop.clone();
    loop {
        // Before one is accepted: those that have no place wait in the system's queue.
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        while open.try_join_next().is_some() {}
        let Ok((stream, address)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (app, stop, tls) = (app.clone(), stop.clone(), tls.cloned());
        open.spawn(async move {
            let _place = place;
            meet(stream, address, app, stop, tls).await;
        });
    }
    while open.join_next().await.is_some() {}
}

async fn meet(
    stream: TcpStream,
    address: SocketAddr,
    app: Arc<App>,
    stop: Stop,
    tls: Option<TlsAcceptor>,
) {
    // Where that can't be said answers are only later.
    let _ = stream.set_nodelay(true);
    let peer = Peer {
        from: address.ip().to_canonical().to_string(),
        is_local: address.ip().to_canonical().is_loopback(),
    };
    let Some(tls) = tls else {
        return connection::serve(stream, peer, app, stop).await;
    };
    let handshake = timeout(app.limits().head, tls.accept(stream));
    if let Ok(Ok(stream)) = handshake.await {
        connection::serve(stream, peer, app, stop).await;
    }
}

/// Two streams as one.
struct Streams<R, W> {
    input: R,
    output: W,
}

impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for Streams<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_read(context, buffer)
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for Streams<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.output).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_shutdown(context)
    }
}

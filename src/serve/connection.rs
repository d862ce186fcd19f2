//! One connection, whatever carries it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::sleep;

use super::app::{App, Peer};
use super::limits::Limits;
use crate::remote::http::Pieces;

/// Bytes of one body that may be on the way while nobody reads it, and of all on a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;
/// Bytes that are read from a connection at once, of HTTP/1.
const BODY_BUFFER: usize = 1 << 20;
/// Requests under way on one connection.
const STREAMS: u32 = 64;
/// Requests that a peer may start and take back before it is thought to be after nothing else.
const RESETS: usize = 64;

/// Says when the server is to stop: `true` once it is.
pub(super) type Stop = watch::Receiver<bool>;

/// What goes on on a connection.
#[derive(Debug, Default)]
struct Activity {
    requests: AtomicUsize,
    served: AtomicUsize,
}

/// A request under way, until its answer was handed over or given up.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: &Arc<Activity>) -> Busy {
        activity.requests.fetch_add(1, Ordering::Relaxed);
        Busy(activity.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.served.fetch_add(1, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, which keeps its connection busy until it is gone.
pub(super) struct Tracked {
    body: Pieces,
    _busy: Busy,
}

impl hyper::body::Body for Tracked {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::io::Result<hyper::body::Frame<bytes::Bytes>>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// Answers the requests on `io` until it ends, nothing more comes, or the server stops.
pub(super) async fn serve<I>(io: I, peer: Peer, app: Arc<App>, mut stop: Stop)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    app.metrics.opened();
    let activity = Arc::new(Activity::default());
    let seen = activity.clone();
    let limits = app.limits().clone();
    let shared = app.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = Busy::new(&seen);
        let (app, peer) = (shared.clone(), peer.clone());
        async move {
            let response: Response<Pieces> = app.answer(peer, request).await;
            let tracked = response.map(|body| Tracked { body, _busy: busy });
            Ok::<_, Infallible>(tracked)
        }
    });
    let builder = builder(&limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut ends_at: Option<Instant> = None;
    let mut quiet = Quiet::new(&limits);
    loop {
        let wait = match ends_at {
            Some(end) => end.saturating_duration_since(Instant::now()),
            None => quiet.next_look(),
        };
        tokio::select! {
            // How a peer leaves is no concern of ours.
            _ = connection.as_mut() => break,
            _ = stop.wait_for(|stop| *stop), if ends_at.is_none() => {
                connection.as_mut().graceful_shutdown();
                ends_at = Some(Instant::now() + limits.grace);
            }
            () = sleep(wait) => {
                if ends_at.is_some() {
                    break;
                }
                if quiet.is_over(&activity) {
                    connection.as_mut().graceful_shutdown();
                    ends_at = Some(Instant::now() + limits.head);
                }
            }
        }
    }
    app.metrics.closed();
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head.max(limits.idle))
        .half_close(false)
        .max_buf_size(limits.head_bytes.max(BODY_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(STREAM_WINDOW as usize)
        .keep_alive_interval(limits.stall)
        .keep_alive_timeout(limits.stall);
    builder
}

/// Finds out when a connection has been without a request for too long.
struct Quiet {
    head: Duration,
    idle: Duration,
    since: Instant,
    served: usize,
}

impl Quiet {
    fn new(limits: &Limits) -> Quiet {
        Quiet {
            head: limits.head,
            idle: limits.idle,
            since: Instant::now(),
            served: 0,
        }
    }

    /// Until the first request little time is granted, after it more.
    fn limit(&self) -> Duration {
        match self.served {
            0 => self.head,
            _ => self.idle,
        }
    }

    fn next_look(&self) -> Duration {
        self.limit().saturating_sub(self.since.elapsed())
    }

    /// Looks whether something went on since the last time; true where nothing did for the limit.
    fn is_over(&mut self, activity: &Activity) -> bool {
        let served = activity.served.load(Ordering::Relaxed);
        let is_busy = activity.requests.load(Ordering::Relaxed) > 0;
        if is_busy || served != self.served {
            self.served = served.max(1);
            self.since = Instant::now();
            return false;
        }
        self.since.elapsed() >= self.limit()
    }
}

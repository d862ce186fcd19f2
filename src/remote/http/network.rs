//! One request after the other, and the same again where that helps.

use std::fmt;
use std::io::Read;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Response, StatusCode};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::Answer;
use super::budget::{Budget, Patience, random};
use super::dial::Way;
use super::fault::{final_after, lasting, late, passing};
use super::login::Logins;
use super::origin::{Base, Origin, redirected};
use super::own::Own;
use super::pieces::Pieces;
use super::place::{HttpPlace, SshPlace};
use super::pool::Lent;
use super::sending::{Exchanging, Sending};
use super::ssh::Ssh;
use super::tls::Authorities;
use crate::git::Git;
use crate::remote::Pace;
use crate::wire::{Body, Exchange, ExchangeError, Refusal, RefusalKind, Stream, Verb};

/// Threads that move bytes, and threads that read bodies while they are sent.
const WORKERS: usize = 2;
const READERS_MAX: usize = 64;
/// Pieces of a body that are on the way to the connection.
const PIECES: usize = 4;
/// Bytes of a refusal that are read.
const REFUSAL_MAX: usize = 4096;
/// Places that a server may send this to, one after the other.
const REDIRECTS_MAX: u32 = 5;

/// What is needed to reach a service.
#[derive(Debug, Clone)]
pub struct Means {
    /// Git, which knows passwords.
    pub git: Git,
    /// Time limits.
    pub patience: Patience,
    /// The certificates to believe instead of the system's.
    pub roots: Option<Authorities>,
    /// What the user has of his own for the server.
    pub own: Own,
    /// What git's configuration says of a proxy; nothing where the environment has its say.
    pub proxy: Option<String>,
    /// How ssh is run.
    pub ssh: Ssh,
}

/// A service that is reached over the network, or over ssh.
pub struct Network {
    core: Arc<Core>,
}

/// What requests and the answers that are still read share.
struct Core {
    runtime: Option<Runtime>,
    means: Means,
    budget: Arc<Budget>,
    /// Where the service is, until it says that it is somewhere else.
    origin: Mutex<Arc<Origin>>,
    pace: Mutex<Arc<Pace>>,
    /// Microseconds until a request was answered, at best.
    round_trip: AtomicU64,
    described: String,
}

/// An answer, and the connection where that is given back after it.
type Answered = (Response<Incoming>, Option<Lent>);

/// What to do after an attempt.
enum Next {
    Done(Response<Incoming>, Option<Lent>),
    /// Another login or another place is known now.
    Again,
}

impl Network {
    /// A service over HTTP. Nothing connects yet.
    ///
    /// # Errors
    /// Where certificates can't be read, or threads not be had.
    pub fn over_http(place: &HttpPlace, means: Means) -> Result<Network, ExchangeError> {
        let origin = Origin::net(place.clone(), &means, means.own.clone(), 0)?;
        Network::new(origin, place.to_string(), means)
    }

    /// A service of the lob on a machine that ssh reaches. Nothing connects yet.
    ///
    /// # Errors
    /// Where threads can't be had.
    pub fn over_ssh(place: &SshPlace, means: Means) -> Result<Network, ExchangeError> {
        let way = Way::Ssh(place.clone(), means.ssh.clone());
        let own = Own::default();
        let origin = Origin::new((Base::Ssh, own), way, Logins::default(), &means, 0);
        Network::new(origin, place.to_string(), means)
    }

    fn new(origin: Origin, described: String, means: Means) -> Result<Network, ExchangeError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(READERS_MAX)
            .thread_name("lob-net")
            .enable_all()
            .build()
            .map_err(|error| lasting(format_args!("no threads for the network: {error}"), None))?;
        let core = Core {
            runtime: Some(runtime),
            budget: Arc::new(Budget::new(means.patience.budget)),
            means,
            origin: Mutex::new(Arc::new(origin)),
            pace: Mutex::new(Arc::new(Pace::unlimited())),
            round_trip: AtomicU64::new(u64::MAX),
            described,
        };
        Ok(Network {
            core: Arc::new(core),
        })
    }
}

impl Exchange for Network {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        let ((response, lent), exchanging) = match body {
            Body::Bytes(bytes) => {
                let began = Instant::now();
                let answered = self.core.repeat(verb, &Bytes::from(bytes))?;
                self.core.took(began.elapsed());
                (answered, None)
            }
            Body::Stream(stream) => {
                let (answered, exchanging) = self.core.once(verb, stream)?;
                (answered, Some(exchanging))
            }
        };
        let incoming = response.into_body();
        Ok(Box::new(Answer::new(
            self.core.handle()?.clone(),
            (incoming, lent),
            self.core.means.patience.stall,
            (self.core.budget.clone(), self.core.pace()),
            Arc::new((self.core.clone(), exchanging)),
        )))
    }

    fn round_trip(&self) -> Option<Duration> {
        let micros = self.core.round_trip.load(Ordering::Relaxed);
        (micros < u64::MAX).then(|| Duration::from_micros(micros))
    }

    fn limit(&self, bytes_per_second: Option<u64>) -> bool {
        let mut pace = self
            .core
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if pace.rate() != bytes_per_second {
            *pace = Arc::new(Pace::of(bytes_per_second));
        }
        true
    }

    fn describe(&self) -> String {
        self.core.described.clone()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({})", self.described)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A thread may still read a body that nobody wants any more.
            runtime.shutdown_background();
        }
    }
}

impl Core {
    fn handle(&self) -> Result<&Handle, ExchangeError> {
        let runtime = self.runtime.as_ref();
        let runtime = runtime.ok_or_else(|| lasting("the connection is closed", None))?;
        Ok(runtime.handle())
    }

    fn origin(&self) -> Arc<Origin> {
        let origin = self.origin.lock();
        origin.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pace(&self) -> Arc<Pace> {
        let pace = self.pace.lock();
        pace.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of how long it took until a request was answered.
    fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let _ = self.round_trip.fetch_min(micros, Ordering::Relaxed);
    }

    /// Sends a request that can be sent again, until it is answered or that makes no sense any more.
    fn repeat(&self, verb: Verb, body: &Bytes) -> Result<Answered, ExchangeError> {
        let mut attempt = 1;
        loop {
            let origin = self.origin();
            let login = origin.login();
            self.pace().take(body.len() as u64);
            let whole = (Pieces::Whole(body.clone()), &Sending::whole());
            let sent = self.send(&origin, verb, whole, login.as_ref());
            let (error, wish) =
                match sent.and_then(|sent| self.judge(&origin, sent, login.as_ref())) {
                    Ok(Next::Done(response, lent)) => {
                        self.budget.note_sent(body.len());
                        self.budget.note_received(0);
                        return Ok((response, lent));
                    }
                    Ok(Next::Again) => continue,
                    Err(trouble) => (trouble.error, trouble.wish),
                };
            let left = self.budget.left(Instant::now().into_std());
            let patience = &self.means.patience;
            let wait = patience.wait(attempt, random());
            let wait = wait.max(wish.unwrap_or_default().min(patience.longest_wait));
            if !error.is_transient() {
                return Err(error);
            }
            if wait >= left {
                return Err(final_after(error, attempt, self.budget.moved()));
            }
            std::thread::sleep(wait);
            attempt += 1;
        }
    }

    /// Sends a request whose body is made while it is sent: once.
    fn once(
        &self,
        verb: Verb,
        stream: Box<dyn Stream>,
    ) -> Result<(Answered, Exchanging), ExchangeError> {
        let origin = self.origin();
        let login = origin.login();
        let (sender, pieces) = mpsc::channel(PIECES);
        let (sending, budget) = (Arc::new(Sending::stream()), self.budget.clone());
        let (exchanging, pace) = (Exchanging(sending.clone()), self.pace());
        let pump = move || sending.pump(stream, &sender, (&budget, &pace));
        drop(self.handle()?.spawn_blocking(pump));
        let body = (Pieces::Stream(pieces), &*exchanging.0);
        let sent = self.send(&origin, verb, body, login.as_ref());
        let judged = sent.and_then(|sent| self.judge(&origin, sent, login.as_ref()));
        match judged.map_err(|trouble| trouble.error)? {
            Next::Done(response, lent) => Ok(((response, lent), exchanging)),
            Next::Again => Err(passing("the server wants this said in another way")),
        }
    }

    /// One attempt.
    fn send(
        &self,
        origin: &Arc<Origin>,
        verb: Verb,
        (body, sending): (Pieces, &Sending),
        login: Option<&HeaderValue>,
    ) -> Result<Answered, Trouble> {
        let patience = &self.means.patience;
        let sent = async {
            let ready = origin.pool.ready().await?;
            let request = origin.request(verb, body, login, ready.is_shared())?;
            let mut sent = pin!(ready.send(request));
            loop {
                let (deadline, limit) = sending.deadline(patience);
                tokio::select! {
                    sent = sent.as_mut() => return sent,
                    () = sleep_until(deadline) => {}
                }
                if sending.deadline(patience).0 <= Instant::now() {
                    return Err(late("the answer", limit));
                }
            }
        };
        Ok(self.handle()?.block_on(sent)?)
    }

    /// What an answer means, by its status.
    fn judge(
        &self,
        origin: &Arc<Origin>,
        (response, lent): Answered,
        login: Option<&HeaderValue>,
    ) -> Result<Next, Trouble> {
        let status = response.status();
        if status == StatusCode::OK {
            return self.accept(origin, response, lent);
        }
        if status.is_redirection() {
            return self.follow(origin, &response).map_err(Trouble::from);
        }
        let wish = response.headers().get(RETRY_AFTER);
        let wish = wish.and_then(|wish| wish.to_str().ok()?.parse().ok());
        let text = self.text(response)?;
        if let (Some(lent), true) = (lent, text.len() < REFUSAL_MAX) {
            lent.give_back();
        }
        let refusal = Refusal::from_text(status.as_u16(), &text);
        if refusal.kind == RefusalKind::Unauthorized
            && let Base::Net(place) = &origin.base
            && origin.logins().refused(&self.means.git, place, login)?
        {
            return Ok(Next::Again);
        }
        Err(Trouble {
            error: ExchangeError::Refused(refusal),
            wish: wish.map(Duration::from_secs),
        })
    }

    fn accept(
        &self,
        origin: &Arc<Origin>,
        response: Response<Incoming>,
        lent: Option<Lent>,
    ) -> Result<Next, Trouble> {
        let kind = response.headers().get(CONTENT_TYPE);
        if kind.is_none_or(|kind| kind.as_bytes() != b"application/x-lob") {
            let message = format!("{} answers, but is no lob server", self.described);
            return Err(lasting(message, Some("is the URL right?")).into());
        }
        if origin.settle() {
            origin.logins().accepted(&self.means.git);
        }
        Ok(Next::Done(response, lent))
    }

    /// Goes where a server sends its first request. Credentials stay behind unless it is the same server.
    fn follow(
        &self,
        origin: &Arc<Origin>,
        response: &Response<Incoming>,
    ) -> Result<Next, ExchangeError> {
        let refuse = |why: &str| {
            let message = format!("{} sends this elsewhere, {why}", self.described);
            lasting(message, Some("set the URL to where the server is now"))
        };
        let Base::Net(old) = &origin.base else {
            return Err(refuse("which a service over ssh has no reason to"));
        };
        if origin.is_settled() {
            return Err(refuse("after it has answered before"));
        }
        if origin.redirects >= REDIRECTS_MAX {
            return Err(refuse("again and again"));
        }
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let location = location.ok_or_else(|| refuse("and does not say where"))?;
        let mut new =
            redirected(old, location).ok_or_else(|| refuse("to no place of a lob server"))?;
        if old.tls && !new.tls {
            return Err(refuse("where nothing is encrypted"));
        }
        if new.is_same_origin(old) {
            (new.user, new.password) = (old.user.clone(), old.password.clone());
        }
        let own = match new.is_same_origin(old) {
            true => origin.own.clone(),
            false => Own::default(),
        };
        let new = Origin::net(new, &self.means, own, origin.redirects + 1)?;
        let new = Arc::new(new);
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(Next::Again)
    }

    /// The begin of a short text.
    fn text(&self, response: Response<Incoming>) -> Result<String, ExchangeError> {
        let stall = self.means.patience.stall;
        let mut body = response.into_body();
        let read = async {
            let mut text = Vec::new();
            while text.len() < REFUSAL_MAX {
                match timeout(stall, body.frame()).await {
                    Ok(Some(Ok(frame))) => text.extend(frame.into_data().unwrap_or_default()),
                    // The status says enough.
                    _ => break,
                }
            }
            text.truncate(REFUSAL_MAX);
            text
        };
        let text = self.handle()?.block_on(read);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// An error, and how long the server wants to be left alone.
struct Trouble {
    error: ExchangeError,
    wish: Option<Duration>,
}

impl From<ExchangeError> for Trouble {
    fn from(error: ExchangeError) -> Trouble {
        Trouble { error, wish: None }
    }
}

//! What a server answers: who asks is found out, the repository opened, the request handed to a thread.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::access::Gate;
use super::answer::{AnswerWriter, Head};
use super::body::BodyReader;
use super::limits::Limits;
use super::log::{Entry, Log};
use super::metrics::Metrics;
use super::name::RepoName;
use crate::remote::http::Pieces;
use crate::wire::{Caller, Refusal, RefusalKind, Rights, Serve, Verb};

/// What stands between the path of a repository and the verb.
const API: &str = "/lob/v1/";
/// The type of requests and answers.
const CONTENT: HeaderValue = HeaderValue::from_static("application/x-lob");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Finds the service of a repository.
pub trait Places: Send + Sync {
    /// The service of the store of `name`. `rights` are those of who asks: a store that is not there yet
    /// may be made for somebody who may append. Blocks.
    fn open(&self, name: &RepoName, rights: Rights) -> Result<Arc<dyn Serve>, Refusal>;

    /// Bytes that came and wait to be verified.
    fn staged(&self) -> u64 {
        0
    }
}

/// Where a connection comes from.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Its address, for logs.
    pub(super) from: String,
    /// Whether it is on this machine.
    pub(super) is_local: bool,
}

/// All that the connections of a server share.
pub struct App {
    places: Box<dyn Places>,
    gate: Gate,
    limits: Limits,
    slots: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
    log: Arc<Log>,
    behind_proxy: bool,
}

/// A request that may be answered.
struct Call {
    name: RepoName,
    verb: Verb,
    caller: Caller,
    /// Whether he may have more rights than he has shown.
    is_nameless: bool,
    began: Instant,
}

impl App {
    /// A server's own part of the work.
    pub fn new(places: Box<dyn Places>, gate: Gate, limits: Limits, log: Arc<Log>) -> App {
        App {
            places,
            gate,
            slots: Arc::new(Semaphore::new(limits.requests)),
            limits,
            metrics: Arc::default(),
            log,
            behind_proxy: false,
        }
    }

    /// The same, behind a proxy that says from where requests come.
    pub fn behind_proxy(self, behind_proxy: bool) -> App {
        App {
            behind_proxy,
            ..self
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Answers one request.
    pub(super) async fn answer(
        self: Arc<App>,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<Pieces> {
        let peer = self.behind(peer, request.headers());
        // HTTP/2 holds to this limit itself; HTTP/1 reads bodies into the same buffer as heads.
        if head_bytes(&request) > self.limits.head_bytes {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return text(status, "the head of the request is too long\n".into());
        }
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::GET, "/healthz") => return text(StatusCode::OK, "ok\n".into()),
            (&Method::GET, "/metrics") => return self.figures(&peer, &request),
            _ => {}
        }
        let began = Instant::now();
        let what = format!("{} {path}", request.method());
        match self.clone().call(&peer, request, began).await {
            Ok(response) => response,
            Err(refusal) => {
                self.metrics.refused(refusal.kind);
                self.log.access(&Entry {
                    from: &peer.from,
                    what: &what,
                    status: refusal.kind.status(),
                    began,
                    ..Entry::default()
                });
                refused(&refusal)
            }
        }
    }

    /// Where a request comes from that a proxy passed on: as the proxy says, where it is to be believed.
    fn behind(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        let Some(chain) = headers.get("x-forwarded-for") else {
            return peer;
        };
        // The last one is what our proxy saw; those before are what it was told.
        let last = chain
            .to_str()
            .ok()
            .and_then(|chain| chain.rsplit(',').next());
        let last = last.and_then(|last| last.trim().parse::<std::net::IpAddr>().ok());
        Peer {
            from: match last.filter(|_| self.behind_proxy) {
                Some(address) => address.to_string(),
                None => peer.from,
            },
            is_local: false,
        }
    }

    /// The figures are for those on this machine, and for those who may read everything.
    fn figures(&self, peer: &Peer, request: &Request<Incoming>) -> Response<Pieces> {
        if !peer.is_local && !self.gate.is_known(request.headers()) {
            return refused(&unknown());
        }
        text(StatusCode::OK, self.metrics.page(self.places.staged()))
    }

    async fn call(
        self: Arc<App>,
        peer: &Peer,
        request: Request<Incoming>,
        began: Instant,
    ) -> Result<Response<Pieces>, Refusal> {
        let (name, verb) = target(request.method(), request.uri().path())?;
        let caller = self.gate.admit(request.headers(), &name, &peer.from)?;
        let is_nameless = self.gate.is_nameless(request.headers());
        if caller.rights < verb.needs() {
            let refusal = Refusal::forbidden(&caller.name, verb.needs());
            return Err(asking(refusal, is_nameless));
        }
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.limits.request_bytes) {
            let message = "the request is longer than this server takes";
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            let message = "as many requests as this server takes are under way";
            return Err(Refusal::new(RefusalKind::Busy, message));
        };
        let call = Call {
            name,
            verb,
            caller,
            is_nameless,
            began,
        };
        match self.start(call, request.into_body(), slot).await {
            Ok(Head::Whole(bytes)) => Ok(content(Pieces::Whole(bytes))),
            Ok(Head::Stream(body)) => Ok(content(body)),
            // The thread has logged it.
            Ok(Head::Refused(refusal)) => Ok(refused(&refusal)),
            Err(_) => Ok(refused(&broken())),
        }
    }

    /// Hands a request to a thread; what comes back is the head of its answer.
    fn start(
        self: Arc<App>,
        call: Call,
        body: Incoming,
        slot: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<Head> {
        let (writer, head) = AnswerWriter::new(&self.limits);
        // The last who holds the connection's end of the channels notices a panic by their ends.
        drop(tokio::task::spawn_blocking(move || {
            let _slot = slot;
            self.run(&call, BodyReader::new(body, &self.limits), writer);
        }));
        head
    }

    /// Answers on a thread of its own.
    fn run(&self, call: &Call, mut body: BodyReader, mut answer: AnswerWriter) {
        let served = panic::catch_unwind(AssertUnwindSafe(|| {
            let service = self.places.open(&call.name, call.caller.rights)?;
            service.serve(&call.caller, call.verb, &mut body, &mut answer)
        }));
        let served = served.unwrap_or_else(|_| Err(broken()));
        // What the body suffered from says more than what the service made of it.
        let served = served.map_err(|refusal| body.fault().unwrap_or(refusal));
        let served = served.map_err(|refusal| asking(refusal, call.is_nameless));
        let served = served.and_then(|()| self.audit(call, &body));
        let (sent, received) = (answer.sent(), body.received());
        let mut status = 200;
        if let Err(refusal) = &served {
            status = refusal.kind.status();
            self.metrics.refused(refusal.kind);
        }
        body.drain();
        self.metrics
            .served(call.verb, received, sent, call.began.elapsed());
        let entry = Entry {
            from: &call.caller.from,
            who: &call.caller.name,
            what: call.verb.name(),
            repository: call.name.as_str(),
            status,
            received,
            sent,
            began: call.began,
            gone: false,
        };
        if answer.is_unsent() {
            // Before anybody can know of it, so that the log has the order of what was seen.
            self.log.access(&entry);
            return match served {
                Err(refusal) => answer.refuse(refusal),
                // Who asked may be gone.
                Ok(()) => drop(answer.finish()),
            };
        }
        // What has left can't be taken back; the answer itself says how it ended.
        let gone = answer.finish().is_err();
        self.log.access(&Entry { gone, ..entry });
    }

    /// Notes a write before it is acknowledged.
    fn audit(&self, call: &Call, body: &BodyReader) -> Result<(), Refusal> {
        if !call.verb.writes() {
            return Ok(());
        }
        let noted = self.log.audit(&Entry {
            from: &call.caller.from,
            who: &call.caller.name,
            what: call.verb.name(),
            repository: call.name.as_str(),
            status: 200,
            received: body.received(),
            began: call.began,
            ..Entry::default()
        });
        noted.map_err(|error| {
            let message = format!("the server cannot write its audit log: {error}");
            Refusal::new(RefusalKind::Internal, message)
        })
    }
}

/// The repository and the verb that a request is for.
fn target(method: &Method, path: &str) -> Result<(RepoName, Verb), Refusal> {
    let missing = |message: &str| Refusal::new(RefusalKind::NotFound, message);
    let (repository, verb) = path
        .rsplit_once(API)
        .ok_or_else(|| missing("this is a lob server; nothing else is here"))?;
    if method != Method::POST {
        return Err(Refusal::new(RefusalKind::BadRequest, "requests are POST"));
    }
    let name = RepoName::from_url_path(repository)
        .ok_or_else(|| missing("this is not the name of a repository"))?;
    let verb = Verb::named(verb)
        .ok_or_else(|| Refusal::new(RefusalKind::Unsupported, "this server knows no such verb"))?;
    Ok((name, verb))
}

/// Who shows no token, and may not do what he asks for, is asked who he is.
fn asking(refusal: Refusal, is_nameless: bool) -> Refusal {
    match refusal.kind == RefusalKind::Forbidden && is_nameless {
        true => unknown(),
        false => refusal,
    }
}

/// What somebody hears who did not say who he is.
pub(super) fn unknown() -> Refusal {
    let message = "this server wants to know who asks: a token is missing, wrong or revoked";
    Refusal::new(RefusalKind::Unauthorized, message)
}

fn broken() -> Refusal {
    let message = "the server failed at this request; its log says more";
    Refusal::new(RefusalKind::Internal, message)
}

fn content(body: Pieces) -> Response<Pieces> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, CONTENT);
    response
}

/// Bytes of the target and the headers.
fn head_bytes(request: &Request<Incoming>) -> usize {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
    let target = request.uri().path_and_query();
    headers.sum::<usize>() + target.map_or(0, |target| target.as_str().len())
}

fn text(status: StatusCode, page: String) -> Response<Pieces> {
    let mut response = Response::new(Pieces::Whole(Bytes::from(page)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

fn refused(refusal: &Refusal) -> Response<Pieces> {
    let status = StatusCode::from_u16(refusal.kind.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = text(status, refusal.to_text() + "\n");
    let headers = response.headers_mut();
    if refusal.kind == RefusalKind::Unauthorized {
        let realm = HeaderValue::from_static("Basic realm=\"lob\", charset=\"UTF-8\"");
        headers.insert(WWW_AUTHENTICATE, realm);
    }
    if refusal.kind.is_transient() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_repository_and_a_verb() {
        let find = |path| target(&Method::POST, path);
        let (name, verb) = find("/team/game/lob/v1/hello").unwrap();
        assert_eq!((name.as_str(), verb), ("team/game", Verb::Hello));
        // A repository may be called as the interface is.
        let (name, _) = find("/a/lob/v1/b/lob/v1/put").unwrap();
        assert_eq!(name.as_str(), "a/lob/v1/b");
        for (path, kind) in [
            ("/", RefusalKind::NotFound),
            ("/lob/v1/hello", RefusalKind::NotFound),
            ("/../x/lob/v1/hello", RefusalKind::NotFound),
            ("/%2e%2e/x/lob/v1/hello", RefusalKind::NotFound),
            ("/x/lob/v2/hello", RefusalKind::NotFound),
            ("/x/lob/v1/Hello", RefusalKind::Unsupported),
            ("/x/lob/v1/", RefusalKind::Unsupported),
        ] {
            assert_eq!(find(path).unwrap_err().kind, kind, "{path}");
        }
        let got = target(&Method::GET, "/x/lob/v1/hello").unwrap_err();
        assert_eq!(got.kind, RefusalKind::BadRequest);
    }
}

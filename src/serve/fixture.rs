//! A service that tests can see through, and a server of it on a port of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;

use super::metrics::Metrics;
use super::{App, Gate, Grant, Limits, Log, Places, RepoName, Server, Stopper};
use crate::wire::{Caller, Refusal, RefusalKind, Rights, Serve, Verb};

/// Answers with what it gets, or as the verb says:
/// `sizes` sends so many bytes as the request's text asks for, `hold` refuses, `digest` panics,
/// `kin` is busy for the first requests, `hello` says who asks.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    /// Requests that `kin` refuses as busy.
    pub(crate) busy: usize,
    pub(crate) calls: AtomicUsize,
}

impl Serve for Echo {
    fn serve(
        &self,
        caller: &Caller,
        verb: Verb,
        body: &mut dyn Read,
        answer: &mut dyn Write,
    ) -> Result<(), Refusal> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        let failed =
            |error: std::io::Error| Refusal::new(RefusalKind::BadRequest, error.to_string());
        match verb {
            Verb::Hello => {
                let who = format!("{} {:?}", caller.name, caller.rights);
                answer.write_all(who.as_bytes()).map_err(failed)
            }
            Verb::Sizes => {
                let mut text = String::new();
                body.read_to_string(&mut text).map_err(failed)?;
                let mut left: usize = text.parse().unwrap_or_default();
                while left > 0 {
                    let piece = left.min(10_000);
                    answer.write_all(&[7; 10_000][..piece]).map_err(failed)?;
                    left -= piece;
                }
                Ok(())
            }
            Verb::Hold => Err(Refusal::new(RefusalKind::Full, "no room: here")),
            Verb::Kin if calls < self.busy => Err(Refusal::new(RefusalKind::Busy, "later")),
            Verb::Digest => panic!("as the test wants it"),
            _ => std::io::copy(body, answer).map(drop).map_err(failed),
        }
    }
}

/// Every name is the same service.
pub(crate) struct One(pub(crate) Arc<Echo>);

impl Places for One {
    fn open(&self, name: &RepoName, _: Rights) -> Result<Arc<dyn Serve>, Refusal> {
        match name.as_str() {
            "none" => Err(Refusal::new(RefusalKind::NotFound, "no store is here")),
            _ => Ok(self.0.clone()),
        }
    }
}

/// A server that stops with the test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) echo: Arc<Echo>,
    metrics: Arc<Metrics>,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(gate: Gate, limits: Limits, log: Log, tls: Option<TlsAcceptor>) -> Running {
        Running::with(Echo::default(), gate, limits, log, tls)
    }

    pub(crate) fn with(
        echo: Echo,
        gate: Gate,
        limits: Limits,
        log: Log,
        tls: Option<TlsAcceptor>,
    ) -> Running {
        let echo = Arc::new(echo);
        let app = App::new(Box::new(One(echo.clone())), gate, limits, Arc::new(log));
        let metrics = app.metrics.clone();
        let server = Server::new(app).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopper = server.stopper();
        let thread = std::thread::spawn(move || server.listen(listener, tls).unwrap());
        Running {
            address,
            echo,
            metrics,
            stopper,
            thread: Some(thread),
        }
    }

    /// One in which everybody may do everything.
    pub(crate) fn open(limits: Limits) -> Running {
        Running::start(everybody(), limits, Log::none(), None)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> u64 {
        self.metrics.accepted()
    }

    pub(crate) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server ends");
        }
    }
}

/// A gate that lets all in.
pub(crate) fn everybody() -> Gate {
    Gate::let_in("tester".into(), "test".into(), Grant::Write)
}

/// Limits with which no test waits long for a time limit to be over.
pub(crate) fn hasty() -> Limits {
    let short = Duration::from_millis(300);
    Limits {
        head: short,
        stall: short,
        idle: short,
        grace: short,
        ..Limits::default()
    }
}

//! The connections to one server that are kept.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};

use super::budget::Patience;
use super::dial::{Link, Way};
use super::fault::{chain, passing};
use super::pieces::Pieces;
use super::ssh::Said;
use crate::wire::ExchangeError;

/// Connections for one request at a time that are kept for the next.
const IDLE_MAX: usize = 8;

/// The connections of one way.
#[derive(Debug)]
pub(super) struct Pool {
    way: Way,
    patience: Patience,
    idle: Mutex<Vec<http1::SendRequest<Pieces>>>,
    /// Held while the one connection for many requests is made.
    many: tokio::sync::Mutex<Option<Many>>,
}

#[derive(Debug, Clone)]
struct Many {
    link: http2::SendRequest<Pieces>,
    said: Option<Arc<Said>>,
}

/// Where a connection goes that has carried its answer.
#[derive(Debug)]
pub(super) struct Lent {
    pool: Arc<Pool>,
    link: http1::SendRequest<Pieces>,
}

impl Lent {
    /// Gives it back: its answer was read to the end.
    pub(super) fn give_back(self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(self.link);
        }
    }
}

/// A connection that takes the next request.
#[derive(Debug)]
pub(super) struct Ready {
    link: Link,
    pool: Arc<Pool>,
}

impl Pool {
    pub(super) fn new(way: Way, patience: Patience) -> Pool {
        Pool {
            way,
            patience,
            idle: Mutex::default(),
            many: tokio::sync::Mutex::new(None),
        }
    }

    /// A connection that is there, or a new one.
    pub(super) async fn ready(self: &Arc<Pool>) -> Result<Ready, ExchangeError> {
        let ready = |link| Ready {
            link,
            pool: self.clone(),
        };
        while let Some(mut link) = self.pop() {
            if link.ready().await.is_ok() {
                return Ok(ready(Link::One(link)));
            }
        }
        let mut many = self.many.lock().await;
        if let Some(known) = many.as_mut() {
            if known.link.ready().await.is_ok() {
                let Many { link, said } = known.clone();
                return Ok(ready(Link::Many(link, said)));
            }
            *many = None;
        }
        // One at a time as long as nobody knows whether the server takes many on one; then that many.
        let may_share = !matches!(&self.way, Way::Net(net) if net.tls.is_none());
        let many = may_share.then_some(many);
        let link = self.way.dial(&self.patience).await?;
        if let (Link::Many(link, said), Some(mut many)) = (&link, many) {
            *many = Some(Many {
                link: link.clone(),
                said: said.clone(),
            });
        }
        Ok(ready(link))
    }

    fn pop(&self) -> Option<http1::SendRequest<Pieces>> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }
}

impl Ready {
    /// Sends a request; its answer comes with what to give back when it was read.
    pub(super) async fn send(
        self,
        request: Request<Pieces>,
    ) -> Result<(Response<Incoming>, Option<Lent>), ExchangeError> {
        let broken = |error: hyper::Error| passing(chain(&error));
        match self.link {
            Link::One(mut link) => {
                let response = link.send_request(request).await.map_err(broken)?;
                let lent = Lent {
                    pool: self.pool,
                    link,
                };
                Ok((response, Some(lent)))
            }
            Link::Many(mut link, said) => match (link.send_request(request).await, said) {
                (Ok(response), _) => Ok((response, None)),
                (Err(error), None) => Err(broken(error)),
                (Err(error), Some(said)) => Err(said.explain(broken(error)).await),
            },
        }
    }

    /// Whether many requests go over it.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.link, Link::Many(..))
    }
}

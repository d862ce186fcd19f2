//! One place of a service, and how a request to it is written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Version};

use super::dial::{Net, Way};
use super::fault::lasting;
use super::login::Logins;
use super::network::Means;
use super::own::Own;
use super::pieces::Pieces;
use super::place::HttpPlace;
use super::pool::Pool;
use super::tls::Roots;
use crate::wire::{ExchangeError, Verb};

/// What requests over ssh are addressed to: there is only one store.
const ONLY: &str = "/store";

/// One place of a service.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) base: Base,
    pub(super) own: Own,
    pub(super) pool: Arc<Pool>,
    logins: Mutex<Logins>,
    /// Whether it has answered; then it sends nobody elsewhere any more.
    is_settled: AtomicBool,
    pub(super) redirects: u32,
}

#[derive(Debug)]
pub(super) enum Base {
    Net(HttpPlace),
    Ssh,
}

impl Origin {
    pub(super) fn net(
        place: HttpPlace,
        means: &Means,
        own: Own,
        redirects: u32,
    ) -> Result<Origin, ExchangeError> {
        own.check(&place)?;
        let roots = Roots {
            named: means.roots.clone(),
            identity: own.identity.clone(),
        };
        let tls = place.tls.then(|| roots.config()).transpose()?;
        let authorities = means.roots.clone();
        let logins = Logins::of(&place);
        let proxy = means.proxy_for(&place).map_err(|why| {
            lasting(
                format_args!("the URL of the proxy is none: {why}"),
                Some("http.proxy of git's configuration, or the environment, says which"),
            )
        })?;
        let way = Way::Net(Net {
            place: place.clone(),
            tls,
            authorities,
            proxy,
        });
        let base = (Base::Net(place), own);
        Ok(Origin::new(base, way, logins, means, redirects))
    }

    pub(super) fn new(
        (base, own): (Base, Own),
        way: Way,
        logins: Logins,
        means: &Means,
        redirects: u32,
    ) -> Origin {
        Origin {
            base,
            own,
            pool: Arc::new(Pool::new(way, means.patience.clone())),
            logins: Mutex::new(logins),
            is_settled: AtomicBool::new(false),
            redirects,
        }
    }

    pub(super) fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A header that may be sent here.
    pub(super) fn login(&self) -> Option<HeaderValue> {
        match &self.base {
            Base::Net(place) if place.tls || place.is_loopback() => self.logins().header(),
            _ => None,
        }
    }

    pub(super) fn request(
        &self,
        verb: Verb,
        body: Pieces,
        login: Option<&HeaderValue>,
        is_shared: bool,
    ) -> Result<Request<Pieces>, ExchangeError> {
        let (scheme, authority, path) = match &self.base {
            Base::Net(place) => (place.scheme(), place.authority(), place.path.as_str()),
            Base::Ssh => ("http", "lob".to_owned(), ONLY),
        };
        let target = format!("{path}/lob/v1/{}", verb.name());
        let agent = concat!("lob/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::builder()
            .method(Method::POST)
            .header(CONTENT_TYPE, "application/x-lob")
            .header(USER_AGENT, agent);
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.own.headers.clone());
            if let Some(login) = login {
                headers.insert(AUTHORIZATION, login.clone());
            }
        }
        request = match is_shared {
            true => request
                .version(Version::HTTP_2)
                .uri(format!("{scheme}://{authority}{target}")),
            false => request.header(HOST, authority).uri(target),
        };
        request.body(body).map_err(|error| lasting(error, None))
    }

    /// Whether it has answered before.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// Notes that it has answered; returns whether it is the first time.
    pub(super) fn settle(&self) -> bool {
        !self.is_settled.swap(true, Ordering::Relaxed)
    }
}

/// The place that a request was sent to: a whole URL, or another path of the same server.
pub(super) fn redirected(old: &HttpPlace, location: &str) -> Option<HttpPlace> {
    let url = match location.starts_with('/') && !location.starts_with("//") {
        true => format!("{}://{}{location}", old.scheme(), old.authority()),
        false => location.to_owned(),
    };
    let (base, _verb) = url.rsplit_once("/lob/v1/")?;
    let mut place = HttpPlace::parse(base).ok()?;
    // What a server puts there is not the user's.
    (place.user, place.password) = (None, None);
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_names_the_place_of_the_same_verb() {
        let old = HttpPlace::parse("https://me:x@host/a").unwrap();
        for (location, place) in [
            ("/b/lob/v1/hello", Some("https://host/b")),
            (
                "https://other:444/b/lob/v1/hello",
                Some("https://other:444/b"),
            ),
            (
                "https://you:pw@other/b/lob/v1/hello",
                Some("https://other/b"),
            ),
            ("http://host/a/lob/v1/hello", Some("http://host/a")),
            ("//other/b/lob/v1/hello", None),
            ("https://host/login", None),
            ("ftp://host/b/lob/v1/hello", None),
            ("b/lob/v1/hello", None),
        ] {
            let found = redirected(&old, location);
            assert_eq!(
                found.as_ref().map(ToString::to_string).as_deref(),
                place,
                "{location}"
            );
            assert!(found.is_none_or(|place| place.user.is_none() && place.password.is_none()));
        }
    }
}

//! What the user has of his own for a server: headers for each request, and a certificate.
//!
//! Both are `http.*` settings of git. They are for the server that the URL names, and for no other to which
//! that one sends requests on; headers may be secret, so they are never printed.

use std::path::PathBuf;

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};

use super::fault::lasting;
use super::place::HttpPlace;
use crate::git::Config;
use crate::wire::ExchangeError;

/// What says how a request is read: nobody else may say so.
const TAKEN: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What the user has of his own for a server.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Headers that go with each request; their values are marked as secret.
    pub(super) headers: HeaderMap,
    /// Whether one was set that is none.
    has_bad: bool,
    /// The certificate that says who asks.
    pub(super) identity: Option<Identity>,
}

/// The files of a certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those above it.
    pub(super) certificate: PathBuf,
    /// Its key; the same file where no other is named.
    pub(super) key: PathBuf,
}

impl Own {
    /// The headers that `http.extraHeader` and `http.<url>.extraHeader` set for a place, and a certificate.
    pub(super) fn of(config: &Config, place: &HttpPlace, identity: Option<Identity>) -> Own {
        let mut own = Own {
            identity,
            ..Own::default()
        };
        for key in config.keys() {
            let url = key
                .strip_prefix(b"http.")
                .and_then(|rest| rest.strip_suffix(b"extraheader"));
            let is_meant = match url {
                Some(b"") => true,
                Some(url) => url.strip_suffix(b".").is_some_and(|url| covers(url, place)),
                None => false,
            };
            if is_meant {
                config.get_all(key).for_each(|line| own.add(line));
            }
        }
        own
    }

    /// One more line; an empty one takes all before it back, as git does.
    fn add(&mut self, line: &[u8]) {
        if line.is_empty() {
            self.headers.clear();
            self.has_bad = false;
            return;
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let parsed = colon.and_then(|colon| {
            let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
            let mut value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
            value.set_sensitive(true);
            (!TAKEN.contains(&name)).then_some((name, value))
        });
        match parsed {
            Some((name, value)) => drop(self.headers.append(name, value)),
            None => self.has_bad = true,
        }
    }

    /// Fails where a header was set that cannot be sent, or must not be.
    pub(super) fn check(&self, place: &HttpPlace) -> Result<(), ExchangeError> {
        if self.has_bad {
            return Err(lasting(
                "http.extraHeader of git's configuration is no header that can be set",
                Some("it is written NAME: VALUE"),
            ));
        }
        if !self.headers.is_empty() && !place.tls && !place.is_loopback() {
            return Err(lasting(
                format_args!("the headers for {place} would go over the network in the clear"),
                Some("use https, or set http.extraHeader for another URL only"),
            ));
        }
        Ok(())
    }
}

/// Whether a setting for this URL is one for the place: the same server, and a part of its path.
fn covers(url: &[u8], place: &HttpPlace) -> bool {
    let Ok(above) = HttpPlace::parse(&String::from_utf8_lossy(url)) else {
        return false;
    };
    let rest = place.path.strip_prefix(above.path.as_str());
    let is_beneath = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    above.is_same_origin(place) && is_beneath && (above.user.is_none() || above.user == place.user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(list: &[u8], url: &str) -> Own {
        let place = HttpPlace::parse(url).unwrap();
        Own::of(&Config::parse(list), &place, None)
    }

    #[test]
    fn headers_are_those_that_git_would_send_there() {
        let list =
            b"http.extraheader\nX-All: 1\0http.https://host/team/.extraHeader\nX-Team: two words\0\
            http.https://host:444/.extraheader\nX-Port: 3\0http.extraheader\nX-All: 4\0";
        let names = |url| {
            let found = own(list, url);
            let headers = found.headers.iter();
            let text = |(name, value): (&HeaderName, &HeaderValue)| {
                format!("{name}={}", value.to_str().unwrap())
            };
            headers.map(text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            names("https://host/team/game"),
            "x-all=1 x-all=4 x-team=two words"
        );
        assert_eq!(names("https://host/teams"), "x-all=1 x-all=4");
        assert_eq!(names("http://host/team"), "x-all=1 x-all=4");
        assert_eq!(names("https://host:444/x"), "x-all=1 x-all=4 x-port=3");
        let reset = b"http.extraheader\nX-All: 1\0http.extraheader\n\0http.extraheader\nX-New: 2\0";
        assert_eq!(own(reset, "https://host").headers.len(), 1);
    }

    #[test]
    fn what_is_no_header_is_told_and_never_shown() {
        let place = HttpPlace::parse("https://host").unwrap();
        for bad in [
            "no colon secret",
            "Host: secret",
            "content-length: 7",
            "a b: c",
            "x: \u{1}secret",
        ] {
            let list = [b"http.extraheader\n", bad.as_bytes()].concat();
            let own = own(&list, "https://host");
            let error = own.check(&place).unwrap_err();
            assert!(!format!("{own:?} {error:?}").contains("secret"), "{bad}");
        }
        let own = own(b"http.extraheader\nX-Token: secret", "https://host");
        assert!(own.check(&place).is_ok());
        assert!(!format!("{own:?}").contains("secret"));
        let clear = HttpPlace::parse("http://host").unwrap();
        assert!(own.check(&clear).is_err(), "not in the clear");
        assert!(
            own.check(&HttpPlace::parse("http://127.0.0.1:1").unwrap())
                .is_ok()
        );
    }
}

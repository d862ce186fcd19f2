//! What the user has of his own for a server: headers for each request, and a certificate.
//!
//! Both are `http.*` settings of git. They are for the server that the URL names, and for no other to which
//! that one sends requests on; headers may be secret, so they are never printed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};

use super::fault::lasting;
use super::place::HttpPlace;
use crate::git::path::path_buf;
use crate::git::{Config, Git};
use crate::wire::ExchangeError;

/// A variable of the environment that is true.
const ASKS: &str = "LOB_ASKS";

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
    pub(super) fn of(
        git: &Git,
        config: &Config,
        place: &HttpPlace,
        identity: Option<Identity>,
    ) -> Own {
        let mut own = Own {
            identity,
            ..Own::default()
        };
        let url = |key: &'_ [u8]| {
            let rest = key.strip_prefix(b"http.")?;
            let url = rest.strip_suffix(b"extraheader")?;
            Some(url.strip_suffix(b".").unwrap_or(url).to_vec())
        };
        let keys: Vec<_> = config
            .keys()
            .filter_map(|key| Some((key, url(key)?)))
            .collect();
        let urls: Vec<&[u8]> = keys.iter().map(|(_, url)| &**url).collect();
        let meant = covering(git, &urls, place);
        for (key, url) in &keys {
            if url.is_empty() || meant.contains(url.as_slice()) {
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

/// Those of `urls` whose settings git would take for a place: it is asked itself, in one go, by a setting for
/// each of them that is not there otherwise. Where it fails, nothing is meant.
fn covering<'u>(git: &Git, urls: &[&'u [u8]], place: &HttpPlace) -> HashSet<&'u [u8]> {
    let urls: Vec<&[u8]> = urls.iter().copied().filter(|url| !url.is_empty()).collect();
    if urls.is_empty() {
        return HashSet::new();
    }
    let mut words = Vec::new();
    for (n, url) in urls.iter().enumerate() {
        // With the one a git from before 2.31 is content, with the other a `=` in the URL.
        let (option, value) = match url.contains(&b'=') {
            false => ("-c", "true"),
            true => ("--config-env", ASKS),
        };
        let setting = [b"http.", *url, format!(".lobasks{n}={value}").as_bytes()].concat();
        words.extend([OsString::from(option), path_buf(&setting).into_os_string()]);
    }
    words.extend(["config", "-z", "--get-urlmatch", "http"].map(OsString::from));
    words.push(place.for_git().into());
    let answer = git.clone().with_env(ASKS, "true").output(words);
    let answer = answer.unwrap_or_default();
    let names = answer.split(|&byte| byte == 0);
    let numbers = names.filter_map(|name| {
        let name = name.split(|&byte| byte == b'\n').next()?;
        let number = name.strip_prefix(b"http.lobasks")?;
        std::str::from_utf8(number).ok()?.parse::<usize>().ok()
    });
    numbers.filter_map(|n| urls.get(n).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn own(list: &[u8], url: &str) -> Own {
        let place = HttpPlace::parse(url).unwrap();
        let fixture = Fixture::new();
        Own::of(fixture.git(), &Config::parse(list), &place, None)
    }

    #[test]
    fn headers_are_those_that_git_would_send_there() {
        let list =
            b"http.extraheader\nX-All: 1\0http.https://host/team/.extraHeader\nX-Team: two words\0\
            http.https://host:444/.extraheader\nX-Port: 3\0http.extraheader\nX-All: 4\0\
            http.https://*.example.com.extraheader\nX-Any: 5\0http.https://no url.extraheader\nX: 6\0\
            http.https://me@host.extraheader\nX-Me: 7\0http.https://host/a=b.extraheader\nX-Odd: 8\0";
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
        assert_eq!(
            names("https://lob.example.com/x"),
            "x-all=1 x-all=4 x-any=5"
        );
        assert_eq!(names("https://a.b.example.com/x"), "x-all=1 x-all=4");
        assert_eq!(names("https://example.com/x"), "x-all=1 x-all=4");
        assert_eq!(names("https://host/a=b/c"), "x-all=1 x-all=4 x-odd=8");
        assert_eq!(names("https://me@host/x"), "x-all=1 x-all=4 x-me=7");
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

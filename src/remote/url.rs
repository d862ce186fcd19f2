//! Where a store is: parsing of paths and URLs.

use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::http::Place;

/// The place of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine, or one that is mounted on it.
    Dir(PathBuf),
    /// Behind a service.
    Served(Place),
}

/// Schemes of services.
const SERVED: [&str; 5] = ["http", "https", "ssh", "git+ssh", "ssh+git"];
/// Schemes that later versions will reach, or that git itself uses.
const LATER: [&str; 3] = ["s3", "git", "ftp"];

/// Most characters of a place in a message.
const SHOWN_MAX: usize = 200;

impl Location {
    /// Parses a path (absolute, relative to `base`, or beneath the home directory as `~/...`) or a
    /// URL. `home` is the user's home directory where there is one.
    pub fn parse(text: &str, base: &Path, home: Option<&Path>) -> Result<Location> {
        let bad = |why| {
            Err(Error::BadLocation {
                text: shown(text),
                why,
            })
        };
        if text.is_empty() {
            return bad("it is empty");
        }
        if text.starts_with('-') {
            return bad("it begins with a dash");
        }
        if text.chars().any(char::is_control) {
            return bad("it contains a control character");
        }
        if let Some((scheme, rest)) = split_scheme(text) {
            if scheme == "file" {
                return file_url(text, rest);
            }
            if SERVED.contains(&scheme.as_str()) {
                return Place::parse(text).map(Location::Served).or_else(bad);
            }
            if LATER.contains(&scheme.as_str()) {
                return Err(Error::Unsupported {
                    scheme,
                    text: shown(text),
                });
            }
            return bad("its scheme is unknown; known are paths, file, http, https and ssh");
        }
        if is_scp_like(text) {
            return Place::parse(text).map(Location::Served).or_else(bad);
        }
        if let Some(rest) = text.strip_prefix('~') {
            return match (rest.strip_prefix('/'), home) {
                (Some(rest), Some(home)) => Ok(Location::Dir(home.join(rest))),
                (Some(_), None) => bad("there is no home directory for the ~"),
                (None, _) if rest.is_empty() => bad("it is a whole home directory"),
                (None, _) => bad("homes of other users are not looked up; write the path out"),
            };
        }
        Ok(Location::Dir(base.join(text)))
    }

    /// The same place as one text, as messages and the state files name it.
    pub fn text(&self) -> String {
        match self {
            Location::Dir(path) => path.to_string_lossy().into_owned(),
            Location::Served(place) => place.to_string(),
        }
    }
}

/// `text` for messages: cut, and of a URL without user, password and query, which may hold secrets.
pub fn shown(text: &str) -> String {
    // First what must not be seen: where the text is cut, nobody would know a password for one.
    let kept = match text.split_once("://") {
        None => text.to_string(),
        Some((scheme, rest)) => {
            let rest = rest.split('?').next().unwrap_or_default();
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
    };
    kept.chars().take(SHOWN_MAX).collect()
}

/// `scheme` in lower case and what follows `://`; `None` where the text is no URL.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let mut chars = scheme.chars();
    let first = chars.next()?.is_ascii_alphabetic();
    let others = chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (first && others).then(|| (scheme.to_ascii_lowercase(), rest))
}

/// git's rule for `host:path`: a colon before the first slash. One letter is a Windows drive.
fn is_scp_like(text: &str) -> bool {
    match text.find([':', '/']) {
        Some(at) => text[at..].starts_with(':') && !(cfg!(windows) && at == 1),
        None => false,
    }
}

fn file_url(text: &str, rest: &str) -> Result<Location> {
    let bad = |why| {
        Err(Error::BadLocation {
            text: shown(text),
            why,
        })
    };
    let path = match rest.find('/') {
        Some(0) => rest,
        Some(at) if rest[..at].eq_ignore_ascii_case("localhost") => &rest[at..],
        _ => return bad("a file URL is absolute: file:///path"),
    };
    let Some(bytes) = percent_decoded(path) else {
        return bad("a % is not followed by two hexadecimal digits");
    };
    if bytes.iter().any(|byte| byte.is_ascii_control()) {
        return bad("it contains a control character");
    }
    match path_from(bytes) {
        Some(path) => Ok(Location::Dir(path)),
        None => bad("it is not valid text on this system"),
    }
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

#[cfg(unix)]
fn path_from(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn path_from(bytes: Vec<u8>) -> Option<PathBuf> {
    let text = String::from_utf8(bytes).ok()?;
    // file:///C:/x names C:/x.
    let drive = text.as_bytes().get(2) == Some(&b':');
    Some(PathBuf::from(if drive { &text[1..] } else { &text[..] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location> {
        Location::parse(text, Path::new("/repo"), Some(Path::new("/home/me")))
    }

    #[test]
    fn paths_and_file_urls_are_directories() {
        for (text, path) in [
            ("/srv/lob", "/srv/lob"),
            ("../store", "/repo/../store"),
            ("store", "/repo/store"),
            ("./a:b", "/repo/./a:b"),
            ("~/lob", "/home/me/lob"),
            ("file:///srv/a%20b", "/srv/a b"),
            ("FILE://localhost/srv", "/srv"),
        ] {
            assert_eq!(parse(text).unwrap(), Location::Dir(path.into()), "{text}");
        }
    }

    #[test]
    fn other_urls_are_of_services() {
        for (text, same) in [
            ("https://me:secret@host/x", "https://host/x"),
            ("HTTP://host:8080/x", "http://host:8080/x"),
            ("ssh://host/x", "ssh://host/x"),
            ("git+ssh://me@host:22/x", "ssh://me@host:22/x"),
            ("git@host:x.git", "git@host:x.git"),
        ] {
            let place = parse(text).unwrap();
            assert!(matches!(place, Location::Served(_)), "{text}");
            assert_eq!(place.text(), same);
        }
        for text in [
            "ssh://-oProxyCommand=x/y",
            "-x:y",
            "host:-x",
            "https://",
            "http:///x",
        ] {
            assert!(
                matches!(parse(text), Err(Error::BadLocation { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn other_transports_are_named_as_not_yet_there() {
        for (text, scheme) in [("s3://me:secret@bucket", "s3"), ("git://host/x", "git")] {
            let error = parse(text).unwrap_err();
            assert!(
                matches!(&error, Error::Unsupported { scheme: s, .. } if s == scheme),
                "{text}"
            );
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn no_message_tells_a_secret() {
        let long = format!("https://{}:secret@host/x", "u".repeat(SHOWN_MAX));
        for (text, said) in [
            ("https://me:secret@host/x", "https://host/x"),
            ("https://me:s@secret@host", "https://host"),
            ("s3://bucket/x?signature=secret", "s3://bucket/x"),
            ("https://host?token=secret@host/x", "https://host"),
            (&long, "https://host/x"),
            ("/srv/a?b@c", "/srv/a?b@c"),
        ] {
            assert_eq!(shown(text), said);
            let text = parse(text).map_or_else(|error| error.to_string(), |place| place.text());
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            "-x",
            "--upload-pack=x",
            "a\nb",
            "file://host/x",
            "file://x",
            "file:///%zz",
            "file:///a%00",
            "foo://x",
            "~",
            "~other/x",
        ] {
            assert!(
                matches!(parse(text), Err(Error::BadLocation { .. })),
                "{text:?}"
            );
        }
    }
}

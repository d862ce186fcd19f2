//! Where a service is: checked parts of URLs, nothing of which a program takes for an option.

use std::fmt;

/// Most characters of a host's name.
const HOST_MAX: usize = 255;

/// A repository of a server that speaks HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpPlace {
    /// Whether TLS is spoken.
    pub(super) tls: bool,
    /// A name or an address; one of version 6 without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Begins with a slash and does not end with one; empty for the top.
    pub(super) path: String,
    /// The user in the URL, and the password, which nobody should write there.
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl HttpPlace {
    /// Parses `http://` or `https://` with a host, and optionally a user, a port and a path.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence about the URL.
    pub fn parse(url: &str) -> Result<HttpPlace, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("it is no URL")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("its scheme is neither http nor https"),
        };
        if rest.contains(['?', '#']) {
            return Err("it has a query or a fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address)?;
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => (Some(unescaped(user)?), Some(unescaped(password)?)),
            None => (None, None),
        };
        Ok(HttpPlace {
            tls,
            host,
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            path: checked_path(path)?,
            user: user.filter(|user| !user.is_empty()),
            password: password.filter(|password| !password.is_empty()),
        })
    }

    /// The host with its port where that is not the usual one, as it stands in URLs.
    pub(super) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The URL by which git looks for settings: with the user, and never with the password.
    pub(super) fn for_git(&self) -> String {
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"-._~".contains(&c);
        let escaped = |c: u8| match plain(c) {
            true => char::from(c).to_string(),
            false => format!("%{c:02X}"),
        };
        let user = self.user.as_ref().map(|user| user.bytes().map(escaped));
        let user = user.map_or(String::new(), |user| user.collect::<String>() + "@");
        format!(
            "{}://{user}{}{}",
            self.scheme(),
            self.authority(),
            self.path
        )
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Whether what is sent stays on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|host| host.is_loopback())
    }

    /// Whether both are one server, which may see the other's credentials.
    pub(super) fn is_same_origin(&self, other: &HttpPlace) -> bool {
        let host = self.host.eq_ignore_ascii_case(&other.host);
        host && self.tls == other.tls && self.port == other.port
    }
}

impl fmt::Display for HttpPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.path)
    }
}

impl fmt::Debug for HttpPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpPlace({self})")
    }
}

/// A store, or a repository with one, on a machine that ssh reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshPlace {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// As the far side has it: absolute, below the home directory, or with `~/` in front.
    pub(super) path: String,
}

impl SshPlace {
    /// Parses `ssh://[user@]host[:port]/path` or `[user@]host:path`, as git does.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence about the URL.
    pub fn parse(text: &str) -> Result<SshPlace, &'static str> {
        let (login, address, port, path) = match text.split_once("://") {
            Some((scheme, rest)) => {
                if !matches!(
                    scheme.to_ascii_lowercase().as_str(),
                    "ssh" | "git+ssh" | "ssh+git"
                ) {
                    return Err("its scheme is not ssh");
                }
                let slash = rest.find('/').ok_or("it has no path")?;
                let (authority, path) = rest.split_at(slash);
                let (login, address) = split_login(authority);
                let (host, port) = host_and_port(address)?;
                let path = unescaped(path)?;
                // ssh://host/~/x is below the home directory.
                let path = match path.strip_prefix("/~") {
                    Some(rest) => format!("~{rest}"),
                    None => path,
                };
                (login, host, port, path)
            }
            None => {
                let (authority, path) =
                    split_scp(text).ok_or("it is neither ssh:// nor host:path")?;
                let (login, address) = split_login(authority);
                let (host, _) = host_and_port(address)?;
                (login, host, None, path.to_owned())
            }
        };
        let user = login.map(unescaped).transpose()?;
        let user = user
            .map(|user| checked_user(&user).map(|()| user))
            .transpose()?;
        if path.is_empty() || path.starts_with('-') {
            return Err("its path is empty or begins with a dash");
        }
        if path.chars().any(char::is_control) {
            return Err("its path contains a control character");
        }
        Ok(SshPlace {
            user,
            host: address,
            port,
            path,
        })
    }

    /// What ssh is told as the one to connect to.
    pub(super) fn destination(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        }
    }
}

impl fmt::Display for SshPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let port = self
            .port
            .map_or_else(String::new, |port| format!(":{port}"));
        match (&self.user, slash, self.path.starts_with('~')) {
            // Relative to the home directory, which a URL can't say in another way.
            (_, "/", false) if self.port.is_none() => {
                let user = self
                    .user
                    .as_ref()
                    .map_or_else(String::new, |user| format!("{user}@"));
                write!(f, "{user}{host}:{}", self.path)
            }
            (user, _, _) => {
                let user = user
                    .as_ref()
                    .map_or_else(String::new, |user| format!("{user}@"));
                write!(f, "ssh://{user}{host}{port}{slash}{}", self.path)
            }
        }
    }
}

fn split_login(authority: &str) -> (Option<&str>, &str) {
    match authority.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    }
}

/// `host` and `path` of `host:path`, where the host may be an address in brackets.
fn split_scp(text: &str) -> Option<(&str, &str)> {
    let end = match text.find('[') {
        Some(open) if text[..open].ends_with('@') || open == 0 => {
            open + text[open..].find(']')? + 1
        }
        _ => text.find(':')?,
    };
    let path = text[end..].strip_prefix(':')?;
    Some((&text[..end], path))
}

fn host_and_port(address: &str) -> Result<(String, Option<u16>), &'static str> {
    let bad = "its port is no number from 1 to 65535";
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a bracket is not closed")?;
            let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
            if !is_address {
                return Err("there is no address of version 6 in its brackets");
            }
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(bad)?),
            };
            (host, port)
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let is_v6 = address.starts_with('[');
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || host.len() > HOST_MAX || host.starts_with('-') {
        return Err("it names no host");
    }
    if !is_v6 && !host.chars().all(good) {
        return Err("its host has characters that no host has");
    }
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|c| c.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|&port| port > 0).ok_or(bad)?)
        }
        Some(_) => return Err(bad),
    };
    Ok((host.to_owned(), port))
}

fn checked_user(user: &str) -> Result<(), &'static str> {
    let good =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '%' | '\\' | '@');
    match !user.is_empty() && !user.starts_with('-') && user.chars().all(good) {
        true => Ok(()),
        false => Err("its user has characters that no user has"),
    }
}

/// The path of a URL as requests carry it: escapes stay as they are.
fn checked_path(path: &str) -> Result<String, &'static str> {
    let good = |c: u8| {
        c.is_ascii_graphic()
            && !matches!(
                c,
                b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
            )
    };
    unescaped(path)?;
    let mut checked = String::with_capacity(path.len());
    for byte in path.trim_end_matches('/').bytes() {
        match good(byte) {
            true => checked.push(char::from(byte)),
            // As browsers send what people type.
            false => checked.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(checked)
}

fn unescaped(text: &str) -> Result<String, &'static str> {
    let bad = "a % is not followed by two hexadecimal digits";
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(bad);
        };
        out.push(u8::try_from(high * 16 + low).map_err(|_| bad)?);
    }
    let text = String::from_utf8(out).map_err(|_| "it is not UTF-8")?;
    match text.chars().any(char::is_control) {
        true => Err("it contains a control character"),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_their_parts() {
        for (url, shown) in [
            ("https://host/team/game", "https://host/team/game"),
            ("HTTPS://host:443/a/", "https://host/a"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80/x", "http://[::1]/x"),
            ("https://me:s%65cret@host/x", "https://host/x"),
            ("https://host/a b", "https://host/a%20b"),
        ] {
            assert_eq!(HttpPlace::parse(url).unwrap().to_string(), shown);
        }
        let place = HttpPlace::parse("https://me:s%65cret@host/x").unwrap();
        assert_eq!(place.user.as_deref(), Some("me"));
        assert_eq!(place.password.as_deref(), Some("secret"));
        assert!(!format!("{place:?}").contains("secret"));
        assert!(HttpPlace::parse("http://127.8.0.1/").unwrap().is_loopback());
        assert!(!HttpPlace::parse("http://10.0.0.1/").unwrap().is_loopback());
        for url in [
            "ftp://host/x",
            "host",
            "http://",
            "http:///x",
            "http://-x/",
            "http://a b/",
            "http://h:0/",
            "http://h:99999/",
            "http://h:x/",
            "http://[::1/",
            "http://[x]/",
            "http://h/x?y",
            "http://h/%zz",
            "http://h/%0a",
            "http://a%0d@h/",
        ] {
            assert!(HttpPlace::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let at = |url| HttpPlace::parse(url).unwrap();
        assert!(at("https://Host/x").is_same_origin(&at("https://host:443/y")));
        for other in [
            "http://host/x",
            "https://host:444/x",
            "https://other/x",
            "https://host.x/",
        ] {
            assert!(!at("https://host/x").is_same_origin(&at(other)), "{other}");
        }
    }

    #[test]
    fn ssh_places_are_read_as_git_reads_them() {
        for (text, destination, port, path, shown) in [
            (
                "ssh://host/srv/x.git",
                "host",
                None,
                "/srv/x.git",
                "ssh://host/srv/x.git",
            ),
            (
                "ssh://me@host:2222/srv/x",
                "me@host",
                Some(2222),
                "/srv/x",
                "ssh://me@host:2222/srv/x",
            ),
            ("ssh://host/~/x", "host", None, "~/x", "ssh://host/~/x"),
            ("ssh://host/a%20b", "host", None, "/a b", "ssh://host/a b"),
            ("host:x.git", "host", None, "x.git", "host:x.git"),
            (
                "git@host:team/x",
                "git@host",
                None,
                "team/x",
                "git@host:team/x",
            ),
            ("me@[::1]:/x", "me@::1", None, "/x", "ssh://me@[::1]/x"),
            ("host:~/x", "host", None, "~/x", "ssh://host/~/x"),
        ] {
            let place = SshPlace::parse(text).unwrap();
            assert_eq!(place.destination(), destination);
            assert_eq!((place.port, place.path.as_str()), (port, path), "{text}");
            assert_eq!(place.to_string(), shown);
        }
    }

    #[test]
    fn nothing_reaches_ssh_that_it_takes_for_something_else() {
        for text in [
            "ssh://-oProxyCommand=x/y",
            "-oProxyCommand=x:y",
            "ssh://-x@host/y",
            "-x@host:y",
            "host:-x",
            "ssh://host",
            "host:",
            "ssh://host:22;x/y",
            "ssh://a b/y",
            "ssh://host/%0a",
            "ssh://$(x)/y",
            "ssh://u;v@host/y",
            "ssh://host:-1/x",
            "ssh://host:x/y",
            "ssh:///x",
            ":x",
            "x",
            "http://host/x",
            "ssh://%2doProxy@host/y",
            "[::1:x",
            "ssh://host%0a/x",
        ] {
            assert!(SshPlace::parse(text).is_err(), "{text}");
        }
    }
}

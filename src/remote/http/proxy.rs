//! The proxy through which a network lets its machines out, as git and curl are told of it.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fault::{lasting, passing};
use super::place::HttpPlace;
use crate::wire::ExchangeError;

/// Most bytes of what a proxy says before bytes go through it.
const HEAD_MAX: usize = 8 << 10;

/// The proxy for `place`: what git's `http.proxy` says, where it is set, else the environment, unless one
/// of the hosts in `no_proxy` is meant. `env` gives a variable of this name.
///
/// # Errors
/// What is wrong with its URL, as the end of a sentence about that.
pub(super) fn chosen(
    place: &HttpPlace,
    configured: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<HttpPlace>, &'static str> {
    let either = |name: &str| {
        let value = env(name).or_else(|| env(&name.to_ascii_uppercase()));
        value.filter(|value| !value.is_empty())
    };
    let own = if place.tls {
        "https_proxy"
    } else {
        "http_proxy"
    };
    let url = match configured {
        Some(url) => Some(url.to_owned()).filter(|url| !url.is_empty()),
        None => either(own).or_else(|| either("all_proxy")),
    };
    let Some(url) = url else {
        return Ok(None);
    };
    let spared = either("no_proxy").unwrap_or_default();
    if place.is_loopback()
        || spared
            .split(',')
            .any(|host| covers(host.trim(), &place.host))
    {
        return Ok(None);
    }
    let url = match url.contains("://") {
        true => url,
        false => format!("http://{url}"),
    };
    match HttpPlace::parse(&url)? {
        proxy if proxy.tls => Err("lob speaks no TLS to proxies"),
        proxy => Ok(Some(proxy)),
    }
}

/// Whether an entry of `no_proxy` means a host: the host itself, or a domain that it is in.
fn covers(entry: &str, host: &str) -> bool {
    let entry = entry.trim_start_matches('.').to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let is_in = host
        .strip_suffix(&entry)
        .is_some_and(|rest| rest.ends_with('.'));
    entry == "*" || (!entry.is_empty() && (host == entry || is_in))
}

/// A connection to `place` through a proxy.
pub(super) async fn tunnel(
    proxy: &HttpPlace,
    place: &HttpPlace,
) -> Result<TcpStream, ExchangeError> {
    let at = |error: io::Error| passing(format_args!("the proxy {}: {error}", proxy.authority()));
    let address = (proxy.host.as_str(), proxy.port);
    let mut stream = TcpStream::connect(address).await.map_err(at)?;
    let host = match place.host.contains(':') {
        true => format!("[{}]:{}", place.host, place.port),
        false => format!("{}:{}", place.host, place.port),
    };
    let mut head = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(user) = &proxy.user {
        let pair = format!("{user}:{}", proxy.password.as_deref().unwrap_or_default());
        head.push_str(&format!(
            "Proxy-Authorization: Basic {}\r\n",
            STANDARD.encode(pair)
        ));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.map_err(at)?;
    let mut answer = Vec::new();
    // One at a time: what follows the head is the server's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= HEAD_MAX {
            return Err(lasting("the proxy says too much", None));
        }
        answer.push(stream.read_u8().await.map_err(at)?);
    }
    let line = String::from_utf8_lossy(answer.split(|&b| b == b'\r').next().unwrap_or_default())
        .into_owned();
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(stream),
        Some(407) => Err(lasting(
            "the proxy wants to know who asks",
            Some("put user and password into http.proxy: http://user:password@host:port"),
        )),
        Some(500..) | None => Err(passing(format_args!("the proxy says: {line}"))),
        Some(_) => Err(lasting(format_args!("the proxy says: {line}"), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(url: &str, configured: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let place = HttpPlace::parse(url).unwrap();
        let chosen = chosen(&place, configured, &env).unwrap();
        chosen.map(|proxy| proxy.authority())
    }

    #[test]
    fn the_proxy_is_the_one_that_curl_would_take() {
        let https = [
            ("https_proxy", "http://p:1"),
            ("no_proxy", "near.example, .corp"),
        ];
        assert_eq!(
            choose("https://far.example/x", None, &https).as_deref(),
            Some("p:1")
        );
        assert_eq!(choose("http://far.example/x", None, &https), None);
        for near in [
            "near.example",
            "a.near.example",
            "x.corp",
            "localhost",
            "127.0.0.1",
        ] {
            assert_eq!(
                choose(&format!("https://{near}/x"), None, &https),
                None,
                "{near}"
            );
        }
        assert_eq!(
            choose("https://notnear.example/", None, &https).as_deref(),
            Some("p:1")
        );
        assert_eq!(
            choose("https://far.example/", Some(""), &https),
            None,
            "git says none"
        );
        assert_eq!(
            choose("https://far.example/", Some("q:2"), &https).as_deref(),
            Some("q:2")
        );
        let all = [("ALL_PROXY", "p"), ("NO_PROXY", "*")];
        assert_eq!(choose("https://far.example/", None, &all), None);
        assert_eq!(
            choose("https://far.example/", None, &all[..1]).as_deref(),
            Some("p")
        );
    }
}

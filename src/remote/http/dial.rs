//! Making a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError};

use super::budget::Patience;
use super::fault::{chain, lasting, late, passing};
use super::pieces::Pieces;
use super::place::{HttpPlace, SshPlace};
use super::proxy::tunnel;
use super::ssh::{self, Said, Ssh};
use super::tls::Authorities;
use crate::wire::ExchangeError;

/// Bytes of one answer that may be on the way while nobody reads it, and of all on a connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Bytes that are read from a connection at once, of HTTP/1.
const BODY_BUFFER: usize = 1 << 20;
/// Bytes of the head of an answer.
const HEAD_MAX: usize = 32 << 10;

/// The way to a server.
#[derive(Debug)]
pub(super) enum Way {
    /// TCP, and TLS where there is a configuration of it.
    Net(Net),
    /// The standard streams of a program that ssh runs.
    Ssh(SshPlace, Ssh),
}

/// The way to a server on the network.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) place: HttpPlace,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Those who are believed in place of those that this system believes.
    pub(super) authorities: Option<Authorities>,
    pub(super) proxy: Option<HttpPlace>,
}

/// A connection that takes requests.
#[derive(Debug)]
pub(super) enum Link {
    /// One request after the other.
    One(http1::SendRequest<Pieces>),
    /// Many at once, and, where a program carries them, what that says.
    Many(http2::SendRequest<Pieces>, Option<Arc<Said>>),
}

impl Way {
    /// Connects within the limit.
    pub(super) async fn dial(&self, patience: &Patience) -> Result<Link, ExchangeError> {
        let limit = patience.connect;
        match self {
            Way::Net(net) => match timeout(limit, net.dial(patience)).await {
                Ok(link) => link,
                Err(_) => Err(late("connecting", limit)),
            },
            Way::Ssh(place, ssh) => {
                let running = ssh::start(ssh.command(place), &place.host)?;
                let said = running.said();
                let many = match timeout(limit, many(running, patience)).await {
                    Ok(Ok(many)) => many,
                    Ok(Err(error)) => return Err(said.explain(error).await),
                    Err(_) => return Err(said.explain(late("connecting", limit)).await),
                };
                Ok(Link::Many(many, Some(said)))
            }
        }
    }
}

impl Net {
    async fn dial(&self, patience: &Patience) -> Result<Link, ExchangeError> {
        let place = &self.place;
        let stream = match &self.proxy {
            Some(proxy) => tunnel(proxy, place).await?,
            None => {
                let stream = TcpStream::connect((place.host.as_str(), place.port)).await;
                stream.map_err(|error| refused(place, &error))?
            }
        };
        // Where that can't be said requests are only later.
        let _ = stream.set_nodelay(true);
        let Some(config) = &self.tls else {
            return one(stream).await.map(Link::One);
        };
        let name = ServerName::try_from(place.host.clone())
            .map_err(|_| lasting("its host is no name that a certificate can have", None))?;
        let stream = TlsConnector::from(config.clone()).connect(name, stream);
        let stream = stream
            .await
            .map_err(|error| distrusted(&error, self.authorities.as_ref()))?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(Link::Many(many(stream, patience).await?, None)),
            _ => one(stream).await.map(Link::One),
        }
    }
}

fn refused(place: &HttpPlace, error: &io::Error) -> ExchangeError {
    let message = format!("connecting to {}: {error}", place.authority());
    match error.kind() {
        // Names that nobody knows; where no server answers for them at all it says "temporary".
        _ if error.to_string().contains("not known") => {
            lasting(message, Some("is the name of the host right?"))
        }
        _ => passing(message),
    }
}

/// A certificate that is not believed stays so; a connection that breaks in the handshake may be the
/// network's fault.
fn distrusted(error: &io::Error, named: Option<&Authorities>) -> ExchangeError {
    if error.kind() != io::ErrorKind::InvalidData {
        return passing(format!("TLS: {}", chain(error)));
    }
    let told = error.get_ref().and_then(|error| error.downcast_ref());
    let (what, hint) = match told {
        Some(TlsError::InvalidCertificate(why)) => of_certificate(why),
        _ => (chain(error), None),
    };
    let hint = hint.map_or_else(|| Authorities::hint(named), str::to_owned);
    lasting(format!("TLS: {what}"), Some(&hint))
}

/// What is wrong with the certificate of a server, and what can be done but to believe it.
fn of_certificate(why: &CertificateError) -> (String, Option<&'static str>) {
    use CertificateError as Of;
    match why {
        Of::UnknownIssuer => (
            "nobody who is believed here has signed its certificate".into(),
            None,
        ),
        Of::Expired
        | Of::ExpiredContext { .. }
        | Of::NotValidYet
        | Of::NotValidYetContext { .. } => (
            format!("its certificate does not hold now: {why}"),
            Some("who serves it renews it; or is the clock of this machine wrong?"),
        ),
        Of::NotValidForName | Of::NotValidForNameContext { .. } => (
            format!("its certificate is not for this name: {why}"),
            Some("use a name in the URL that the certificate has"),
        ),
        // As openssl makes them where nothing else is said.
        _ if format!("{why:?}").contains("CaUsedAsEndEntity") => (
            "its certificate is one that signs others (CA:TRUE), and none of a server".into(),
            Some("who serves it makes one for a server; docs/serve.md shows how"),
        ),
        _ => (format!("its certificate is not believed: {why}"), None),
    }
}

async fn one<I>(io: I) -> Result<http1::SendRequest<Pieces>, ExchangeError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_header_size(HEAD_MAX).max_buf_size(BODY_BUFFER);
    let made = builder.handshake(TokioIo::new(io)).await;
    let (link, connection) = made.map_err(|error| passing(chain(&error)))?;
    // What it suffers from, those learn whose requests it carries.
    drop(tokio::spawn(connection));
    Ok(link)
}

async fn many<I>(io: I, patience: &Patience) -> Result<http2::SendRequest<Pieces>, ExchangeError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(1 << 20)
        // A server that is gone without a word is noticed while it seems to think.
        .keep_alive_interval(Some(patience.stall.max(Duration::from_millis(1))))
        .keep_alive_timeout(patience.stall);
    let made = builder.handshake(TokioIo::new(io)).await;
    let (link, connection) = made.map_err(|error| passing(chain(&error)))?;
    drop(tokio::spawn(connection));
    Ok(link)
}

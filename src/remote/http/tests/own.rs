//! Headers and certificates of the user's own.

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::git::Config;
use crate::remote::http::Place;

/// Means as git's configuration says them for a place.
fn configured(fixture: &Fixture, url: &str) -> Means {
    let names = ["GIT_SSL_CAINFO", "GIT_SSL_CERT", "GIT_SSL_KEY"];
    let git = names
        .iter()
        .fold(fixture.git().clone(), |git, name| git.without_env(name));
    let config = Config::load(&git, None).unwrap();
    let place = Place::parse(url).unwrap();
    Means {
        patience: patience(),
        ..Means::of(&git, &config, &place)
    }
}

#[test]
fn headers_of_ones_own_go_to_the_server_that_is_meant_and_no_further() {
    let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = heads.clone();
    let (last, _) = peer(move |_, mut stream| {
        seen.lock().unwrap().push(request(&mut stream));
        stream.write_all(GOOD).unwrap();
    });
    let firsts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = firsts.clone();
    let (first, _) = peer(move |number, mut stream| {
        seen.lock().unwrap().push(request(&mut stream));
        let to = match number {
            // To the same server first.
            0 => "/again".to_owned(),
            _ => format!("http://127.0.0.1:{last}/b"),
        };
        let answer = format!(
            "HTTP/1.1 307 Moved\r\nlocation: {to}/lob/v1/has\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let fixture = Fixture::new();
    fixture.run(&["config", "http.extraHeader", "X-Own: s3cret"]);
    fixture.run(&[
        "config",
        "--add",
        "http.extraHeader",
        "Authorization: s3cret",
    ]);
    let url = format!("http://127.0.0.1:{first}/a");
    let network = over_http(&url, configured(&fixture, &url));
    assert_eq!(ask(&network, Verb::Has, "x").unwrap(), "hello");
    for head in firsts.lock().unwrap().iter() {
        assert!(head.contains("x-own: s3cret"), "{head}");
        assert!(head.contains("authorization: s3cret"), "{head}");
    }
    assert_eq!(firsts.lock().unwrap().len(), 2);
    let heads = heads.lock().unwrap();
    assert!(!heads[0].contains("s3cret"), "{heads:?}");
    assert!(!format!("{network:?}").contains("s3cret"));
}

/// A server over TLS that answers each request with this text.
fn over_tls(config: ServerConfig, answer: String) -> u16 {
    let config = Arc::new(config);
    let (port, _) = peer(move |_, stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\nx") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                // Who is not let in is gone.
                _ => return,
            }
        }
        let _ = stream.write_all(answer.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    port
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(dir: &Path) -> Pair {
    let certificate = CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    (vec![certificate], key)
}

#[test]
fn a_server_that_wants_a_certificate_gets_the_one_that_git_would_show() {
    let fixture = Fixture::new();
    let (server, me) = (fixture.beside("server"), fixture.beside("me"));
    for dir in [&server, &me] {
        std::fs::create_dir(dir).unwrap();
        certificate(dir);
    }
    let mut known = RootCertStore::empty();
    known.add(pair(&me).0[0].clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder(known.into()).build().unwrap();
    let (chain, key) = pair(&server);
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let good = String::from_utf8(GOOD.to_vec()).unwrap();
    let port = over_tls(config, good);
    let url = format!("https://localhost:{port}/a");
    let set = |key: &str, path: &Path| fixture.run(&["config", key, path.to_str().unwrap()]);
    set("http.sslCAInfo", &server.join("cert.pem"));
    let mut means = configured(&fixture, &url);
    means.patience.budget = Duration::from_millis(200);
    let unknown = ask(&over_http(&url, means), Verb::Has, "x");
    assert!(unknown.is_err(), "{unknown:?}");
    set("http.sslCert", &me.join("cert.pem"));
    set("http.sslKey", &me.join("key.pem"));
    let network = over_http(&url, configured(&fixture, &url));
    assert_eq!(ask(&network, Verb::Has, "x").unwrap(), "hello");
    // What cannot be read is told with its name.
    set("http.sslKey", &me.join("nothing.pem"));
    let place = HttpPlace::parse(&url).unwrap();
    let error = Network::over_http(&place, configured(&fixture, &url)).unwrap_err();
    assert!(error.to_string().contains("nothing.pem"), "{error}");
}

#[test]
fn a_redirect_out_of_tls_is_never_followed() {
    let fixture = Fixture::new();
    let server = fixture.beside("server");
    std::fs::create_dir(&server).unwrap();
    certificate(&server);
    let (clear, asked) = peer(|_, mut stream| stream.write_all(GOOD).unwrap());
    let (chain, key) = pair(&server);
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let port = over_tls(
        config,
        format!(
            "HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{clear}/a/lob/v1/has\r\ncontent-length: 0\r\n\r\n"
        ),
    );
    let url = format!("https://localhost:{port}/a");
    let authorities = server.join("cert.pem");
    fixture.run(&["config", "http.sslCAInfo", authorities.to_str().unwrap()]);
    let network = over_http(&url, configured(&fixture, &url));
    let error = ask(&network, Verb::Has, "x").unwrap_err();
    assert!(
        error.to_string().contains("nothing is encrypted"),
        "{error}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody connected there");
}

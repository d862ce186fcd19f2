//! The certificate of a server, read again when its files change.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, crypto::CryptoProvider};

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Makes the server's end of TLS from a file of certificates and one with their key, both in PEM.
pub fn acceptor(certificate: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let files = Files {
        certificate: certificate.to_path_buf(),
        key: key.to_path_buf(),
    };
    let current = Current {
        stamp: files.stamp(),
        looked: Instant::now(),
        pair: Arc::new(files.load(&provider)?),
    };
    let resolver = Reloading {
        files,
        provider: provider.clone(),
        current: Mutex::new(current),
        every: LOOK_EVERY,
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = config
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// When both files were changed, as far as that can be told.
type Stamp = [Option<SystemTime>; 2];

impl Files {
    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| path.metadata().ok()?.modified().ok())
    }

    fn load(&self, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
        let bad = |path: &Path, why: String| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {why}", path.display()),
            )
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| bad(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(bad(
                &self.certificate,
                "there is no certificate in it".into(),
            ));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| bad(&self.key, error.to_string()))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            let why = format!(
                "it does not go with {}: {error}",
                self.certificate.display()
            );
            bad(&self.key, why)
        })
    }
}

struct Current {
    stamp: Stamp,
    looked: Instant,
    pair: Arc<CertifiedKey>,
}

/// Gives out the certificate that is in the files now. What can't be loaded leaves the one before: a
/// file may be seen half written.
struct Reloading {
    files: Files,
    provider: Arc<CryptoProvider>,
    current: Mutex<Current>,
    every: Duration,
}

impl Reloading {
    fn pair(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= self.every {
            current.looked = Instant::now();
            let stamp = self.files.stamp();
            if stamp != current.stamp
                && let Ok(pair) = self.files.load(&self.provider)
            {
                current.stamp = stamp;
                current.pair = Arc::new(pair);
            }
        }
        current.pair.clone()
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reloading({})", self.files.certificate.display())
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(dir: &Path) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn reloading(dir: &Path) -> Reloading {
        let provider = Arc::new(ring::default_provider());
        let files = Files {
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        };
        Reloading {
            current: Mutex::new(Current {
                stamp: [None; 2],
                looked: Instant::now(),
                pair: Arc::new(files.load(&provider).unwrap()),
            }),
            files,
            provider,
            every: Duration::ZERO,
        }
    }

    #[test]
    fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let first = write(dir.path());
        let served = reloading(dir.path());
        let shown = || served.pair().cert[0].to_vec();
        assert_eq!(shown(), first);
        let second = write(dir.path());
        served.current.lock().unwrap().stamp = [None; 2];
        assert_eq!(shown(), second);
        fs::write(dir.path().join("key.pem"), "half").unwrap();
        served.current.lock().unwrap().stamp = [None; 2];
        assert_eq!(shown(), second);
    }

    #[test]
    fn files_that_do_not_go_together_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let key = fs::read(dir.path().join("key.pem")).unwrap();
        write(dir.path());
        let load = || acceptor(&dir.path().join("cert.pem"), &dir.path().join("key.pem"));
        assert!(load().is_ok());
        fs::write(dir.path().join("key.pem"), key).unwrap();
        assert!(load().is_err(), "the key of another certificate");
        fs::write(dir.path().join("cert.pem"), "").unwrap();
        assert!(load().is_err(), "no certificate");
        assert!(acceptor(&dir.path().join("none"), &dir.path().join("key.pem")).is_err());
    }
}

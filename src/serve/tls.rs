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

/// Makes the server's end of TLS from a file of certificates and one with their key, both in PEM. Where new
/// ones are not good later, `tell` is told once which file and why, and those before are served on.
pub fn acceptor(
    certificate: &Path,
    key: &Path,
    tell: impl Fn(String) + Send + Sync + 'static,
) -> io::Result<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let files = Files {
        certificate: certificate.to_path_buf(),
        key: key.to_path_buf(),
    };
    let current = Current {
        stamp: files.stamp(),
        told: None,
        looked: Instant::now(),
        pair: Arc::new(files.load(&provider)?),
    };
    let resolver = Reloading {
        files,
        provider: provider.clone(),
        current: Mutex::new(current),
        every: LOOK_EVERY,
        tell: Box::new(tell),
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
    /// The change that could not be loaded, and was told.
    told: Option<Stamp>,
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
    tell: Box<dyn Fn(String) + Send + Sync>,
}

impl Reloading {
    fn pair(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= self.every {
            current.looked = Instant::now();
            let stamp = self.files.stamp();
            if stamp != current.stamp {
                self.renew(&mut current, stamp);
            }
        }
        current.pair.clone()
    }

    fn renew(&self, current: &mut Current, stamp: Stamp) {
        match self.files.load(&self.provider) {
            Ok(pair) => {
                current.stamp = stamp;
                current.pair = Arc::new(pair);
            }
            // It is tried again all the same: what was half written may have the same time when it is whole.
            Err(_) if current.told == Some(stamp) => {}
            Err(error) => {
                current.told = Some(stamp);
                (self.tell)(format!(
                    "{error}; the certificate from before is served until both files are good again"
                ));
            }
        }
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
    use std::sync::mpsc;

    fn write(dir: &Path) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    /// Once the files have been changed, whatever the clock of the file system has noticed of it.
    fn change(served: &Reloading, hour: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3600);
        for path in [&served.files.certificate, &served.files.key] {
            let file = fs::File::options().append(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        }
    }

    fn reloading(dir: &Path) -> (Reloading, mpsc::Receiver<String>) {
        let (sender, told) = mpsc::channel();
        let provider = Arc::new(ring::default_provider());
        let files = Files {
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        };
        let reloading = Reloading {
            current: Mutex::new(Current {
                stamp: [None; 2],
                told: None,
                looked: Instant::now(),
                pair: Arc::new(files.load(&provider).unwrap()),
            }),
            files,
            provider,
            every: Duration::ZERO,
            tell: Box::new(move |text| sender.send(text).unwrap()),
        };
        (reloading, told)
    }

    #[test]
    fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let first = write(dir.path());
        let (served, told) = reloading(dir.path());
        let shown = || served.pair().cert[0].to_vec();
        assert_eq!(shown(), first);
        let second = write(dir.path());
        change(&served, 1);
        assert_eq!(shown(), second);
        assert_eq!(told.try_iter().count(), 0, "all is well");
        for hour in [2, 3] {
            fs::write(dir.path().join("key.pem"), "half").unwrap();
            change(&served, hour);
            assert_eq!([shown(), shown()], [second.clone(), second.clone()]);
            let said: Vec<String> = told.try_iter().collect();
            assert_eq!(said.len(), 1, "once for each change: {said:?}");
            assert!(said[0].contains("key.pem: "), "{said:?}");
            assert!(said[0].contains("from before is served"), "{said:?}");
        }
        let third = write(dir.path());
        change(&served, 4);
        assert_eq!(shown(), third);
        fs::remove_file(dir.path().join("cert.pem")).unwrap();
        assert_eq!(shown(), third);
        assert!(told.try_recv().unwrap().contains("cert.pem: "));
    }

    #[test]
    fn files_that_do_not_go_together_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let key = fs::read(dir.path().join("key.pem")).unwrap();
        write(dir.path());
        let at = |name| dir.path().join(name);
        let load = || acceptor(&at("cert.pem"), &at("key.pem"), drop);
        assert!(load().is_ok());
        fs::write(dir.path().join("key.pem"), key).unwrap();
        assert!(load().is_err(), "the key of another certificate");
        fs::write(dir.path().join("cert.pem"), "").unwrap();
        assert!(load().is_err(), "no certificate");
        assert!(acceptor(&at("none"), &at("key.pem"), drop).is_err());
    }
}

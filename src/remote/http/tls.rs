//! The client's end of TLS.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::fault::lasting;
use super::own::Identity;
use crate::wire::ExchangeError;

/// A file of certificates that are believed, and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities {
    /// The file, in PEM.
    pub file: PathBuf,
    /// The setting or the variable that names it.
    pub named_by: &'static str,
}

impl Authorities {
    /// What to do to have a certificate believed that nobody else vouches for, where `named` is in effect.
    pub(super) fn hint(named: Option<&Authorities>) -> String {
        match named {
            None => "to believe a certificate of your own: git config http.sslCAInfo FILE".into(),
            Some(Authorities { file, named_by }) => format!(
                "only those in {} are believed, because {named_by} names it: add the certificate to that file, \
                 or name another there",
                file.display()
            ),
        }
    }
}

/// Whom to believe: those that this system believes, or, where one is named, those in a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Roots {
    pub(super) named: Option<Authorities>,
    /// Who this is, for servers that ask.
    pub(super) identity: Option<Identity>,
}

impl Roots {
    /// What connections are made with. Certificates are always looked at: there is no way around.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, ExchangeError> {
        let roots = match &self.named {
            Some(named) => from_file(named)?,
            None => of_system()?,
        };
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| lasting(error, None))?;
        let config = config.with_root_certificates(roots);
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.read()?;
                let config = config.with_client_auth_cert(chain, key);
                config.map_err(|error| identity.bad(&identity.key, &error.to_string()))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl Identity {
    fn read(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ExchangeError> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(|all| all.collect::<Result<Vec<_>, _>>())
            .map_err(|error| self.bad(&self.certificate, &error.to_string()))?;
        if chain.is_empty() {
            return Err(self.bad(&self.certificate, "there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|error| self.bad(&self.key, &error.to_string()))?;
        Ok((chain, key))
    }

    fn bad(&self, file: &Path, why: &str) -> ExchangeError {
        let message = format!("{}: {why}", file.display());
        let hint = "http.sslCert and http.sslKey, or GIT_SSL_CERT and GIT_SSL_KEY, name these files, in PEM \
                    and without a password";
        lasting(message, Some(hint))
    }
}

fn from_file(named: &Authorities) -> Result<Arc<RootCertStore>, ExchangeError> {
    let Authorities { file, named_by } = named;
    let bad = |why: String| {
        let message = format!("{}: {why}", file.display());
        lasting(message, Some(&format!("{named_by} names this file")))
    };
    let mut roots = RootCertStore::empty();
    let all = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
    for one in all {
        let one = one.map_err(|error| bad(error.to_string()))?;
        roots.add(one).map_err(|error| bad(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(bad("there is no certificate in it".into())),
        false => Ok(Arc::new(roots)),
    }
}

/// Read once: on some systems there are many.
fn of_system() -> Result<Arc<RootCertStore>, ExchangeError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // Of many, some are always of a kind that is not understood.
        let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    match roots.is_empty() {
        true => Err(lasting(
            "this system has no certificates to believe",
            Some("install them (ca-certificates), or name a file: git config http.sslCAInfo FILE"),
        )),
        false => Ok(roots.clone()),
    }
}

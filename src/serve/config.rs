//! The file that says what a server serves, to whom, and within which limits.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::limits::Limits;
use super::tokens::Grant;

/// Most bytes of the file that are read.
const FILE_MAX: u64 = 1 << 20;

/// What the file may say; all of it may be left out. Relative paths are meant from its directory.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The directory with the repositories.
    pub root: Option<PathBuf>,
    /// Where connections are accepted.
    pub listen: Option<SocketAddr>,
    /// Certificates, the server's own first, in PEM.
    pub tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Whether a proxy in front encrypts.
    pub behind_proxy: bool,
    /// What those may do who show no token.
    pub anonymous: Option<Grant>,
    /// Whether nobody may change anything.
    pub read_only: bool,
    /// Whether nobody may delete anything.
    pub append_only: bool,
    /// Whether who comes by ssh may look after stores.
    pub admin: bool,
    /// The file of the tokens.
    pub tokens: Option<PathBuf>,
    /// The file to which every request is added; `-` is stdout.
    pub access_log: Option<PathBuf>,
    /// The file to which every write is added.
    pub audit_log: Option<PathBuf>,
    /// See [`Limits`].
    pub limits: LimitsConfig,
}

/// Limits, as far as they are not the usual ones. Times are seconds.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitsConfig {
    connections: Option<usize>,
    requests: Option<usize>,
    request_bytes: Option<u64>,
    /// See [`Limits::stage_bytes`]; an option of the command line wins over it.
    pub stage_bytes: Option<u64>,
    head_seconds: Option<f64>,
    stall_seconds: Option<f64>,
    idle_seconds: Option<f64>,
    grace_seconds: Option<f64>,
    bytes_per_second: Option<u64>,
}

impl Config {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> io::Result<Config> {
        let bad = |why: &str| {
            let message = format!("{}: {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if fs::metadata(path).map_err(named)?.len() > FILE_MAX {
            return Err(bad("it is too long"));
        }
        let text = fs::read_to_string(path).map_err(named)?;
        let config: Config =
            toml::from_str(&text).map_err(|error| bad(error.to_string().trim_end()))?;
        config.limits.limits().map_err(|why| bad(&why))?;
        Ok(config.beside(path.parent().unwrap_or(Path::new(""))))
    }

    fn beside(mut self, dir: &Path) -> Config {
        let places = [
            &mut self.root,
            &mut self.tls_cert,
            &mut self.tls_key,
            &mut self.tokens,
            &mut self.access_log,
            &mut self.audit_log,
        ];
        for place in places {
            if let Some(path) = place.as_mut().filter(|path| *path != Path::new("-")) {
                *path = dir.join(&*path);
            }
        }
        self
    }
}

impl LimitsConfig {
    /// The limits that hold.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn limits(&self) -> Result<Limits, String> {
        let usual = Limits::default();
        let time = |name: &str, seconds: Option<f64>, usual: Duration| match seconds {
            None => Ok(usual),
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|time| !time.is_zero())
                .ok_or_else(|| format!("limits.{name} is no time")),
        };
        let count = |name: &str, count: Option<usize>, usual: usize| match count {
            Some(0) => Err(format!("limits.{name} is 0: nobody could be served")),
            count => Ok(count.unwrap_or(usual)),
        };
        if self.stage_bytes == Some(0) {
            return Err("limits.stage-bytes is 0: nothing could be pushed".into());
        }
        Ok(Limits {
            connections: count("connections", self.connections, usual.connections)?,
            requests: count("requests", self.requests, usual.requests)?,
            request_bytes: self.request_bytes.unwrap_or(usual.request_bytes),
            stage_bytes: self.stage_bytes.unwrap_or(usual.stage_bytes),
            head_bytes: usual.head_bytes,
            head: time("head-seconds", self.head_seconds, usual.head)?,
            stall: time("stall-seconds", self.stall_seconds, usual.stall)?,
            rate: self.bytes_per_second.unwrap_or(usual.rate),
            idle: time("idle-seconds", self.idle_seconds, usual.idle)?,
            grace: time("grace-seconds", self.grace_seconds, usual.grace)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lob.toml");
        fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn the_file_says_what_is_served() {
        let text = "root = '/srv/lob'\nlisten = '[::]:8443'\ntls-cert = 'cert.pem'\nanonymous = 'read'\n\
                    access-log = '-'\n[limits]\nconnections = 7\nstall-seconds = 2.5\n";
        let config = read(text).unwrap();
        assert_eq!(config.root.as_deref(), Some(Path::new("/srv/lob")));
        assert_eq!(config.listen, Some("[::]:8443".parse().unwrap()));
        assert_eq!(config.anonymous, Some(Grant::Read));
        assert!(config.tls_cert.unwrap().is_absolute());
        assert_eq!(config.access_log.as_deref(), Some(Path::new("-")));
        let limits = config.limits.limits().unwrap();
        assert_eq!(
            (limits.connections, limits.requests),
            (7, Limits::default().requests)
        );
        assert_eq!(limits.stall, Duration::from_millis(2500));
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        for (text, said) in [
            ("rooot = 'x'", "rooot"),
            ("listen = 'x'", "listen"),
            ("anonymous = 'all'", "all"),
            ("[limits]\nstall-seconds = -1", "stall-seconds"),
            ("[limits]\nrequests = 0", "requests"),
            ("[limits]\nstage-bytes = 0", "stage-bytes"),
            ("[limits]\nnothing = 0", "nothing"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains(said) && error.contains("lob.toml"),
                "{text}: {error}"
            );
        }
    }
}

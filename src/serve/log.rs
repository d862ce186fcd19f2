//! What a server writes down: every request, and apart from that every write.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lob_store::LobInfo;
use serde::Serialize;

use super::service::{Change, What, Witness};

/// One request.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) from: &'a str,
    pub(super) who: &'a str,
    pub(super) what: &'a str,
    pub(super) repository: &'a str,
    pub(super) status: u16,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) began: Instant,
    /// Whether who asked went away before the end.
    pub(super) gone: bool,
}

impl Default for Entry<'_> {
    fn default() -> Self {
        Entry {
            from: "",
            who: "",
            what: "",
            repository: "",
            status: 0,
            received: 0,
            sent: 0,
            began: Instant::now(),
            gone: false,
        }
    }
}

/// A line of either log.
#[derive(Serialize)]
struct Line<'a> {
    /// Seconds since 1970, UTC.
    time: f64,
    from: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    who: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    repository: &'a str,
    what: &'a str,
    status: u16,
    received: u64,
    sent: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
}

/// Two logs of JSON objects, one a line. Lines are written whole; files only grow.
#[derive(Default)]
pub struct Log {
    access: Option<Mutex<Box<dyn Write + Send>>>,
    audit: Option<Mutex<File>>,
}

impl Log {
    /// A log that keeps nothing.
    pub fn none() -> Log {
        Log::default()
    }

    /// The same, which writes every request to `writer`.
    pub fn with_access(mut self, writer: impl Write + Send + 'static) -> Log {
        self.access = Some(Mutex::new(Box::new(writer)));
        self
    }

    /// The same, which adds every write to the file at `path`.
    pub fn with_audit(mut self, path: &Path) -> io::Result<Log> {
        self.audit = Some(Mutex::new(appended(path)?));
        Ok(self)
    }

    /// Notes a request. A log that can't be written stops nothing.
    pub(super) fn access(&self, entry: &Entry<'_>) {
        if let Some(access) = &self.access {
            let mut access = access.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = access.write_all(&line(entry)).and_then(|()| access.flush());
        }
    }

    /// Notes a write; when this returns it is on disk.
    pub(super) fn audit(&self, entry: &Entry<'_>) -> io::Result<()> {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let mut audit = audit.lock().unwrap_or_else(PoisonError::into_inner);
        audit.write_all(&line(entry))?;
        audit.sync_data()
    }
}

/// Which lobs were changed, beside the line of the request that did it.
#[derive(Serialize)]
struct StoredLine<'a> {
    time: f64,
    from: &'a str,
    who: &'a str,
    what: &'static str,
    store: String,
    bytes: u64,
    lobs: Vec<StoredLob>,
    /// Lobs that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    but: Vec<String>,
}

#[derive(Serialize)]
struct StoredLob {
    oid: String,
    size: u64,
}

impl Witness for Log {
    fn changed(&self, change: &Change<'_>) -> io::Result<()> {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let oid = |lob: &LobInfo| format!("blake3:{}", lob.id);
        let all = change.lobs.iter();
        let (lobs, but) = match change.what {
            What::HeldOthers => (Vec::new(), all.map(oid).collect()),
            _ => {
                let lob = |lob: &LobInfo| StoredLob {
                    oid: oid(lob),
                    size: lob.size,
                };
                (all.map(lob).collect(), Vec::new())
            }
        };
        let line = StoredLine {
            time: now(),
            from: &change.caller.from,
            who: &change.caller.name,
            what: match change.what {
                What::Stored => "stored",
                What::Cut => "cut",
                What::Held => "held",
                What::HeldOthers => "held-others",
                What::Recalled => "recalled",
                What::SetAside => "set-aside",
                What::Deleted => "deleted",
            },
            store: change.store.to_string(),
            bytes: change.bytes,
            lobs,
            but,
        };
        let mut line = serde_json::to_vec(&line).unwrap_or_default();
        line.push(b'\n');
        let mut audit = audit.lock().unwrap_or_else(PoisonError::into_inner);
        audit.write_all(&line)?;
        match change.what {
            // The line of a request follows, and with it the answer depends on the disk; or there is none.
            What::Stored | What::Held | What::HeldOthers | What::Cut | What::Deleted => Ok(()),
            What::Recalled | What::SetAside => audit.sync_data(),
        }
    }
}

/// The file at `path`, made where it is not there, to which lines are added. Only its owner reads it.
pub fn appended(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Seconds since 1970, to the millisecond.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |now| (now.as_millis() as f64) / 1000.0)
}

fn line(entry: &Entry<'_>) -> Vec<u8> {
    let line = Line {
        time: now(),
        from: entry.from,
        who: entry.who,
        repository: entry.repository,
        what: entry.what,
        status: entry.status,
        received: entry.received,
        sent: entry.sent,
        seconds: (entry.began.elapsed().as_micros() as f64) / 1e6,
        gone: entry.gone,
    };
    // Text and numbers: nothing in it can fail.
    let mut line = serde_json::to_vec(&line).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_log_only_grows_and_no_text_breaks_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        for who in ["one", "two\n{\"who\":\"forged\"}"] {
            let log = Log::none().with_audit(&path).unwrap();
            let entry = Entry {
                who,
                what: "put",
                status: 200,
                ..Entry::default()
            };
            log.audit(&entry).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["who"], "one");
        assert_eq!(lines[1]["what"], "put");
        assert!(lines[0].get("gone").is_none());
    }
}

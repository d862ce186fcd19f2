//! Small files beneath `state/` of the local store: what lob remembers between runs.
//!
//! All of it can be lost without harm: whoever reads it treats a damaged file as a missing one and
//! finds out anew. Writing replaces the whole file at once.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lob_store::disk::{self, Disk, Lock, OsDisk};

/// Longest state file that is read.
const LIMIT: u64 = 64 << 20;
/// What begins the last line: the BLAKE3 of all lines before it.
const CHECK: &str = "check ";

/// The state directory of a store.
#[derive(Debug, Clone)]
pub struct State(PathBuf);

impl State {
    /// The state of the store in `lob_dir`.
    pub fn of(lob_dir: &Path) -> State {
        State(lob_dir.join("state"))
    }

    /// Files in a directory beneath this one.
    pub fn beneath(&self, name: &str) -> State {
        State(self.0.join(name))
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match OsDisk.remove(&self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| OsDisk.sync_dir(&self.0)),
        }
    }

    /// The lines of a sealed file without the seal; `None` where it is missing or damaged.
    pub fn read(&self, name: &str) -> Option<String> {
        let mut text = String::from_utf8(self.bytes(name)?).ok()?;
        let at = text.strip_suffix('\n')?.rfind('\n')? + 1;
        let (lines, last) = text.split_at(at);
        let seal = blake3::hash(lines.as_bytes()).to_hex();
        let whole = last == format!("{CHECK}{seal}\n");
        text.truncate(at);
        whole.then_some(text)
    }

    /// The bytes of a file, whatever they are; `None` where it is missing.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs::File::open(self.0.join(name)).ok()?;
        file.take(LIMIT).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Replaces a file by `lines` (each with its newline) and a seal.
    pub fn write(&self, name: &str, lines: &str) -> io::Result<()> {
        let seal = blake3::hash(lines.as_bytes()).to_hex();
        self.replace(name, format!("{lines}{CHECK}{seal}\n").as_bytes())
    }

    /// Replaces a file by exactly `bytes`.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let disk = OsDisk;
        disk.create_dir(&self.0)?;
        let draft = self.0.join(format!("{name}.{}", nonce()?));
        let file = disk.create(&draft)?;
        let done = file
            .append(bytes)
            .and_then(|()| disk::publish(&disk, file.as_ref(), &draft, &self.0.join(name)));
        if done.is_err() {
            // The error that counts is the first one.
            let _ = disk.remove(&draft);
        }
        done
    }

    /// Takes the kernel lock `NAME.lock`; `None` where another process holds it and `wait` is not
    /// set.
    pub fn lock(&self, name: &str, wait: bool) -> io::Result<Option<Lock>> {
        OsDisk.create_dir(&self.0)?;
        OsDisk.lock(&self.0.join(format!("{name}.lock")), wait)
    }
}

fn nonce() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_missing() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::of(dir.path());
        assert_eq!(state.read("x"), None);
        for lines in ["", "one\n", "one\ntwo\n"] {
            state.write("x", lines).unwrap();
            let expected = (!lines.is_empty()).then(|| lines.to_string());
            assert_eq!(state.read("x"), expected);
        }
        let path = dir.path().join("state/x");
        let bytes = fs::read(&path).unwrap();
        for len in 0..bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            assert_eq!(state.read("x"), None, "cut at {len}");
            let mut flipped = bytes.clone();
            flipped[len] ^= 1;
            fs::write(&path, flipped).unwrap();
            assert_eq!(state.read("x"), None, "flipped at {len}");
        }
        let names: Vec<_> = fs::read_dir(dir.path().join("state")).unwrap().collect();
        assert_eq!(names.len(), 1, "no drafts stay behind");
    }

    #[test]
    fn a_lock_excludes_others_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::of(dir.path());
        let held = state.lock("sync-1", false).unwrap();
        assert!(held.is_some());
        assert!(state.lock("sync-1", false).unwrap().is_none());
        assert!(state.lock("sync-2", false).unwrap().is_some());
        drop(held);
        assert!(state.lock("sync-1", false).unwrap().is_some());
    }
}

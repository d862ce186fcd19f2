//! Blobs that lob writes into git's object database itself, where git would take long.
//!
//! For each loose object git sets up a compressor, whose memory the system gives and takes back
//! every time; a push sets one up again for each, to move the object into a pack. With pointers by
//! the thousand that is most of what `git add` and `git push` spend. So lob writes the blobs that git
//! is about to store, as git's own formats have them (gitformat-loose, gitformat-pack): git finds
//! them, as it would those of another git, and has nothing to write. All of it is a shortcut: where
//! one fails, or the repository asks for more than the ordinary, git does the work.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::command::ANSWER_MAX;
use super::config::Config;
use super::error::{GitError, Result};
use super::oid::Oid;
use super::repo::Repo;

/// With one of these, git does other things to a loose object than to write and rename it.
const UNORDINARY: [&str; 5] = [
    "core.fsync",
    "core.fsyncmethod",
    "core.fsyncobjectfiles",
    "core.sharedrepository",
    "extensions.compatobjectformat",
];
/// Most bytes of a blob: what is larger is git's to write.
const BLOB_MAX: usize = 4096;
/// The type of a blob in a pack.
const PACKED_BLOB: u8 = 3;

/// The object database of one repository, for short blobs.
#[derive(Debug)]
pub struct Objects<'a> {
    repo: &'a Repo,
    /// Whether git stores to somewhere else than usual: for a quarantine, or for a trial.
    is_elsewhere: bool,
    /// Where loose objects go; `None` where they are left to git.
    loose: Option<PathBuf>,
    /// The name of a file that becomes an object. Git sweeps up what begins so.
    temporary: String,
}

impl<'a> Objects<'a> {
    /// The database that git stores to when it runs this process.
    pub fn of(repo: &'a Repo) -> Result<Objects<'a>> {
        let is_elsewhere = repo.git().env("GIT_OBJECT_DIRECTORY").is_some();
        let objects = repo.common_dir().join("objects");
        let ordinary =
            cfg!(unix) && !is_elsewhere && is_near(&objects) && is_ordinary(repo.config()?);
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| GitError::at(repo.common_dir())(io::Error::other(error)))?;
        Ok(Objects {
            repo,
            is_elsewhere,
            loose: ordinary.then_some(objects),
            temporary: format!("tmp_obj_lob_{:016x}", u64::from_ne_bytes(random)),
        })
    }

    /// Whether a blob is here as a loose object.
    pub fn is_loose(&self, content: &[u8]) -> bool {
        let objects = self.repo.common_dir().join("objects");
        let place = self.place(&objects, content);
        place.is_some_and(|place| is_file(&place))
    }

    /// Where in a directory of objects a blob is as a loose object.
    fn place(&self, objects: &Path, content: &[u8]) -> Option<PathBuf> {
        let name = Oid::of_blob(content, self.repo.object_len())?.to_string();
        let (fan, rest) = name.split_at(2);
        Some(objects.join(fan).join(rest))
    }

    /// Stores a blob as a loose object, as durably as git does, which is not at all until git syncs
    /// what refers to it. Does nothing where loose objects are left to git, or the object is there.
    ///
    /// # Errors
    /// When it could not be written, or is longer than 4 KiB. Nothing is to be seen of it then.
    pub fn put(&self, content: &[u8]) -> io::Result<()> {
        let Some(objects) = &self.loose else {
            return Ok(());
        };
        if content.len() > BLOB_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(place) = self.place(objects, content) else {
            return Ok(());
        };
        let dir = place.parent().unwrap_or(objects);
        // One that is there may be durable, and commits may need it: it must not give way to one that
        // a power loss can take. Git makes it young itself.
        if is_file(&place) {
            return Ok(());
        }
        let temporary = dir.join(&self.temporary);
        let mut whole = format!("blob {}\0", content.len()).into_bytes();
        whole.extend_from_slice(content);
        let stored = zlib(&whole)?;
        let written = create(&temporary)
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    fs::create_dir(dir)?;
                    create(&temporary)
                }
                _ => Err(error),
            })
            .and_then(|mut file| file.write_all(&stored))
            .and_then(|()| fs::rename(&temporary, &place));
        if written.is_err() {
            // It may never have been there.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Stores blobs, of which no two are the same, in one pack, which git verifies and syncs. Does
    /// nothing where git stores to somewhere else.
    ///
    /// # Errors
    /// When git refuses it or it can't be put in its place. It is not to be seen then.
    pub fn pack(&self, blobs: impl ExactSizeIterator<Item = Vec<u8>>) -> Result<()> {
        if self.is_elsewhere {
            return Ok(());
        }
        let objects = self.repo.common_dir().join("objects");
        // Apart from the loose objects: git would compare each blob with the one that is there.
        let apart = tempfile::Builder::new()
            .prefix("tmp_objdir-lob-")
            .tempdir_in(&objects)
            .map_err(GitError::at(&objects))?;
        let git = self.repo.git().clone();
        let git = git.with_env("GIT_OBJECT_DIRECTORY", apart.path());
        let mut pipe = git.pipe(["index-pack", "--stdin"])?;
        let sent = match pipe.take_stdin() {
            Some(stdin) => send(BufWriter::new(stdin), blobs, self.repo.object_len()),
            None => Ok(()),
        };
        let sent = sent.map_err(|source| pipe.error(source));
        // One line, with the name of the pack.
        pipe.collect(ANSWER_MAX)?;
        // When git ended early, what it says is worth more than the broken pipe.
        pipe.finish()?;
        sent?;
        publish(&apart.path().join("pack"), &objects.join("pack"))
    }
}

/// Moves the one pack in `from` to `to`: its index last, by which git finds it.
fn publish(from: &Path, to: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(from).map_err(GitError::at(from))? {
        names.push(entry.map_err(GitError::at(from))?.file_name());
    }
    names.sort_by_key(|name| Path::new(name).extension() == Some("idx".as_ref()));
    for name in names {
        let place = to.join(&name);
        fs::rename(from.join(&name), &place).map_err(GitError::at(&place))?;
    }
    Ok(())
}

/// Whether a file in this directory is all there once it was written. On a file system of the network
/// it may turn out only when the file is closed that there is no room for it, and of that error the
/// standard library tells nobody; git does.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_near(dir: &Path) -> bool {
    /// The numbers of ext4, XFS, Btrfs, F2FS, ZFS, bcachefs, tmpfs and overlayfs (statfs(2)).
    const NEAR: [u32; 8] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0xf2f5_2010,
        0x2fc1_2fc1,
        0xca45_1a4e,
        0x0102_1994,
        0x794c_7630,
    ];
    let number = |found: rustix::fs::StatFs| u32::try_from(found.f_type).ok();
    let number = rustix::fs::statfs(dir).ok().and_then(number);
    number.is_some_and(|number| NEAR.contains(&number))
}

/// Nothing is known of the others.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_near(_: &Path) -> bool {
    true
}

/// Whether git writes a loose object here and does no more to it.
fn is_ordinary(config: &Config) -> bool {
    UNORDINARY.iter().all(|key| config.get(key).is_none())
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// A new file, readable by whom the umask lets and writable by nobody, as git's objects are.
fn create(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o444);
    options.open(path)
}

/// Writes a pack, version 2, of these blobs.
fn send(
    mut out: impl Write,
    blobs: impl ExactSizeIterator<Item = Vec<u8>>,
    object_len: usize,
) -> io::Result<()> {
    let count = u32::try_from(blobs.len()).map_err(io::Error::other)?;
    let mut head = b"PACK\0\0\0\x02".to_vec();
    head.extend_from_slice(&count.to_be_bytes());
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    let mut put = |bytes: &[u8]| {
        match object_len {
            32 => sha256.update(bytes),
            _ => sha1.update(bytes),
        }
        out.write_all(bytes)
    };
    put(&head)?;
    for blob in blobs {
        put(&entry_head(blob.len()))?;
        put(&zlib(&blob)?)?;
    }
    let trailer = match object_len {
        32 => sha256.finalize().to_vec(),
        _ => sha1.finalize().to_vec(),
    };
    out.write_all(&trailer)?;
    out.flush()
}

/// What precedes a blob of `len` bytes in a pack: its type, and 4 bits of its length, then 7 a byte.
fn entry_head(len: usize) -> Vec<u8> {
    let [low, ..] = len.to_le_bytes();
    let mut byte = PACKED_BLOB << 4 | low & 15;
    let mut rest = len >> 4;
    let mut head = Vec::new();
    while rest > 0 {
        head.push(byte | 0x80);
        [byte, ..] = (rest & 0x7f).to_le_bytes();
        rest >>= 7;
    }
    head.push(byte);
    head
}

/// These bytes as a zlib stream (RFC 1950) of one stored block (RFC 1951, 3.2.4): most of a pointer
/// is an id, which hardly compresses.
fn zlib(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let len = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut stream = vec![0x78, 0x01, 1];
    stream.extend_from_slice(&len.to_le_bytes());
    stream.extend_from_slice(&(!len).to_le_bytes());
    stream.extend_from_slice(bytes);
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65521;
        high = (high + low) % 65521;
    }
    stream.extend_from_slice(&(high << 16 | low).to_be_bytes());
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    /// Of all lengths that a pointer may have, and more.
    fn blobs() -> Vec<Vec<u8>> {
        let lengths = (0..200).chain([2047, 2048, BLOB_MAX]);
        lengths
            .map(|len| vec![b'a' + u8::from(len > 99); len])
            .collect()
    }

    fn repositories() -> [Fixture; 2] {
        ["sha1", "sha256"].map(|format| {
            let words = ["init", "-q", "--object-format", format, "."];
            Fixture::with(&words)
        })
    }

    fn check(fixture: &Fixture, repo: &Repo) {
        fixture.run(&["fsck", "--strict", "--full"]);
        for content in blobs() {
            let oid = Oid::of_blob(&content, repo.object_len()).unwrap();
            let kept = fixture.git().output(["cat-file", "blob", &oid.to_string()]);
            assert_eq!(kept.unwrap(), content);
        }
    }

    #[cfg(unix)]
    #[test]
    fn git_reads_the_loose_objects_and_writes_none_of_its_own() {
        use std::os::unix::fs::MetadataExt;
        for fixture in repositories() {
            let repo = fixture.repo();
            let objects = Objects::of(&repo).unwrap();
            for content in blobs() {
                objects.put(&content).unwrap();
            }
            check(&fixture, &repo);
            let content = &blobs()[120];
            let name = Oid::of_blob(content, repo.object_len())
                .unwrap()
                .to_string();
            let place = fixture
                .path()
                .join(".git/objects")
                .join(&name[..2])
                .join(&name[2..]);
            let before = fs::metadata(&place).unwrap();
            assert_eq!(before.mode() & 0o222, 0);
            // Nor does lob write what is there.
            objects.put(content).unwrap();
            assert_eq!(fs::metadata(&place).unwrap().ino(), before.ino());
            fixture.write("file", content);
            fixture.run(&["add", "file"]);
            assert_eq!(fs::metadata(&place).unwrap().ino(), before.ino());
        }
    }

    #[test]
    fn git_takes_the_pack() {
        for fixture in repositories() {
            let repo = fixture.repo();
            Objects::of(&repo)
                .unwrap()
                .pack(blobs().into_iter())
                .unwrap();
            check(&fixture, &repo);
            let counts = fixture.run(&["count-objects", "-v"]);
            assert!(
                counts.contains("count: 0\n") && counts.contains("packs: 1\n"),
                "{counts}"
            );
        }
    }

    #[test]
    fn nothing_is_stored_where_git_stores_to_somewhere_else() {
        let fixture = Fixture::new();
        let (before, elsewhere) = (fixture.run(&["count-objects", "-v"]), fixture.beside("x"));
        fs::create_dir(&elsewhere).unwrap();
        let git = fixture.git().clone();
        let repo = Repo::find(git.with_env("GIT_OBJECT_DIRECTORY", &elsewhere)).unwrap();
        let objects = Objects::of(&repo).unwrap();
        objects.put(b"content").unwrap();
        objects.pack(blobs().into_iter()).unwrap();
        assert_eq!(fixture.run(&["count-objects", "-v"]), before);
        assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn a_pack_that_git_cannot_place_leaves_nothing() {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let objects = fixture.path().join(".git/objects");
        fs::remove_dir(objects.join("pack")).unwrap();
        fixture.write(".git/objects/pack", "a file");
        let packed = Objects::of(&repo).unwrap().pack(blobs().into_iter());
        packed.unwrap_err();
        let mut left: Vec<_> = fs::read_dir(objects)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["info", "pack"]);
    }

    #[test]
    fn more_than_the_ordinary_is_left_to_git() {
        assert!(is_ordinary(&Config::parse(b"core.bare\nfalse\0")));
        for key in UNORDINARY {
            let list = format!("{key}\nall\0");
            assert!(!is_ordinary(&Config::parse(list.as_bytes())), "{key}");
        }
        let fixture = Fixture::new();
        fixture.run(&["config", "core.fsync", "all"]);
        let repo = fixture.repo();
        Objects::of(&repo).unwrap().put(b"content").unwrap();
        let counted = fixture.run(&["count-objects"]);
        assert!(counted.starts_with("0 objects"), "{counted}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn loose_objects_on_a_strange_file_system_are_left_to_git() {
        assert!(!is_near(Path::new("/proc")) && !is_near(Path::new("/nonexistent")));
        assert!(is_near(Fixture::new().path()));
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let objects = Objects::of(&repo).unwrap();
        let error = objects.put(&[0; BLOB_MAX + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        // Where its directory should be there is a file; where its name should be, a directory.
        let name = Oid::of_blob(b"one", 20).unwrap().to_string();
        fixture.write(&format!(".git/objects/{}", &name[..2]), "");
        objects.put(b"one").unwrap_err();
        let name = Oid::of_blob(b"two", 20).unwrap().to_string();
        fixture.write(&format!(".git/objects/{}/{}/x", &name[..2], &name[2..]), "");
        objects.put(b"two").unwrap_err();
        let dir = fixture.path().join(".git/objects").join(&name[..2]);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
    }
}

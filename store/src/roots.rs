//! Roots: the numbered commit points that make packs visible, in order of arrival.
//!
//! Root 1 is the first; each names the packs that came (or went) with it and the hash of the root
//! before it. A reader that has seen root `n` asks for `n + 1` and on: what it costs follows what is
//! new, and a store that was replaced by another is noticed.

mod chain;
mod mend;

use std::path::{Path, PathBuf};

use crate::decode::Decoder;
use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use crate::id::{ID_LEN, PackId};
use crate::pack::VERSION;

pub(crate) use chain::each_root;
pub(crate) use mend::is_near;

const MAGIC: &[u8; 8] = b"LOBROOT\n";
/// Longest root file that a reader accepts: some 400,000 packs.
const ROOT_MAX: u64 = 16 << 20;

/// Where a reader of the roots stands: it has seen `seq` roots, the last of which hashes to `hash`.
/// 24 bytes say whether a store has changed, and whether it is still the same store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Roots seen.
    pub seq: u64,
    /// The first 16 bytes of the BLAKE3 hash of the last root; zeros before the first.
    pub hash: [u8; 16],
}

/// What one root says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Root {
    /// Packs that became visible, with their lengths in bytes.
    pub(crate) added: Vec<(PackId, u64)>,
    /// Packs that are no longer part of the store.
    pub(crate) dropped: Vec<PackId>,
}

impl Root {
    /// Whether it neither adds nor drops anything.
    pub(crate) fn says_nothing(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }

    /// The bytes of the root that follows `before`.
    pub(crate) fn encode(&self, before: &Cursor) -> Vec<u8> {
        let mut out = Vec::with_capacity(80 + self.added.len() * 40);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&(before.seq + 1).to_le_bytes());
        out.extend_from_slice(&before.hash);
        out.extend_from_slice(&(self.added.len() as u32).to_le_bytes());
        for (id, len) in &self.added {
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(&(self.dropped.len() as u32).to_le_bytes());
        for id in &self.dropped {
            out.extend_from_slice(id.as_bytes());
        }
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    /// Reads the root that must follow `before`, and where the reader stands after it.
    pub(crate) fn decode(bytes: &[u8], before: &Cursor, what: &str) -> Result<(Root, Cursor)> {
        let (root, follows, after) = Root::decode_alone(bytes, what)?;
        if follows == *before {
            Ok((root, after))
        } else {
            Err(Error::damaged(
                what,
                "it does not follow the root before it",
            ))
        }
    }

    /// Reads a root; also returns what it says that it follows, and where a reader stands after it.
    fn decode_alone(bytes: &[u8], what: &str) -> Result<(Root, Cursor, Cursor)> {
        let bad = |why: &str| Error::damaged(what, why);
        let body = bytes
            .len()
            .checked_sub(ID_LEN)
            .ok_or_else(|| bad("it is cut off"))?;
        let hash = blake3::hash(&bytes[..body]);
        if hash.as_bytes() != &bytes[body..] {
            return Err(bad("its hash does not hold"));
        }
        let mut d = Decoder::new(what, &bytes[..body]);
        d.magic(MAGIC)?;
        d.version(VERSION)?;
        d.zeros(6)?;
        let (seq, before) = (d.u64()?, d.bytes16()?);
        let follows = Cursor {
            seq: seq.checked_sub(1).ok_or_else(|| bad("it has no number"))?,
            hash: before,
        };
        let count = d.count(ID_LEN + 8)?;
        let added = (0..count)
            .map(|_| Ok((PackId::from_bytes(d.id()?), d.u64()?)))
            .collect::<Result<_>>()?;
        let count = d.count(ID_LEN)?;
        let dropped = (0..count)
            .map(|_| d.id().map(PackId::from_bytes))
            .collect::<Result<_>>()?;
        d.end()?;
        let mut after = Cursor { seq, hash: [0; 16] };
        after.hash.copy_from_slice(&hash.as_bytes()[..16]);
        Ok((Root { added, dropped }, follows, after))
    }
}

/// The file of root `seq` in the directory of roots.
pub(crate) fn path(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("{seq:016x}"))
}

/// The root after `before`, if there is one.
pub(crate) fn next(disk: &dyn Disk, dir: &Path, before: &Cursor) -> Result<Option<(Root, Cursor)>> {
    let path = path(dir, before.seq + 1);
    match read(disk, &path)? {
        Some(bytes) => Root::decode(&bytes, before, &path.display().to_string()).map(Some),
        None => Ok(None),
    }
}

/// The bytes of a root, if it is there.
fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::at(path)(e)),
    };
    let len = file.len().map_err(Error::at(path))?;
    if len > ROOT_MAX {
        return Err(Error::damaged(
            path.display(),
            "a root of impossible length",
        ));
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(0, &mut bytes).map_err(Error::at(path))?;
    Ok(Some(bytes))
}

/// How a reader of the roots goes on.
pub(crate) enum Step {
    /// With this root, after which it stands there.
    Root(Root, Cursor),
    /// It has seen all of them.
    End,
    /// There are more, but not the next one, or it cannot be read: for this reason.
    Broken(String),
}

/// So far behind the end is looked for roots to which one that is lost would lead. The distances
/// double, so that losing many in a row is noticed too.
const GAP_MAX: u64 = 1 << 16;

/// The step after `before`.
pub(crate) fn step(disk: &dyn Disk, dir: &Path, before: &Cursor) -> Result<Step> {
    match next(disk, dir, before) {
        Ok(Some((root, after))) => Ok(Step::Root(root, after)),
        Ok(None) if is_gap(disk, dir, before)? => match next(disk, dir, before)? {
            // It was appended meanwhile, and others behind it.
            Some((root, after)) => Ok(Step::Root(root, after)),
            None => {
                let lost = path(dir, before.seq + 1);
                Ok(Step::Broken(format!("{} is missing", lost.display())))
            }
        },
        Ok(None) => Ok(Step::End),
        Err(e @ Error::Damaged { .. }) => Ok(Step::Broken(e.to_string())),
        Err(Error::Io { path, source }) if disk::is_lost(&source) => {
            Ok(Step::Broken(format!("{}: {source}", path.display())))
        }
        Err(e) => Err(e),
    }
}

fn is_gap(disk: &dyn Disk, dir: &Path, before: &Cursor) -> Result<bool> {
    let doubling = std::iter::successors(Some(4), |&n| (n < GAP_MAX).then_some(n * 2));
    for distance in [2, 3].into_iter().chain(doubling) {
        let path = path(dir, before.seq.saturating_add(distance));
        if disk.len(&path).map_err(Error::at(&path))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the root that `cursor` stands behind is there, by its number and its hash.
pub(crate) fn is_there(disk: &dyn Disk, dir: &Path, cursor: &Cursor) -> bool {
    let last_hash = |file: Box<dyn disk::DiskFile>| {
        let mut hash = [0; ID_LEN];
        let at = file.len()?.saturating_sub(ID_LEN as u64);
        file.read_at(at, &mut hash).map(|()| hash)
    };
    disk.open(&path(dir, cursor.seq))
        .and_then(last_hash)
        .is_ok_and(|hash| hash.starts_with(&cursor.hash))
}

/// What came since somebody last looked at the roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct News {
    /// Whether there are new roots.
    pub(crate) any: bool,
    /// Whether one of them drops packs, or may do so: they cannot all be read.
    pub(crate) drops: bool,
}

/// Appends a root after the last one, which is looked for from `seen` on. Writers take turns by the
/// kernel lock `lock`; readers never wait. Where roots are lost or damaged, the chain is made whole
/// first, with `all`: the packs that are there, durably. A root that says nothing is for that only,
/// and is not written. Nothing is written either unless `agree` does, which is asked under the lock:
/// then this returns `None`.
pub(crate) fn append(
    disk: &dyn Disk,
    dir: &Path,
    lock: &Path,
    seen: &Cursor,
    root: &Root,
    all: &dyn Fn() -> Result<Vec<(PackId, u64)>>,
    agree: &mut dyn FnMut(News) -> Result<bool>,
) -> Result<Option<Cursor>> {
    let _turn = disk.lock(lock, true).map_err(Error::at(lock))?;
    let (mut last, news, broken) = last_after(disk, dir, seen)?;
    if broken {
        last = mend::mend(disk, dir, &all()?)?;
    }
    if !agree(news)? {
        return Ok(None);
    }
    if last.seq > 0 {
        return match root.says_nothing() {
            true => Ok(Some(last)),
            false => write(disk, dir, &last, root).map(Some),
        };
    }
    // Where no root is left, the first one names all packs that are there.
    let mut first = root.clone();
    let new = |(id, _): &(PackId, u64)| root.added.iter().all(|(added, _)| added != id);
    first.added.extend(all()?.into_iter().filter(new));
    write(disk, dir, &last, &first).map(Some)
}

/// What came since `seen`, with nobody just about to append more.
pub(crate) fn news(disk: &dyn Disk, dir: &Path, lock: &Path, seen: &Cursor) -> Result<News> {
    let _turn = disk.lock(lock, true).map_err(Error::at(lock))?;
    last_after(disk, dir, seen).map(|(_, news, _)| news)
}

/// Where the roots end that follow `seen`, what they bring, and whether there are more that cannot be
/// followed.
fn last_after(disk: &dyn Disk, dir: &Path, seen: &Cursor) -> Result<(Cursor, News, bool)> {
    let mut last = *seen;
    let mut news = News::default();
    if seen.seq > 0 && !is_there(disk, dir, seen) {
        // Somebody made the chain whole meanwhile, and it is another one now.
        let (any, drops) = (true, true);
        (last, news) = (Cursor::default(), News { any, drops });
    }
    loop {
        match step(disk, dir, &last)? {
            Step::Root(root, after) => {
                news.any = true;
                news.drops |= !root.dropped.is_empty();
                last = after;
            }
            Step::End => return Ok((last, news, false)),
            Step::Broken(_) => {
                let (any, drops) = (true, true);
                return Ok((last, News { any, drops }, true));
            }
        }
    }
}

/// Writes the root that follows `last`, in the place of what may be there.
fn write(disk: &dyn Disk, dir: &Path, last: &Cursor, root: &Root) -> Result<Cursor> {
    let bytes = root.encode(last);
    let new = dir.join("new");
    // Left by a writer that was killed: the lock says that nobody is at it.
    if disk.len(&new).map_err(Error::at(&new))?.is_some() {
        disk.remove(&new).map_err(Error::at(&new))?;
    }
    let file = disk.create(&new).map_err(Error::at(&new))?;
    file.append(&bytes).map_err(Error::at(&new))?;
    let to = path(dir, last.seq + 1);
    disk::publish(disk, file.as_ref(), &new, &to).map_err(Error::at(&to))?;
    Root::decode(&bytes, last, "the new root").map(|(_, after)| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_comes_back_and_only_after_its_predecessor() {
        let root = Root {
            added: vec![(PackId::of(b"a"), 7), (PackId::of(b"b"), 8)],
            dropped: vec![PackId::of(b"c")],
        };
        let start = Cursor::default();
        let bytes = root.encode(&start);
        let (back, after) = Root::decode(&bytes, &start, "root").expect("decodes");
        assert_eq!((back, after.seq), (root, 1));
        assert!(Root::decode(&bytes, &after, "root").is_err());
    }

    #[test]
    fn every_changed_byte_of_a_root_is_noticed() {
        let root = Root {
            added: vec![(PackId::of(b"a"), 7)],
            dropped: vec![],
        };
        let bytes = root.encode(&Cursor::default());
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(
                Root::decode(&bad, &Cursor::default(), "root").is_err(),
                "byte {at}"
            );
            assert!(Root::decode(&bytes[..at], &Cursor::default(), "root").is_err());
        }
    }
}

//! Frames made for one who fetches, against versions that he holds.
//!
//! What is stored plainly, or stands on what he lacks, would come whole although he has nearly all of it.
//! Making a difference takes work, so there is a bound to what one request gets made, and to how many get
//! it at once; whoever is over it gets frames without.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use lob_store::{ChunkId, Frame, Kin, LobId};

use crate::remote::{DIFFERENCE_BASE_MAX, Remote, Result};

/// Requests that are worked for at once. Differences take some 100 MB of memory for each at most, and as
/// many cores as there are.
const AT_ONCE: usize = 2;
/// Chunks of one request that are tried: about 512 MiB, some six seconds of one core.
const CHUNKS_MAX: usize = 8 << 10;

/// The turns at some work of all services that share a machine.
#[derive(Debug, Default)]
pub struct Turns(AtomicUsize);

/// A turn at it.
pub(super) struct Turn<'t>(&'t Turns);

impl Turns {
    /// One of them, unless all are taken.
    pub(super) fn take(&self) -> Option<Turn<'_>> {
        let more = |making| (making < AT_ONCE).then_some(making + 1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Calls `each` for frames of chunks among `ids` that are worth making as differences: `against` has the
/// lobs that they are of, each with one that the receiver holds whole. Returns the chunks in them. Those
/// that are stored so that they can go as they are, on what is `relied` on, are left out.
///
/// # Errors
/// What `each` returns. Lobs that are not here, or that are damaged, serve for nothing.
pub(super) fn make(
    turns: &Turns,
    store: &dyn Remote,
    ids: &[ChunkId],
    relied: &HashSet<ChunkId>,
    against: impl Iterator<Item = [LobId; 2]>,
    each: &mut dyn FnMut(Frame) -> Result<()>,
) -> Result<HashSet<ChunkId>> {
    let mut against = against.peekable();
    let turn = against.peek().and_then(|_| turns.take());
    if turn.is_none() {
        return Ok(HashSet::new());
    }
    let mut work = Work {
        chunks: CHUNKS_MAX,
        bytes: DIFFERENCE_BASE_MAX,
    };
    work.make(store, ids, relied, against, each)
}

/// What may still be done for one request.
struct Work {
    /// Chunks to be tried.
    chunks: usize,
    /// Bytes of bases to be read.
    bytes: u64,
}

impl Work {
    fn make(
        &mut self,
        store: &dyn Remote,
        ids: &[ChunkId],
        relied: &HashSet<ChunkId>,
        against: impl Iterator<Item = [LobId; 2]>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<HashSet<ChunkId>> {
        let mut made = HashSet::new();
        let mut wanted = wanted(store, ids, relied)?;
        for pair in against {
            if wanted.is_empty() || self.chunks == 0 {
                break;
            }
            let mut gone = None;
            let mut take = |frame: Frame| {
                made.extend(frame.chunks.iter().map(|(id, _)| *id));
                each(frame).inspect_err(|_| gone = Some(()))
            };
            let done = self.against_one(store, pair, &wanted, &mut take);
            match (done, gone) {
                (Err(error), Some(())) => return Err(error),
                // What cannot be read here is met, or is not, when it is sent as it is.
                _ => wanted.retain(|id| !made.contains(id)),
            }
        }
        Ok(made)
    }

    fn against_one(
        &mut self,
        store: &dyn Remote,
        [lob, base]: [LobId; 2],
        wanted: &HashSet<ChunkId>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        let found = store.manifests(&[lob])?.pop().flatten();
        let (Some(new), Some(base)) = (found, store.manifests(&[base])?.pop().flatten()) else {
            return Ok(());
        };
        let Some(left) = self.bytes.checked_sub(base.size) else {
            return Ok(());
        };
        self.bytes = left;
        let left = &mut self.chunks;
        // He has what he does not ask for, as far as it matters. How deep it is there, his store minds.
        let mut kin = |ids: &[ChunkId]| {
            let kin = |id: &ChunkId| {
                let is_tried = wanted.contains(id) && *left > 0;
                *left -= usize::from(is_tried);
                (!is_tried).then(Kin::default)
            };
            Ok(ids.iter().map(kin).collect())
        };
        store.each_delta(&new, base, &mut kin, each).map(drop)
    }
}

/// Those of `ids` whose frames would have to be sent without what they are like.
fn wanted(
    store: &dyn Remote,
    ids: &[ChunkId],
    relied: &HashSet<ChunkId>,
) -> Result<HashSet<ChunkId>> {
    let goes_as_it_is =
        |kin: &Kin| !kin.bases.is_empty() && kin.bases.iter().all(|base| relied.contains(base));
    let kins = ids.iter().zip(store.kin(ids)?);
    let others = kins.filter(|(_, kin)| kin.as_ref().is_some_and(|kin| !goes_as_it_is(kin)));
    Ok(others.map(|(id, _)| *id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{Access, open_dir};
    use lob_store::{Parts, Store};

    struct Scene {
        _dir: tempfile::TempDir,
        store: Store,
        versions: [LobId; 2],
        /// What the second has and the first has not.
        new: Vec<ChunkId>,
    }

    /// Two versions of two megabytes: the second has a byte changed every 10,000.
    fn scene() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let store = open_dir(&dir.path().join("lob"), Access::Write, None).unwrap();
        let mut state = 1u64;
        let mut content: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(2 << 20)
        .collect();
        let add = |content: &[u8]| {
            let mut writer = store.writer().unwrap();
            let added = writer.add(&mut &*content, &()).unwrap();
            writer.finish().unwrap();
            added.id
        };
        let old = add(&content);
        content
            .iter_mut()
            .step_by(10_000)
            .for_each(|byte| *byte ^= 1);
        let versions = [add(&content), old];
        let chunks = |id| match store.manifest(id).unwrap().unwrap().parts {
            Parts::Chunks(chunks) => chunks.into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
            parts => panic!("{parts:?}"),
        };
        let known = chunks(&versions[1]);
        let mut new = chunks(&versions[0]);
        new.retain(|id| !known.contains(id));
        Scene {
            _dir: dir,
            store,
            versions,
            new,
        }
    }

    fn made(scene: &Scene, mut work: Work, pairs: &[[LobId; 2]]) -> (usize, usize) {
        let (mut bytes, relied) = (0, HashSet::new());
        let mut each = |frame: Frame| {
            assert!(!frame.bases.is_empty());
            bytes += frame.stored.len();
            Ok(())
        };
        let pairs = pairs.iter().copied();
        let made = work.make(&scene.store, &scene.new, &relied, pairs, &mut each);
        (made.unwrap().len(), bytes)
    }

    const ALL: Work = Work {
        chunks: CHUNKS_MAX,
        bytes: DIFFERENCE_BASE_MAX,
    };

    #[test]
    fn what_is_like_a_version_that_is_held_comes_as_the_difference() {
        let scene = scene();
        let (count, bytes) = made(&scene, ALL, &[scene.versions]);
        assert_eq!(count, scene.new.len());
        assert!(count > 10 && bytes < 100_000, "{count} {bytes}");
    }

    #[test]
    fn p9_work_for_one_request_is_bounded() {
        let scene = scene();
        let few = Work { chunks: 3, ..ALL };
        let (count, _) = made(&scene, few, &[scene.versions; 5]);
        assert!((1..=3).contains(&count), "{count}");
        let short = Work {
            bytes: (2 << 20) - 1,
            ..ALL
        };
        assert_eq!(made(&scene, short, &[scene.versions]), (0, 0));
        assert_eq!(made(&scene, ALL, &[]), (0, 0));
    }

    #[test]
    fn p9_only_so_many_get_differences_at_once() {
        let scene = scene();
        let turns = Turns::default();
        let make = || {
            let pairs = std::iter::once(scene.versions);
            let relied = HashSet::new();
            let each = &mut |_| Ok(());
            make(&turns, &scene.store, &scene.new, &relied, pairs, each).unwrap()
        };
        let taken: Vec<_> = (0..AT_ONCE).map(|_| turns.take().unwrap()).collect();
        assert_eq!(make().len(), 0, "as it is stored then");
        drop(taken);
        assert_eq!(make().len(), scene.new.len());
    }

    #[test]
    fn a_base_that_is_unknown_or_asked_for_itself_serves_nobody() {
        let mut scene = scene();
        let [new, old] = scene.versions;
        let unknown = LobId::of(b"nobody has it");
        assert_eq!(made(&scene, ALL, &[[new, unknown], [unknown, old]]), (0, 0));
        assert_eq!(made(&scene, ALL, &[[new, new]]), (0, 0));
        let again = made(&scene, ALL, &[[new, unknown], [new, old], [new, old]]);
        assert_eq!(again.0, scene.new.len(), "each once");
        scene.new.push(ChunkId::of(b"nobody has it"));
        assert_eq!(made(&scene, ALL, &[[new, old]]).0, scene.new.len() - 1);
    }
}

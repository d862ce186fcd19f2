//! What lobs take in a store: all that they need, and what nothing else needs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::id::{ChunkId, LobId, PackId};
use crate::pack::{CHUNK_COST, ChunkEntry};
use crate::progress::Progress;
use crate::reach::Reach;
use crate::store::Store;
use crate::view::{Place, View, is_absent};

/// Bytes that lobs take in a store, as its packs have them: compressed, differences as differences,
/// with the tables that list them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LobCost {
    /// Of all that is needed to read them. What is stored as a difference needs its bases.
    pub stored: u64,
    /// Of that, what no other lob of the store needs.
    pub alone: u64,
}

/// What each of some lobs takes, and all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LobCosts {
    /// In the order in which they were asked for; `None` for one that the store does not hold, or that
    /// is damaged.
    pub each: Vec<Option<LobCost>>,
    /// All of them: what they have in common counts once, and as theirs alone if nobody else needs it.
    pub together: LobCost,
}

/// What is known of a chunk: who needs it, in four bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Mark(u32);

impl Mark {
    /// A lob needs it that was not asked for.
    const OTHERS: u32 = 1 << 31;
    /// More than one of those need it that were.
    const SEVERAL: u32 = 1 << 30;
    /// It was counted among what they take together.
    const COUNTED: u32 = 1 << 29;
    /// The rest is the number of the walk that came by last; 0 for none.
    const WALK: u32 = Mark::COUNTED - 1;

    /// Sets a flag. Returns whether it is new.
    fn set(&mut self, flag: u32) -> bool {
        let new = self.0 & flag == 0;
        self.0 |= flag;
        new
    }

    /// A walk comes by. Returns the number of the one before it, or `None` where it is the same.
    fn walked(&mut self, number: u32) -> Option<u32> {
        let before = self.0 & Mark::WALK;
        self.0 = self.0 & !Mark::WALK | number;
        (before != number).then_some(before)
    }
}

/// A mark for each chunk of every pack. What is in several packs counts where a lookup finds it.
struct Marks<'s> {
    store: &'s Store,
    view: Arc<View>,
    /// The number of the first chunk of each pack.
    first: HashMap<PackId, usize>,
    marks: Vec<Mark>,
}

impl Store {
    /// What these lobs take, each named once. All lobs of the store are walked for that, in memory of
    /// four bytes for each chunk of it; `progress` hears of each, and of those asked for twice.
    ///
    /// Where chunks share a frame, each counts by its share of the bytes.
    ///
    /// # Errors
    /// When the tables of the store cannot be read, or a limit on lobs, 268 million, is met.
    pub fn costs(&self, lobs: &[LobId], progress: &dyn Progress) -> Result<LobCosts> {
        let count = match u32::try_from(lobs.len()) {
            Ok(count) if count <= Mark::WALK / 2 => count,
            _ => {
                return Err(Error::OverLimit {
                    what: "a list of lobs".into(),
                    limit: u64::from(Mark::WALK / 2),
                });
            }
        };
        let mut marks = Marks::new(self)?;
        let asked: HashSet<&LobId> = lobs.iter().collect();
        self.each_lob(&mut |lob| match asked.contains(&lob.id) {
            true => Ok(()),
            false => {
                let walked = marks.walk(&lob.id, progress, &mut |mark, _| mark.set(Mark::OTHERS));
                walked.map(drop)
            }
        })?;
        for (lob, number) in lobs.iter().zip(1..) {
            let _ = marks.walk(lob, progress, &mut |mark, _| match mark.walked(number) {
                None => false,
                Some(0) => true,
                Some(_) => {
                    let _ = mark.set(Mark::SEVERAL);
                    true
                }
            })?;
        }
        let mut costs = LobCosts::default();
        for (lob, number) in lobs.iter().zip(count + 1..) {
            let cost = marks.cost(lob, number, &mut costs.together, progress)?;
            costs.each.push(cost);
        }
        Ok(costs)
    }
}

impl<'s> Marks<'s> {
    fn new(store: &'s Store) -> Result<Marks<'s>> {
        let _ = store.refresh()?;
        let view = store.view();
        let mut first = HashMap::new();
        let mut count = 0;
        for pack in view.packs() {
            match store.packs().table(&pack) {
                Ok(table) => {
                    let _ = first.insert(pack, count);
                    count += table.chunk_count();
                }
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Marks {
            store,
            view,
            first,
            marks: vec![Mark::default(); count],
        })
    }

    /// Calls `visit` for every chunk that a lob needs, and for those behind it where it says yes.
    /// Returns whether all of the lob could be followed.
    fn walk(
        &mut self,
        id: &LobId,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(&mut Mark, &Place<ChunkEntry>) -> bool,
    ) -> Result<bool> {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let view = self.view.clone();
        let reach = Reach {
            store: self.store,
            view: &view,
        };
        let walked = match reach.manifest(id) {
            Ok(None) => return Ok(false),
            Ok(Some(manifest)) => reach.each_chunk(&manifest, &mut |chunk| {
                self.walk_chunk(&reach, chunk, visit)
            }),
            Err(error) => Err(error),
        };
        progress.lob();
        match walked {
            Err(error) if is_absent(&error) => Ok(false),
            walked => walked.map(|()| true),
        }
    }

    fn walk_chunk(
        &mut self,
        reach: &Reach<'_>,
        id: &ChunkId,
        visit: &mut dyn FnMut(&mut Mark, &Place<ChunkEntry>) -> bool,
    ) -> Result<()> {
        let mut next = vec![*id];
        while let Some(id) = next.pop() {
            let place = self.view.find(self.store.packs(), &id)?;
            let place = place.ok_or(Error::NoChunk(id))?;
            let first = self.first.get(&place.pack).copied();
            let number = first.zip(place.table.find_chunk(&id)).map(|(a, b)| a + b);
            let mark = number.and_then(|number| self.marks.get_mut(number));
            if mark.is_some_and(|mark| visit(mark, &place)) {
                next.extend(reach.bases(&place));
            }
        }
        Ok(())
    }

    /// What a lob takes, and what of it was not counted `together` with others yet.
    fn cost(
        &mut self,
        id: &LobId,
        number: u32,
        together: &mut LobCost,
        progress: &dyn Progress,
    ) -> Result<Option<LobCost>> {
        let Some(lob) = self.view.find(self.store.packs(), id)? else {
            return Ok(None);
        };
        let own = lob.entry.cost();
        let mut cost = LobCost {
            stored: own,
            alone: own,
        };
        let mut all = *together;
        let whole = self.walk(id, progress, &mut |mark, place| {
            if mark.walked(number).is_none() {
                return false;
            }
            let bytes = share(place);
            cost.stored += bytes;
            if mark.0 & (Mark::OTHERS | Mark::SEVERAL) == 0 {
                cost.alone += bytes;
            }
            if mark.set(Mark::COUNTED) {
                all.stored += bytes;
                if mark.0 & Mark::OTHERS == 0 {
                    all.alone += bytes;
                }
            }
            true
        })?;
        all.stored += own;
        all.alone += own;
        *together = all;
        Ok(whole.then_some(cost))
    }
}

/// Bytes of a chunk in its pack and in the tables: of its frame as much as it has of its content.
fn share(place: &Place<ChunkEntry>) -> u64 {
    let frame = place.table.frame(place.entry.frame as usize);
    let frame = frame.map_or(0, |frame| {
        frame.cost() * u64::from(place.entry.len) / u64::from(frame.raw.max(1))
    });
    CHUNK_COST + frame
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;
    use crate::chunk::tests::noise;
    use crate::disk::OsDisk;

    /// Bytes of a pack and of the table beside it that list nothing.
    const EMPTY: u64 = 32 + 24 + 2 * (32 + 4 * 16 + 32);

    fn store(dir: &Path) -> Store {
        Store::create(Arc::new(OsDisk), dir).expect("a store")
    }

    fn add(store: &Store, content: &[u8]) -> LobId {
        let mut writer = store.writer().expect("a writer");
        let added = writer.add(&mut &*content, &()).expect("adds");
        writer.finish().expect("publishes");
        added.id
    }

    /// Bytes of all that its packs list.
    fn listed(store: &Store) -> u64 {
        let packs = store.view().packs().count() as u64;
        store.stored_bytes().expect("is told") - packs * EMPTY
    }

    fn costs(store: &Store, lobs: &[LobId]) -> (Vec<LobCost>, LobCost) {
        let costs = store.costs(lobs, &()).expect("is told");
        let each = costs.each.into_iter().map(|cost| cost.expect("is there"));
        (each.collect(), costs.together)
    }

    /// Every byte of a store of which shares are rounded down counts for somebody.
    #[track_caller]
    fn assert_close(counted: u64, bytes: u64) {
        assert!(
            counted <= bytes && bytes - counted < 100,
            "{counted} of {bytes}"
        );
    }

    #[test]
    fn a_lob_alone_takes_the_whole_store() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = store(&dir.path().join("s"));
        let text = b"a line, and another one; ".repeat(40_000);
        for content in [noise(1, 3_000_000), text] {
            let before = listed(&store);
            let lob = add(&store, &content);
            let (each, together) = costs(&store, &[lob]);
            assert_close(each[0].stored, listed(&store) - before);
            assert_eq!(each, [together]);
            assert_eq!(together.stored, together.alone);
        }
    }

    #[test]
    fn what_lobs_have_in_common_is_nobodys_alone_but_theirs_together() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = store(&dir.path().join("s"));
        let common = noise(1, 3_000_000);
        // The same again within a lob is not somebody else's.
        let twice = [&common[..], &common[..], &noise(2, 500_000)].concat();
        let (one, two) = (add(&store, &common), add(&store, &twice));
        let (each, together) = costs(&store, &[one, two]);
        assert!(each[0].stored > 3_000_000 && each[0].stored < 3_050_000);
        assert!(each[0].alone < 300_000, "{each:?}: the last chunk");
        assert!(each[1].stored > 3_500_000 && each[1].stored < 3_900_000);
        assert!(each[1].alone > 500_000 && each[1].alone < 900_000);
        assert_eq!(together.stored, together.alone);
        assert_close(together.stored, listed(&store));
        let (_, asked) = costs(&store, &[two]);
        assert_eq!((asked.stored, asked.alone), (each[1].stored, each[1].alone));
        let none = store.costs(&[LobId::of(b"none")], &()).expect("is told");
        assert_eq!(none.each, [None]);
        assert_eq!(none.together, LobCost::default());
    }

    #[test]
    fn a_difference_costs_itself_and_needs_its_base() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (store(&dir.path().join("a")), store(&dir.path().join("b")));
        let old = noise(1, 2_000_000);
        let mut new = old.clone();
        new.iter_mut().step_by(20_000).for_each(|byte| *byte ^= 1);
        let base = add(&from, &old);
        assert_eq!(add(&to, &old), base);
        let lob = add(&from, &new);
        let manifest = |id| from.manifest(id).expect("is read").expect("is there");
        let mut writer = to.writer().expect("a writer");
        writer.start().expect("starts");
        let mut ask = |ids: &[ChunkId]| to.kin(ids);
        let mut take = |frame| writer.add_frame(frame);
        let sent = from.each_delta(&manifest(&lob), manifest(&base), &mut ask, &mut take);
        let sent: HashSet<_> = sent.expect("sends");
        let all = manifest(&lob).named_chunks();
        assert!(all.iter().all(|(id, _)| sent.contains(id)), "all changed");
        writer.add_manifest(&manifest(&lob)).expect("names");
        writer.finish().expect("publishes");
        let (each, together) = costs(&to, &[base, lob]);
        assert!(each[1].alone < 60_000, "{each:?}");
        assert!(each[1].stored > 2_000_000, "{each:?}: with its base");
        assert!(each[0].alone < 5_000, "{each:?}: its chunks are needed");
        assert_close(together.stored, listed(&to));
    }
}

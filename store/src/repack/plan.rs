//! Which packs a repack writes anew, in which units.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::error::Result;
use crate::id::{ChunkId, LobId};
use crate::limits::{PRUNE_SHARE, REPACK_DEPTH};
use crate::prune::bits::Bits;
use crate::prune::marks::Marks;
use crate::prune::plan::dead_bytes;
use crate::view::{Listed, is_absent};

use super::placed::Placed;
use super::shape::{Shape, Version};
use super::{RepackCost, Turned};

/// A unit gets no larger than so many steps for the sake of what goes together.
const STEPS_MAX: u64 = 16;

/// What is known of the versions and of the packs that they are in.
#[derive(Debug)]
pub(super) struct Plan<'s> {
    pub(super) marks: Marks<'s>,
    /// Versions of one file each, newest first.
    pub(super) chains: Vec<Vec<Version>>,
    pub(super) placed: Placed,
    /// What was decided of versions of which a part is still to be written anew.
    pub(super) begun: HashMap<LobId, Turned>,
    pub(super) deep: bool,
    /// Versions that cannot be followed.
    pub(super) passed: u64,
    /// For each pack the chunks of newest versions.
    heads: Vec<Bits>,
    /// For each pack the chunks that are to be turned: those of older versions that no newer one has.
    turn: Vec<Bits>,
    /// For each pack the chains that have chunks in it, by their numbers.
    chains_in: Vec<BTreeSet<u32>>,
    /// For each pack those others that have frames which stand on chunks in it.
    stands: Vec<BTreeSet<usize>>,
}

impl<'s> Plan<'s> {
    /// Walks these chains.
    pub(super) fn of(marks: Marks<'s>, chains: &[Vec<LobId>], deep: bool) -> Result<Plan<'s>> {
        let bits = |marks: &Marks<'_>| -> Vec<Bits> {
            let packs = marks.packs.iter();
            packs.map(|pack| Bits::none(pack.chunks.len())).collect()
        };
        let count = marks.packs.len();
        let mut plan = Plan {
            placed: Placed::load(marks.store)?,
            heads: bits(&marks),
            turn: bits(&marks),
            chains_in: vec![BTreeSet::new(); count],
            stands: vec![BTreeSet::new(); count],
            chains: Vec::new(),
            begun: HashMap::new(),
            marks,
            deep,
            passed: 0,
        };
        let mut known = HashSet::new();
        for chain in chains {
            let here = chain.iter().copied().filter(|lob| known.insert(*lob));
            let here = plan.versions(here.collect())?;
            if !here.is_empty() {
                plan.chains.push(here);
            }
        }
        let mut seen = bits(&plan.marks);
        (0..plan.chains.len()).try_for_each(|chain| plan.walk_newest(chain))?;
        (0..plan.chains.len()).try_for_each(|chain| plan.walk_older(chain, &mut seen))?;
        (0..count).try_for_each(|p| plan.note_bases(p))?;
        Ok(plan)
    }

    fn versions(&self, lobs: Vec<LobId>) -> Result<Vec<Version>> {
        let held = self.marks.store.lobs(&lobs)?.into_iter().flatten();
        let version = |lob: crate::store::LobInfo| Version {
            id: lob.id,
            size: lob.size,
            settled: None,
            packs: Vec::new(),
        };
        Ok(held.map(version).collect())
    }

    /// Calls `each` with the pack, the number and the depth of every chunk of a lob, those of lists too,
    /// where a lookup finds it. `false` where the lob cannot be followed.
    pub(super) fn each_chunk(
        &self,
        lob: &LobId,
        each: &mut dyn FnMut(usize, usize, u8) -> Result<()>,
    ) -> Result<bool> {
        let reach = self.marks.reach();
        let walked = reach.manifest(lob).and_then(|manifest| {
            let Some(manifest) = manifest else {
                return Ok(false);
            };
            reach.each_chunk(&manifest, &mut |id| match self.marks.chunk_at(id)? {
                Some((p, n, place)) => each(p, n, ChunkId::depth(&place.table, &place.entry)),
                None => Ok(()),
            })?;
            Ok(true)
        });
        match walked {
            Err(error) if is_absent(&error) => Ok(false),
            walked => walked,
        }
    }

    fn walk_newest(&mut self, chain: usize) -> Result<()> {
        let lob = self.chains[chain][0].id;
        let settled = Shape::default().settled(&lob, &[], &self.placed, self.deep);
        let (mut found, mut based) = (BTreeSet::new(), BTreeSet::new());
        let mut chunks = Vec::new();
        let good = self.each_chunk(&lob, &mut |p, n, depth| {
            found.insert(p);
            if depth > 0 {
                based.insert(p);
            }
            chunks.push((p as u32, n as u32));
            Ok(())
        })?;
        for (p, n) in chunks {
            let _ = self.heads[p as usize].insert(n as usize);
        }
        for p in &found {
            self.chains_in[*p].insert(chain as u32);
        }
        let packs = match settled {
            // Plain frames, but not yet as small as can be.
            None if self.deep => found,
            _ => based,
        };
        let newest = &mut self.chains[chain][0];
        newest.settled = settled;
        match good {
            true => newest.packs = packs.into_iter().collect(),
            false => self.passed += 1,
        }
        Ok(())
    }

    fn walk_older(&mut self, chain: usize, seen: &mut [Bits]) -> Result<()> {
        let lobs: Vec<LobId> = self.chains[chain].iter().map(|one| one.id).collect();
        let mut shape = Shape::default();
        shape.take(lobs[0], None);
        for (n, lob) in lobs.iter().enumerate().skip(1) {
            let settled = shape.settled(lob, &lobs[n + 1..], &self.placed, self.deep);
            let (mut found, mut own, mut deepest) = (BTreeSet::new(), Vec::new(), 0);
            let good = self.each_chunk(lob, &mut |p, n, depth| {
                found.insert(p);
                if !self.heads[p].has(n) && seen[p].insert(n) {
                    own.push((p as u32, n as u32));
                    deepest = deepest.max(depth);
                }
                Ok(())
            })?;
            let settled = settled.filter(|_| deepest <= REPACK_DEPTH);
            for p in found {
                self.chains_in[p].insert(chain as u32);
            }
            let version = &mut self.chains[chain][n];
            version.settled = settled;
            match settled {
                Some(turned) => shape.take(*lob, turned.parent),
                None if good => {
                    let packs: BTreeSet<_> = own.iter().map(|(p, _)| *p as usize).collect();
                    version.packs = packs.into_iter().collect();
                    for (p, n) in own {
                        let _ = self.turn[p as usize].insert(n as usize);
                    }
                }
                None => self.passed += 1,
            }
        }
        Ok(())
    }

    /// Notes what the frames of a pack stand on.
    pub(super) fn note_bases(&mut self, p: usize) -> Result<()> {
        let table = self.marks.table_of(p)?;
        for frame in (0..table.frame_count()).filter_map(|n| table.frame(n)) {
            for base in table.bases(&frame) {
                if let Some((at, ..)) = self.marks.chunk_at(&base)?
                    && let Some(stands) = self.stands.get_mut(at).filter(|_| at != p)
                {
                    stands.insert(p);
                }
            }
        }
        Ok(())
    }

    /// The packs that are written anew together, by their numbers: those of newest versions first.
    pub(super) fn units(&self, step: u64) -> Result<Vec<Vec<usize>>> {
        let mut tasks: Vec<(usize, &[usize])> = Vec::new();
        let mut open_in = vec![BTreeSet::new(); self.marks.packs.len()];
        for (c, chain) in self.chains.iter().enumerate() {
            for (n, version) in chain.iter().enumerate() {
                for p in &version.packs {
                    let _ = open_in[*p].insert((c, n));
                }
                tasks.push((n, &version.packs));
            }
        }
        tasks.retain(|(_, packs)| !packs.is_empty());
        tasks.sort_by_key(|(n, packs)| (*n, usize::MAX - packs.last().unwrap_or(&0)));
        let mut dead = Vec::new();
        for (p, pack) in self.marks.packs.iter().enumerate() {
            // What a repack has left that was killed, for one.
            if dead_bytes(&self.marks, p)?.saturating_mul(PRUNE_SHARE) >= pack.len {
                dead.push(p);
            }
        }
        tasks.extend(dead.chunks(1).map(|packs| (usize::MAX, packs)));
        let mut joining = Joining {
            plan: self,
            open_in,
            taken: self.marks.packs.iter().map(|pack| pack.stays).collect(),
            most: step.saturating_mul(STEPS_MAX),
            unit: Vec::new(),
            bytes: 0,
        };
        let mut units = Vec::new();
        for (_, packs) in tasks {
            if joining.bytes >= step {
                joining.bytes = 0;
                units.push(std::mem::take(&mut joining.unit));
            }
            packs.iter().for_each(|p| joining.join(*p));
        }
        units.push(joining.unit);
        units.retain(|unit| !unit.is_empty());
        Ok(units)
    }

    pub(super) fn cost(&self, units: &[Vec<usize>]) -> RepackCost {
        let mut cost = RepackCost::default();
        for chain in &self.chains {
            for (n, _) in chain
                .iter()
                .enumerate()
                .filter(|(_, one)| !one.packs.is_empty())
            {
                cost.newest += u64::from(n == 0);
                cost.older += u64::from(n > 0);
            }
        }
        for &p in units.iter().flatten() {
            cost.packs += 1;
            cost.stored += self.marks.packs[p].len;
            if let Ok(table) = self.marks.table_of(p) {
                let frames = (0..table.frame_count()).filter_map(|n| table.frame(n));
                cost.raw += frames.map(|frame| u64::from(frame.raw)).sum::<u64>();
            }
        }
        cost
    }

    /// Whether a chunk belongs to a newest version.
    pub(super) fn is_newest(&self, p: usize, n: usize) -> bool {
        self.heads.get(p).is_some_and(|heads| heads.has(n))
    }

    /// Whether a chunk is to be turned.
    pub(super) fn is_turned(&self, p: usize, n: usize) -> bool {
        self.turn.get(p).is_some_and(|turn| turn.has(n))
    }

    /// The packs with frames that stand on chunks of a pack.
    pub(super) fn standing_on(&self, p: usize) -> &BTreeSet<usize> {
        &self.stands[p]
    }

    /// The chains that have chunks in any of these packs.
    pub(super) fn chains_of(&self, packs: &[usize]) -> BTreeSet<u32> {
        let chains = packs.iter().flat_map(|p| self.chains_in[*p].iter());
        chains.copied().collect()
    }

    /// Takes in the packs that came since: nothing of this run touches them. Returns their numbers.
    pub(super) fn take_in_new(&mut self) -> Result<std::ops::Range<usize>> {
        let new = self.marks.take_in_new()?;
        for p in new.clone() {
            self.stands.push(BTreeSet::new());
            self.chains_in.push(BTreeSet::new());
            self.note_bases(p)?;
        }
        Ok(new)
    }

    /// Whether all that counts of a pack can be read.
    pub(super) fn is_readable(&self, p: usize) -> Result<bool> {
        let table = self.marks.table_of(p)?;
        let pack = &self.marks.packs[p];
        let good = |read: Result<()>| match read {
            Err(error) if is_absent(&error) => Ok(false),
            read => read.map(|()| true),
        };
        for n in (0..table.chunk_count()).filter(|n| pack.chunks.has(*n)) {
            let read = self.marks.store.chunk(&table.chunk(n).id);
            if !good(read.map(drop))? {
                return Ok(false);
            }
        }
        for n in (0..table.lob_count()).filter(|n| pack.lobs.has(*n)) {
            let read = self.marks.reach().manifest(&table.lob(n).id);
            if !good(read.map(drop))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How a version is written down that was turned.
    pub(super) fn turned(&self, parent: Option<LobId>, root: Option<LobId>) -> Turned {
        Turned {
            parent,
            root,
            deep: self.deep,
        }
    }
}

/// A unit that packs join.
struct Joining<'p, 's> {
    plan: &'p Plan<'s>,
    /// For each pack the versions of which a part in it is to be written anew: chain and number.
    open_in: Vec<BTreeSet<(usize, usize)>>,
    taken: Vec<bool>,
    most: u64,
    unit: Vec<usize>,
    bytes: u64,
}

impl Joining<'_, '_> {
    /// Takes a pack in, and as far as there is room those with it that have other parts of the versions
    /// in it, or newer ones of these, and those that stand on what is turned in it.
    fn join(&mut self, p: usize) {
        let plan = self.plan;
        let mut next = vec![p];
        let mut is_asked = true;
        while let Some(p) = next.pop() {
            let has_room = std::mem::take(&mut is_asked) || self.bytes < self.most;
            if !has_room || std::mem::replace(&mut self.taken[p], true) {
                continue;
            }
            self.unit.push(p);
            self.bytes += plan.marks.packs[p].len;
            if !plan.turn[p].is_empty() {
                next.extend(&plan.stands[p]);
            }
            for (chain, n) in std::mem::take(&mut self.open_in[p]) {
                for version in &plan.chains[chain][..=n] {
                    next.extend(&version.packs);
                }
            }
        }
    }
}

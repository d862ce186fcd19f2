//! Runs of the index: that each says of its packs what their tables say, and nothing else.

use std::collections::HashSet;
use std::path::Path;

use crate::error::Result;
use crate::id::{ChunkId, LobId, PackId};
use crate::index::{self, Kind, Run};
use crate::pack::Table;
use crate::roots;
use crate::store::INDEX_LOCK;

use super::named::Named;
use super::{Each, Exam, Finding, Gravity, Object, Remedy};

impl Exam<'_> {
    /// Examines the runs that readers use, and reports those that they do not.
    pub(super) fn index(&self, named: &Named, each: Each<'_>) -> Result<()> {
        let (dir, disk) = (self.root.join("index"), self.disk.as_ref());
        let roots = self.root.join("roots");
        let counts = |run: &Run| roots::is_there(disk, &roots, &run.to);
        let runs = Run::open_all(disk, &dir, &counts).and_then(|used| {
            let ranges = index::ranges(disk, &dir)?;
            Ok((used, ranges))
        });
        let (used, ranges) = match runs {
            Ok(runs) => runs,
            Err(error) => {
                let object = Object::File("index".into());
                each(Finding::of(&error, object, Gravity::Damage, Remedy::System));
                return Ok(());
            }
        };
        for range in ranges {
            let object = Object::Run(range.0, range.1);
            if let Some(run) = used.iter().find(|run| run.range() == range) {
                if let Some(why) = self.fault_of(run, named)? {
                    each(Finding::damaged(object, why, Remedy::Rebuild));
                }
                continue;
            }
            let name = Path::new("index").join(index::run_name(range.0, range.1));
            let finding = match Run::open(disk, &self.root.join(&name)) {
                Ok(run) if run.range() == range => Finding::unused(object, Remedy::Delete),
                Ok(_) => {
                    let why = "it is not what its name says";
                    Finding::damaged(object, why, Remedy::Rebuild)
                }
                Err(error) => Finding::of(&error, object, Gravity::Damage, Remedy::Rebuild),
            };
            // Unless it was merged into another one meanwhile, or is about to be removed for that.
            if self.is_left(&name, INDEX_LOCK) {
                each(finding);
            }
        }
        Ok(())
    }

    /// What is wrong with a run, if anything.
    fn fault_of(&self, run: &Run, named: &Named) -> Result<Option<String>> {
        if run.has_hashes() && !run.holds_all() {
            return Ok(Some("the hash of a list does not hold".into()));
        }
        let listed: HashSet<_> = run.packs.iter().copied().collect();
        let range = run.from + 1..=run.to.seq;
        let lacks = named.packs.iter().find(|pack| {
            let root = pack.root.is_some_and(|(_, seq)| range.contains(&seq));
            root && !listed.contains(&pack.id)
        });
        if let Some(pack) = lacks {
            return Ok(Some(format!("it lacks pack {}", pack.id)));
        }
        let Some(counts) = counts(run) else {
            return Ok(Some("it refers to packs that it does not list".into()));
        };
        let packs: Vec<_> = run.packs.iter().copied().zip(counts).collect();
        let mut fault = None;
        self.in_order(
            &packs,
            |(id, counts)| match self.packs.table(id) {
                Ok(table) if !named.dropped.contains(id) => Ok(agrees(run, id, &table, *counts)),
                // One that cannot be had is a finding of its own.
                _ => Ok(true),
            },
            |(id, _), agrees| {
                if !agrees && fault.is_none() {
                    fault = Some(format!("it is not what the table of pack {id} says"));
                }
                Ok(())
            },
        )?;
        Ok(fault)
    }
}

/// Packs that hold the same chunk, and chunks that begin alike: more are made up.
const SAME_PREFIX_MAX: usize = 4096;

/// How many chunks and lobs a run lists of each of its packs.
fn counts(run: &Run) -> Option<Vec<[usize; 2]>> {
    let mut counts = vec![[0; 2]; run.packs.len()];
    for (which, kind) in [Kind::Chunk, Kind::Lob].into_iter().enumerate() {
        for n in 0..run.count(kind) {
            let (_, pack, _) = run.entry(kind, n);
            counts.get_mut(pack as usize)?[which] += 1;
        }
    }
    Some(counts)
}

/// Whether a lookup in `run` leads to every entry of a table, and no entry of the run to anything
/// else in that pack: as many as there are, and each of them found.
fn agrees(run: &Run, pack: &PackId, table: &Table, [chunks, lobs]: [usize; 2]) -> bool {
    let found = |kind, prefix, number| {
        let mut hits = run.find(kind, prefix).take(SAME_PREFIX_MAX);
        hits.any(|(p, n)| n as usize == number && run.packs.get(p as usize) == Some(pack))
    };
    let chunk = |n| ChunkId::prefix(&table.chunk(n).id);
    let lob = |n| LobId::prefix(&table.lob(n).id);
    (chunks, lobs) == (table.chunk_count(), table.lob_count())
        && (0..chunks).all(|n| found(Kind::Chunk, chunk(n), n))
        && (0..lobs).all(|n| found(Kind::Lob, lob(n), n))
}

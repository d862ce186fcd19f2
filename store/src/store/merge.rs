//! Keeping the index short: many small runs and tables become few large runs.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::id::PackId;
use crate::index::{self, Gone, Kind, Run, Source};
use crate::limits::TAIL_PACKS_MAX;
use crate::view::View;

use super::{INDEX_LOCK, Store};

impl Store {
    /// Turns the tail into a run, together with the youngest runs that are not much larger: so each
    /// entry is rewritten a logarithmic number of times. Runs that do not hold are made anew from
    /// the tables of their packs. Another process at it is a reason to leave.
    pub(crate) fn merge_index(&self) -> Result<()> {
        if self.is_examined {
            return Ok(());
        }
        let disk = self.disk.as_ref();
        let lock = self.root.join(INDEX_LOCK);
        let Some(_turn) = disk.lock(&lock, false).map_err(Error::at(&lock))? else {
            return Ok(());
        };
        let mut distrusted = self.view().distrusted.clone();
        let (view, keep) = loop {
            let view = View::load(disk, &self.root, &self.packs, distrusted)?;
            let keep = kept_runs(&view);
            let merged = view.runs.iter().skip(keep);
            let bad: Vec<_> = merged.filter(|run| !run.holds_all()).collect();
            if bad.is_empty() {
                break (view, keep);
            }
            distrusted = view.distrusted.clone();
            distrusted.extend(bad.iter().map(|run| run.range()));
        };
        if view.tail.len() <= TAIL_PACKS_MAX || !view.absent.is_empty() || view.broken.is_some() {
            return Ok(());
        }
        let (kept, merged) = view.runs.split_at(keep);
        let runs = merged.iter().map(|run| run.as_ref() as &dyn Source);
        let tables = view.tail.iter().map(|table| table as &dyn Source);
        let sources: Vec<_> = runs.chain(tables).collect();
        let said: HashSet<_> = kept.iter().flat_map(|run| &run.dropped).collect();
        let forgotten = self.forgotten(&view, kept)?;
        let news = view.dropped.iter();
        let news = news.filter(|id| !said.contains(id) && !forgotten.contains(id));
        let gone = Gone {
            dropped: news.copied().collect(),
            forgotten,
        };
        let from = kept.last().map_or(0, |run| run.to.seq);
        let (dir, to) = (self.root.join("index"), view.cursor);
        let path = dir.join(index::run_name(from, to.seq));
        let temporary = dir.join("new");
        index::build(disk, &temporary, &path, (from, to), &sources, &gone)?;
        // What it covers, whether it was good, damaged or left by somebody who was killed.
        for (first, last) in index::ranges(disk, &dir)? {
            if first >= from && last <= to.seq && (first, last) != (from, to.seq) {
                let old = dir.join(index::run_name(first, last));
                disk.remove(&old).map_err(Error::at(&old))?;
            }
        }
        self.reload(&view.distrusted)
    }
}

impl Store {
    /// Dropped packs of which no run needs to say so any longer: their files are gone for good, and
    /// no run that stays lists them. So what was dropped once costs nothing in the end, and a pack
    /// whose file is still there is never taken for one of which nobody has heard.
    fn forgotten(&self, view: &View, kept: &[Arc<Run>]) -> Result<BTreeSet<PackId>> {
        if view.dropped.is_empty() {
            return Ok(BTreeSet::new());
        }
        // Whoever removed their files did not make that durable.
        let dir = self.root.join("packs");
        self.disk.sync_dir(&dir).map_err(Error::at(&dir))?;
        let there = self.packs.with_files()?;
        let listed: HashSet<_> = kept.iter().flat_map(|run| &run.packs).collect();
        let gone = view.dropped.iter();
        let gone = gone.filter(|id| !there.contains(id) && !listed.contains(id));
        Ok(gone.copied().collect())
    }
}

/// How many runs of a view stay as they are when its tail is merged.
fn kept_runs(view: &View) -> usize {
    let tables = view.tail.iter();
    let mut size: usize = tables.map(|(_, t)| t.chunk_count() + t.lob_count()).sum();
    let mut keep = view.runs.len();
    while let Some(run) = keep.checked_sub(1).and_then(|last| view.runs.get(last)) {
        let count = run.count(Kind::Chunk) + run.count(Kind::Lob);
        if count > 2 * size || count + size > u32::MAX as usize {
            break;
        }
        size += count;
        keep -= 1;
    }
    keep
}

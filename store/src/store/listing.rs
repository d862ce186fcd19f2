//! All lobs of a store, each once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::Result;
use crate::id::PackId;
use crate::index::Kind;
use crate::pack::{LobEntry, Table};
use crate::view::{View, is_absent};

use super::{LobInfo, Store};

/// Lobs that are put in order together, some mebibyte of them: ids are spread evenly.
const TOGETHER: usize = 64 << 10;

/// A lob among those that are put in order: its list, and its number there.
struct Placed {
    prefix: u64,
    list: u32,
    number: u32,
}

/// The lobs of a pack, which ascend, from the next one on.
struct Listed {
    pack: PackId,
    table: Arc<Table>,
    next: usize,
}

impl Listed {
    /// The number and the prefix of the next lob, if that is less than `end`.
    fn before(&mut self, end: Option<u64>) -> Option<(usize, u64)> {
        let number = self.next;
        let lob = (number < self.table.lob_count()).then(|| self.table.lob(number))?;
        let prefix = lob.id.prefix();
        if end.is_some_and(|end| prefix >= end) {
            return None;
        }
        self.next += 1;
        Some((number, prefix))
    }
}

impl Store {
    /// Calls `each` for every lob in the store, in no order, each once.
    pub fn each_lob(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        let _ = self.refresh()?;
        // Lookups tell which of several places counts.
        let _ = self.distrust(Kind::Lob)?;
        let view = self.view();
        let absent = self.each_lob_of(&view, &HashSet::new(), TOGETHER, each)?;
        // What was in packs that have gone since may be in new ones.
        if !absent.is_empty() && self.refresh()? {
            let seen: HashSet<_> = view.packs().filter(|id| !absent.contains(id)).collect();
            let _ = self.each_lob_of(&self.view(), &seen, TOGETHER, &mut |lob| {
                let before = view.find(&self.packs, &lob.id)?;
                match before.is_none_or(|place| absent.contains(&place.pack)) {
                    true => each(lob),
                    false => Ok(()),
                }
            })?;
        }
        Ok(())
    }

    /// Calls `each` for the lobs of a view, save those of some packs. Returns the packs that are not
    /// there. Most lobs are in one pack, and looking each up takes many times as long as this: about so
    /// many `together` are put in order, which shows those that are in several.
    fn each_lob_of(
        &self,
        view: &View,
        save: &HashSet<PackId>,
        together: usize,
        each: &mut dyn FnMut(LobInfo) -> Result<()>,
    ) -> Result<HashSet<PackId>> {
        let (mut lists, absent) = self.lists_of(view, save)?;
        let all: usize = lists.iter().map(|list| list.table.lob_count()).sum();
        let parts = (all / together.max(1)).max(1) as u64;
        let mut some = Vec::new();
        for part in 1..=parts {
            let end = (u128::from(part) << 64) / u128::from(parts);
            let end = u64::try_from(end).ok();
            for (at, list) in lists.iter_mut().enumerate() {
                while let Some((number, prefix)) = list.before(end) {
                    some.push(Placed {
                        prefix,
                        list: at as u32,
                        number: number as u32,
                    });
                }
            }
            let lob = |placed: &Placed| {
                let list = &lists[placed.list as usize];
                list.table.lob(placed.number as usize)
            };
            let id = |placed: &Placed| lob(placed).id;
            // Nearly always the prefixes tell all ids apart.
            some.sort_unstable_by(|a, b| {
                let order = a.prefix.cmp(&b.prefix);
                order.then_with(|| id(a).cmp(&id(b)))
            });
            for places in some.chunk_by(|a, b| a.prefix == b.prefix && id(a) == id(b)) {
                let LobEntry { id, mut size, .. } = lob(&places[0]);
                if places.len() > 1 {
                    // It counts where a lookup finds it.
                    let pack = |placed: &Placed| lists[placed.list as usize].pack;
                    let found = view.find(&self.packs, &id)?;
                    match found.filter(|found| places.iter().any(|one| pack(one) == found.pack)) {
                        Some(found) => size = found.entry.size,
                        None => continue,
                    }
                }
                each(LobInfo { id, size })?;
            }
            some.clear();
        }
        Ok(absent)
    }

    /// The tables of a view's packs, save some, and the packs that are not there.
    fn lists_of(
        &self,
        view: &View,
        save: &HashSet<PackId>,
    ) -> Result<(Vec<Listed>, HashSet<PackId>)> {
        let (mut lists, mut absent) = (Vec::new(), HashSet::new());
        for pack in view.packs().filter(|pack| !save.contains(pack)) {
            match self.packs.table(&pack) {
                Ok(table) => lists.push(Listed {
                    pack,
                    table,
                    next: 0,
                }),
                Err(e) if is_absent(&e) => drop(absent.insert(pack)),
                Err(e) => return Err(e),
            }
        }
        Ok((lists, absent))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::*;
    use crate::disk::SimDisk;
    use crate::id::LobId;

    /// Lobs in several packs, some of them in more than one, which two writers at once make of them.
    #[test]
    fn each_lob_comes_once_however_many_are_taken_together() {
        let store = Store::create(Arc::new(SimDisk::new()), Path::new("/s")).expect("a store");
        let content = |n: u32| n.to_le_bytes().repeat(1 + n as usize % 5);
        let mut expected = HashMap::new();
        for round in 0..6 {
            let mut writers = [store.writer().expect("one"), store.writer().expect("two")];
            for n in round * 40..round * 40 + 60 {
                for writer in &mut writers {
                    let _ = writer.add(&mut &content(n)[..], &()).expect("adds");
                }
                let _ = expected.insert(LobId::of(&content(n)), content(n).len() as u64);
            }
            for writer in writers {
                writer.finish().expect("publishes");
            }
        }
        let view = store.view();
        let listed = view
            .packs()
            .filter_map(|pack| store.packs.table(&pack).ok());
        let listed: usize = listed.map(|table| table.lob_count()).sum();
        assert!(listed > expected.len() + 100, "{listed} lobs in packs");
        for together in [1, 7, 100, TOGETHER] {
            let mut found = HashMap::new();
            let absent = store.each_lob_of(&view, &HashSet::new(), together, &mut |lob| {
                assert_eq!(found.insert(lob.id, lob.size), None, "it comes twice");
                Ok(())
            });
            assert!(absent.expect("lists").is_empty());
            assert_eq!(found, expected, "{together}");
        }
    }
}

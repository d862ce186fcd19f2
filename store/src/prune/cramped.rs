//! Pruning where the disk is full.

use crate::epoch;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::store::NEW_TABLE;

use super::marks::Marks;
use super::step;

/// Begins a new epoch, for which there is always room.
pub(super) fn begin_epoch(marks: &mut Marks<'_>) -> Result<()> {
    let (disk, root) = (marks.store.disk().as_ref(), marks.store.root());
    match epoch::begin(disk, root) {
        Err(error) if error.is_full() => {
            let _ = remove_tables(marks)?;
            epoch::begin_in_place(disk, root)
        }
        begun => begun,
    }
}

/// Takes a batch out of the store. Where there is no room for the root that says so, tables make some.
pub(super) fn carry_out(
    marks: &mut Marks<'_>,
    batch: &[usize],
    progress: &dyn Progress,
) -> Result<()> {
    match step::carry_out(marks, batch, progress) {
        Err(error) if error.is_full() && remove_tables(marks)? => {
            step::carry_out(marks, batch, progress)
        }
        done => done,
    }
}

/// Removes the tables beside those packs of which nothing is to stay: they say nothing that the packs
/// do not. Returns whether there were any.
fn remove_tables(marks: &mut Marks<'_>) -> Result<bool> {
    let disk = marks.store.disk().as_ref();
    let mut any = false;
    for pack in marks.packs.iter().filter(|pack| pack.is_dead()) {
        let path = marks.store.packs().table_path(&pack.id);
        if !pack.gone && disk.len(&path).map_err(Error::at(&path))?.is_some() {
            disk.remove(&path).map_err(Error::at(&path))?;
            marks.store.packs().close(&pack.id);
            any = true;
        }
    }
    if any {
        marks.close_tables()?;
    }
    Ok(any)
}

/// Puts tables beside the packs that are still there without one, now that there may be room.
pub(super) fn put_tables_back(marks: &Marks<'_>) {
    let there = marks.packs.iter().filter(|pack| !pack.gone);
    let there: Vec<_> = there.map(|pack| (pack.id, pack.len)).collect();
    let new = marks.store.root().join(NEW_TABLE);
    // A repair does it too.
    let _ = marks.store.packs().complete(&there, &new);
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::chunk::tests::noise;
    use crate::disk::{Disk, SimDisk};
    use crate::id::LobId;
    use crate::store::Store;

    fn add(store: &Store, contents: &[Vec<u8>]) {
        let mut writer = store.writer().unwrap();
        for content in contents {
            let _ = writer.add(&mut content.as_slice(), &()).unwrap();
        }
        writer.finish().unwrap();
    }

    fn prune(store: &Store, kept: &[&Vec<u8>]) -> Result<u64> {
        let young = SystemTime::now() + Duration::from_secs(1000);
        let mut prune = store.prune(young).unwrap().unwrap();
        for content in kept {
            assert!(prune.keep(&LobId::of(content)).unwrap());
        }
        prune.plan().unwrap().run(&()).map(|swept| swept.bytes)
    }

    fn read(store: &Store, content: &[u8]) -> bool {
        let mut out = Vec::new();
        let read = store.write_to(&LobId::of(content), &mut out, &());
        read.is_ok() && out == content
    }

    #[test]
    fn p8_tables_that_find_no_room_leave_nothing() {
        let disk = SimDisk::new();
        let store = Store::create(Arc::new(disk.clone()), Path::new("/store")).unwrap();
        add(&store, &[noise(1, 100_000)]);
        let packs = store.packs().on_disk().unwrap();
        let (table, new) = (
            store.packs().table_path(&packs[0].0),
            store.root().join(NEW_TABLE),
        );
        disk.remove(&table).unwrap();
        disk.set_capacity(Some(0));
        assert!(store.packs().complete(&packs, &new).is_err());
        assert_eq!(disk.len(&new).unwrap(), None);
        assert!(store.write_table(&packs[0].0, &new).is_err());
        assert_eq!(disk.len(&new).unwrap(), None);
        disk.set_capacity(None);
        store.packs().complete(&packs, &new).unwrap();
        assert!(disk.len(&table).unwrap().is_some());
    }

    #[test]
    fn a_prune_needs_no_room_and_gives_some() {
        let disk = SimDisk::new();
        let store = Store::create(Arc::new(disk.clone()), Path::new("/store")).unwrap();
        // The first of four is larger than what is to be moved of the others.
        let content = |n| noise(n, if n % 4 == 0 { 250_000 } else { 100_000 });
        let all: Vec<_> = (0..8).map(content).collect();
        let room = || disk.free_space(Path::new("/")).unwrap();
        // One pack that is dead, then one of which half is; twice, as the second epoch is no first.
        let mut kept = Vec::new();
        for all in all.chunks(4) {
            disk.set_capacity(None);
            add(&store, &all[..1]);
            add(&store, &all[1..3]);
            add(&store, &all[3..]);
            disk.set_capacity(Some(u64::MAX));
            disk.set_capacity(Some(u64::MAX - room().unwrap()));
            let epoch = store.epoch().unwrap();
            kept.extend(&all[2..]);
            let bytes = prune(&store, &kept).unwrap();
            assert!(bytes > 440_000, "{bytes}");
            assert!(room().unwrap() > 340_000, "{:?}", room());
            assert_ne!(store.epoch().unwrap(), epoch);
            assert!(!read(&store, &all[0]) && !read(&store, &all[1]));
            assert!(kept.iter().all(|content| read(&store, content)));
        }
    }

    /// What cannot be moved stays, and the rest goes.
    #[test]
    fn what_there_is_no_room_to_move_stays_and_all_else_goes() {
        let disk = SimDisk::new();
        let store = Store::create(Arc::new(disk.clone()), Path::new("/store")).unwrap();
        let all = [200_000, 150_001, 150_002, 150_003].map(|len| noise(len as u64, len));
        let large = noise(9, 600_000);
        add(&store, &all[..1]);
        add(&store, &[all[1].clone(), large.clone(), noise(8, 600_000)]);
        add(&store, &all[2..]);
        disk.set_capacity(Some(u64::MAX));
        let used = u64::MAX - disk.free_space(Path::new("/")).unwrap().unwrap();
        disk.set_capacity(Some(used));
        let error = prune(&store, &[&all[1], &large, &all[3]]).unwrap_err();
        assert!(error.is_full(), "{error}");
        assert!(!read(&store, &all[0]), "this needed no room");
        assert!(!read(&store, &all[2]), "and this has it now");
        assert!([&all[1], &large, &all[3]].iter().all(|c| read(&store, c)));
        let left = disk.list(Path::new("/store/stage")).unwrap();
        assert_eq!(left, [], "it takes up no room for ever");
        disk.set_capacity(None);
        assert!(prune(&store, &[&all[1], &large, &all[3]]).unwrap() > 400_000);
        assert!([&all[1], &large, &all[3]].iter().all(|c| read(&store, c)));
    }
}

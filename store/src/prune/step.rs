//! One step of a prune: what is marked in some packs moves to new ones, and one root puts these in
//! the place of those.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::limits::PRUNE_TRIES;
use crate::pack::{self, ChunkEntry, FrameEntry, Table};
use crate::progress::Progress;
use crate::reach::{Reach, part};
use crate::stage::Writer;
use crate::view::{Place, is_absent};

use super::bits::Bits;
use super::marks::Marks;

/// What of a pack was moved already.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) chunks: Bits,
    pub(crate) lobs: Bits,
}

/// Takes a batch of packs out of the store. Those that somebody has come to rely on stay. Killed
/// anywhere, it leaves what was, or what was and some of it twice, or what is to be.
pub(super) fn carry_out(
    marks: &mut Marks<'_>,
    batch: &[usize],
    progress: &dyn Progress,
) -> Result<()> {
    let mut writer = marks.store.writer()?;
    let done = take_out(marks, batch, &mut writer, progress);
    match done {
        Ok(()) | Err(Error::Interrupted | Error::Busy) => writer.finish().and(done),
        // What was moved is where it was as well, and takes up room.
        Err(_) => {
            let _ = writer.discard();
            done
        }
    }
}

fn take_out(
    marks: &mut Marks<'_>,
    batch: &[usize],
    writer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    let mut moved: BTreeMap<usize, Moved> = BTreeMap::new();
    for _ in 0..PRUNE_TRIES {
        let _ = marks.update()?;
        let going: Vec<usize> = batch
            .iter()
            .copied()
            .filter(|p| !marks.packs[*p].stays)
            .collect();
        let mut whole = true;
        // All of them before any moves: this may mark what another one of them has.
        for &p in &going {
            let checked = check_others(marks, p);
            whole &= goes(marks, p, checked, writer)?;
        }
        marks.release_tables();
        if !whole {
            continue;
        }
        for &p in &going {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let moved = moved.entry(p).or_insert_with(|| Moved {
                chunks: Bits::none(marks.packs[p].chunks.len()),
                lobs: Bits::none(marks.packs[p].lobs.len()),
            });
            let moved = move_out(marks, p, moved, writer, progress);
            whole &= goes(marks, p, moved, writer)?;
        }
        if !whole {
            continue;
        }
        let ids: Vec<_> = going.iter().map(|p| marks.packs[*p].id).collect();
        // Under the lock of the roots: whoever publishes or touches something after this finds out
        // that these packs were dropped.
        let cursor = marks.view.cursor;
        let mut agree = |news: crate::roots::News| Ok(!news.any && marks.touched()?.is_empty());
        if ids.is_empty() || writer.publish_in_place_of(ids, &cursor, &mut agree)? {
            going.iter().for_each(|p| marks.packs[*p].gone = true);
            return Ok(());
        }
    }
    Err(Error::Busy)
}

/// Whether a pack can go, by what became of a part of that. What is damaged and needed stays where it
/// is, with all that is beside it.
fn goes(marks: &mut Marks<'_>, p: usize, done: Result<()>, writer: &Writer<'_>) -> Result<bool> {
    match done {
        Err(error) if is_absent(&error) && !writer.has_failed() => {
            marks.stay(p)?;
            marks.unreadable += 1;
            Ok(false)
        }
        done => done.map(|()| true),
    }
}

/// Moves what is marked in a pack, as far as that was not done before.
fn move_out(
    marks: &mut Marks<'_>,
    p: usize,
    moved: &mut Moved,
    writer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    move_chunks(marks, p, moved, writer, progress)?;
    // Damage in the next pack would take with it what is on its way, which counts as moved.
    writer.settle_moved()?;
    move_lobs(marks, p, moved, writer)
}

/// Marks those copies in a pack whose other one, that counts, cannot be read: it may be the last.
pub(crate) fn check_others(marks: &mut Marks<'_>, p: usize) -> Result<()> {
    let table = marks.table_of(p)?;
    for n in (0..table.chunk_count())
        .filter(|n| !marks.packs[p].chunks.has(*n))
        .collect::<Vec<_>>()
    {
        let id = table.chunk(n).id;
        let Some((at, m, place)) = marks.chunk_at(&id)? else {
            continue;
        };
        if at != p && marks.packs[at].chunks.has(m) && marks.reach().bytes_at(&place).is_err() {
            let _ = marks.packs[p].chunks.insert(n);
            for base in bases(&table, &table.chunk(n)) {
                marks.mark_chunk(&base)?;
            }
        }
    }
    for n in (0..table.lob_count())
        .filter(|n| !marks.packs[p].lobs.has(*n))
        .collect::<Vec<_>>()
    {
        let id = table.lob(n).id;
        let Some(place) = marks.view.find(marks.store.packs(), &id)? else {
            continue;
        };
        let is_marked = marks.lob_at(&id)?;
        let is_marked = is_marked.is_some_and(|(at, m)| at != p && marks.packs[at].lobs.has(m));
        if is_marked && marks.reach().manifest_at(&place).is_err() {
            let _ = marks.packs[p].lobs.insert(n);
        }
    }
    Ok(())
}

fn bases(table: &Table, chunk: &ChunkEntry) -> Vec<crate::id::ChunkId> {
    let frame = table.frame(chunk.frame as usize);
    frame.map_or_else(Vec::new, |frame| table.bases(&frame))
}

/// Moves frames: as they are stored where all of them is marked, else newly made of what is.
fn move_chunks(
    marks: &Marks<'_>,
    p: usize,
    moved: &mut Moved,
    writer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    let (table, pack) = (marks.table_of(p)?, &marks.packs[p]);
    let mut frames: BTreeMap<u32, Vec<ChunkEntry>> = BTreeMap::new();
    for n in 0..table.chunk_count() {
        if pack.chunks.has(n) && moved.chunks.insert(n) {
            let chunk = table.chunk(n);
            frames.entry(chunk.frame).or_default().push(chunk);
        }
    }
    for (number, mut chunks) in frames {
        chunks.sort_by_key(|chunk| chunk.offset);
        let place = Place {
            pack: pack.id,
            table: table.clone(),
            entry: table
                .frame(number as usize)
                .ok_or_else(|| Error::damaged(format!("pack {}", pack.id), "it lacks a frame"))?,
        };
        let frame = frame_of(marks, &place, &chunks)?;
        progress.bytes(frame.stored.len() as u64);
        writer.move_frame(frame)?;
    }
    Ok(())
}

fn frame_of(marks: &Marks<'_>, place: &Place<FrameEntry>, chunks: &[ChunkEntry]) -> Result<Frame> {
    if chunks.len() == place.entry.chunks as usize {
        return stored(marks, place);
    }
    anew(marks, place, chunks)
}

/// A frame as it is stored.
pub(crate) fn stored(marks: &Marks<'_>, place: &Place<FrameEntry>) -> Result<Frame> {
    let packs = marks.store.packs();
    let file = packs.file(&place.pack)?;
    pack::read_frame(file.as_ref(), &packs.path(&place.pack), &place.entry)
}

/// A new frame of chunks of one, without bases.
pub(crate) fn anew(
    marks: &Marks<'_>,
    place: &Place<FrameEntry>,
    chunks: &[ChunkEntry],
) -> Result<Frame> {
    let raw = marks.reach().raw(place)?;
    let mut kept = Vec::new();
    for chunk in chunks {
        kept.extend_from_slice(part(&raw, chunk)?);
    }
    let list = chunks.iter().map(|chunk| (chunk.id, chunk.len)).collect();
    Ok(Frame::plain(list, &kept))
}

pub(crate) fn move_lobs(
    marks: &Marks<'_>,
    p: usize,
    moved: &mut Moved,
    writer: &mut Writer<'_>,
) -> Result<()> {
    let (table, pack) = (marks.table_of(p)?, &marks.packs[p]);
    let reach: Reach<'_> = marks.reach();
    for n in 0..table.lob_count() {
        if pack.lobs.has(n) && moved.lobs.insert(n) {
            let id = table.lob(n).id;
            writer.move_manifest(&reach.manifest(&id)?.ok_or(Error::NoLob(id))?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::chunk::tests::noise;
    use crate::disk::{OsDisk, SimDisk};
    use crate::id::{ChunkId, LobId};
    use crate::manifest::{Manifest, Parts};
    use crate::store::Store;

    fn frame(content: &[u8]) -> Frame {
        Frame::plain(vec![(ChunkId::of(content), content.len() as u32)], content)
    }

    fn lob(chunks: &[&[u8]]) -> Manifest {
        let content = chunks.concat();
        let list = chunks.iter();
        let list = list.map(|chunk| (ChunkId::of(chunk), chunk.len() as u32));
        Manifest {
            id: LobId::of(&content),
            size: content.len() as u64,
            parts: Parts::Chunks(list.collect()),
        }
    }

    /// A pack of these chunks and lobs.
    fn add(store: &Store, chunks: &[&[u8]], lobs: &[&Manifest]) {
        let mut writer = store.writer().unwrap();
        for chunk in chunks {
            writer.add_frame(frame(chunk)).unwrap();
        }
        for lob in lobs {
            writer.add_own_manifest(lob).unwrap();
        }
        writer.finish().unwrap();
    }

    /// What is on its way when a damaged frame is met is not lost with that.
    #[test]
    fn p2_damage_in_one_pack_takes_nothing_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("s");
        let store = Store::create(Arc::new(OsDisk), &root).unwrap();
        let [bad, good, last, junk, more, rest] =
            [1, 2, 3, 4, 5, 6].map(|seed| noise(seed, 100_000));
        let (hurt, whole) = (lob(&[&bad, b"end"]), lob(&[&good, &last]));
        add(&store, &[&bad, b"end", &junk], &[&hurt]);
        let first = store.view().packs().next().unwrap();
        add(&store, &[&good, &more], &[]);
        add(&store, &[&last, &rest], &[&whole]);
        let path = store.packs().path(&first);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[50_000] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let store = Store::open(Arc::new(OsDisk), &root).unwrap();
        let young = SystemTime::now() + Duration::from_secs(1000);
        let mut prune = store.prune(young).unwrap().unwrap();
        assert!(prune.keep(&hurt.id).unwrap() && prune.keep(&whole.id).unwrap());
        let swept = prune.plan().unwrap().run(&()).unwrap();
        assert_eq!(swept.unreadable, 1);
        let store = Store::open(Arc::new(OsDisk), &root).unwrap();
        let mut out = Vec::new();
        store.write_to(&whole.id, &mut out, &()).unwrap();
        assert!(out == [good, last].concat());
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "for a repair");
    }

    /// A pack that nobody can open holds who knows what: it stays, and that is told.
    #[test]
    fn a_pack_that_cannot_be_opened_is_told() {
        let disk = SimDisk::new();
        let open = || Store::open_or_create(Arc::new(disk.clone()), Path::new("/store")).unwrap();
        let store = open();
        for seed in [1, 2] {
            add(&store, &[&noise(seed, 100_000)], &[]);
        }
        let hurt = store.view().packs().next().unwrap();
        let paths = [store.packs().path(&hurt), store.packs().table_path(&hurt)];
        disk.fail_opens(move |path| paths.iter().any(|hurt| hurt == path));
        let young = SystemTime::now() + Duration::from_secs(1000);
        let anew = open();
        let prune = anew.prune(young).unwrap().unwrap();
        let swept = prune.plan().unwrap().run(&()).unwrap();
        assert_eq!(swept.unreadable, 1);
        assert!(swept.bytes > 100_000, "of the other");
        let left = store.packs().on_disk().unwrap();
        assert!(left.len() == 1 && left[0].0 == hurt);
    }
}

//! What files of the work tree have of lobs that are wanted.
//!
//! A file that was edited, or a copy of another version whose lob this store has lost, shares chunks with
//! the lob that belongs at its path, or beside it where that is still a pointer. The receiver knows the chunks of that by its manifest, so it needs no
//! help of the sender to find them: they are cut out of the file, and need not move.

mod files;
mod rolled;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use lob_store::limits::{CHUNK_MAX, FRAME_TARGET, SEGMENT_MIN};
use lob_store::{ChunkId, Frame, Manifest, Parts, Progress, Segment};
use rayon::prelude::*;

use super::plan::Plan;
use super::run::Sides;
use super::wanted::Want;
use crate::git::Repo;
use crate::remote::{Origin, Result, Upload};
use files::Files;

/// Places of a file that are cut to see whether it shares anything, and how much there is in each: a few
/// chunks, the first of which the cuts need to find together.
const SAMPLES: usize = 3;
const SAMPLE: u64 = 512 << 10;
/// Bytes of a file that are worked on at a time.
const WINDOW: u64 = 8 << 20;
/// Chunks of one lob that are looked for, those of some 16 GiB.
const CHUNKS_MAX: usize = 1 << 18;
/// Files that are looked at together, whose manifests are asked for at once.
const BATCH: usize = 64;

/// A chunk and its length.
type Chunk = (ChunkId, u32);
type Chunks = HashSet<Chunk>;

/// Takes into the store what it lacks of the lobs of a plan and what the files at their paths have, so
/// that only the rest moves; and what a service makes of their signatures, where they are like a lob in
/// other places. Every chunk is verified. What goes wrong here stops nothing: the transfer that follows
/// meets it too, or does without. Returns the bytes that moved.
pub(super) fn take_in(repo: &Repo, plan: &Plan, sides: Sides<'_>, progress: &dyn Progress) -> u64 {
    let Some(top) = repo.work_tree() else {
        return 0;
    };
    let mut files = Files::of(top);
    let mut moved = 0;
    let mut batch = Vec::new();
    for want in &plan.lobs {
        let found = files.open(want);
        if found.is_empty() {
            continue;
        }
        batch.push((want, found));
        if batch.len() == BATCH {
            let some = std::mem::take(&mut batch);
            let _ = look(&mut files, some, plan, sides, (progress, &mut moved));
        }
    }
    let _ = look(&mut files, batch, plan, sides, (progress, &mut moved));
    moved
}

fn look(
    files: &mut Files<'_>,
    batch: Vec<(&Want, Vec<(PathBuf, File)>)>,
    plan: &Plan,
    sides: Sides<'_>,
    (progress, moved): (&dyn Progress, &mut u64),
) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = batch.iter().map(|(want, _)| want.id).collect();
    // The answer may end early. Such lobs are so long that asking again is not worth it.
    let manifests = sides.remote.manifests(&ids)?;
    let mut upload = None;
    let mut taken = HashSet::new();
    for ((want, found), manifest) in batch.into_iter().zip(manifests) {
        let Some(manifest) = manifest else {
            continue;
        };
        let mut places = lacking(&manifest, sides)?;
        places.retain(|(_, chunk)| !taken.contains(chunk));
        let missing: u64 = places.iter().map(|(_, (_, len))| u64::from(*len)).sum();
        let has_room = match sides.local.free_space()? {
            Some(free) => free >= sides.reserve.saturating_add(missing + missing / 64),
            None => true,
        };
        let chunks: Chunks = places.iter().map(|(_, chunk)| *chunk).collect();
        if !has_room || chunks.is_empty() {
            continue;
        }
        let shares = |(_, file): &&(PathBuf, File)| shares(file, &places, &chunks).unwrap_or(false);
        let sharing = found.iter().find(shares);
        let mut left = chunks.clone();
        let upload = match &mut upload {
            Some(upload) => upload,
            none => none.insert(sides.local.receive(Origin::Foreign)?),
        };
        if let Some((_, file)) = sharing {
            let mut file = file;
            file.rewind().map_err(lob_store::Error::Source)?;
            take(&mut file, &mut left, upload.as_mut(), progress)?;
        }
        // Where a version is held that the sender may know, more comes of that.
        let like = sharing.or(found.first());
        if let Some((path, file)) = like.filter(|_| !plan.bases.contains_key(&want.id)) {
            let source = (want, path.as_path(), file);
            let asked = rolled::take_in(source, &mut left, upload.as_mut(), sides, progress);
            // What was taken stays, whatever became of that.
            *moved += asked.unwrap_or_default();
        }
        files.looked(left.len() < chunks.len());
        taken.extend(chunks.difference(&left).copied());
    }
    match upload {
        Some(upload) => upload.finish(),
        None => Ok(()),
    }
}

/// Chunks of a lob that the local store lacks, with their places in the lob.
fn lacking(manifest: &Manifest, sides: Sides<'_>) -> Result<Vec<(u64, Chunk)>> {
    let read = |list: &Segment| {
        let mut read = Vec::new();
        let done = sides.remote.each_chunk(&[list.id], &mut |_, bytes| {
            read = bytes.to_vec();
            Ok(())
        });
        done.map(|()| read)
    };
    let mut chunks = Vec::new();
    let mut segments = Vec::new();
    match &manifest.parts {
        Parts::Chunks(list) => chunks.extend_from_slice(list),
        Parts::Segments(list) => segments.extend_from_slice(list),
        Parts::Groups(groups) => {
            for group in groups {
                if segments.len() * SEGMENT_MIN >= CHUNKS_MAX {
                    break;
                }
                segments.extend(group.decode_group(&read(group)?)?);
            }
        }
    }
    for segment in segments {
        if chunks.len() >= CHUNKS_MAX {
            break;
        }
        chunks.extend(segment.decode_list(&read(&segment)?)?);
    }
    chunks.truncate(CHUNKS_MAX);
    let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| *id).collect();
    let held = sides.local.has_chunks(&ids)?;
    let mut at = 0;
    let placed = chunks.into_iter().map(|chunk| {
        at += u64::from(chunk.1);
        (at - u64::from(chunk.1), chunk)
    });
    let lacking = placed.zip(held).filter(|(_, held)| !held);
    Ok(lacking.map(|(placed, _)| placed).collect())
}

/// Whether a file has some of these chunks, by what stands about where a few of them are in the lob.
fn shares(mut file: &File, places: &[(u64, Chunk)], chunks: &Chunks) -> io::Result<bool> {
    let len = file.metadata()?.len();
    let mut bytes = Vec::new();
    for sample in 0..SAMPLES {
        let Some((at, _)) = places.get((places.len().saturating_sub(1)) * sample / (SAMPLES - 1))
        else {
            return Ok(false);
        };
        let start = at
            .saturating_sub(SAMPLE / 2)
            .min(len.saturating_sub(SAMPLE));
        file.seek(SeekFrom::Start(start))?;
        bytes.clear();
        file.take(SAMPLE).read_to_end(&mut bytes)?;
        let mut rest = &bytes[..];
        for len in lob_store::cut(&bytes) {
            let (chunk, after) = rest.split_at(len);
            if chunks.contains(&(ChunkId::of(chunk), len as u32)) {
                return Ok(true);
            }
            rest = after;
        }
    }
    Ok(false)
}

/// Sends those of the chunks that are in what is read.
fn take(
    from: &mut dyn Read,
    lacking: &mut Chunks,
    upload: &mut dyn Upload,
    progress: &dyn Progress,
) -> Result<()> {
    let failed = |error| lob_store::Error::Source(error);
    let mut bytes = Vec::new();
    loop {
        let want = WINDOW - bytes.len() as u64;
        let read = from.take(want).read_to_end(&mut bytes).map_err(failed)?;
        let is_last = (read as u64) < want;
        let mut used = 0;
        let mut places = Vec::new();
        for len in lob_store::cut(&bytes) {
            // The last one may go on in the next window.
            if !is_last && bytes.len() - used < CHUNK_MAX {
                break;
            }
            places.push(used..used + len);
            used += len;
        }
        let hashed = places.into_par_iter().map(|place| {
            let len = place.len() as u32;
            ((ChunkId::of(&bytes[place.clone()]), len), place)
        });
        let mut found: Vec<_> = hashed.collect();
        found.retain(|(chunk, _)| lacking.remove(chunk));
        let frames = found.par_chunks(FRAME_TARGET / CHUNK_MAX * 2).map(|some| {
            let chunks = some.iter().map(|(chunk, _)| *chunk).collect();
            let raw: Vec<&[u8]> = some
                .iter()
                .map(|(_, place)| &bytes[place.clone()])
                .collect();
            Frame::plain(chunks, &raw.concat())
        });
        for frame in frames.collect::<Vec<_>>() {
            upload.add_frame(frame)?;
        }
        let _ = bytes.drain(..used);
        if progress.cancelled() {
            return Err(lob_store::Error::Interrupted.into());
        }
        if is_last || lacking.is_empty() {
            return Ok(());
        }
    }
}

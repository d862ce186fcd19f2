//! Proof that a remote holds lobs: by the ids of all their chunks, and by a challenge, for which it
//! must hand out the content of some of them, which it cannot know beforehand.

use std::collections::HashSet;

use lob_store::{ChunkId, LobId, LobInfo, Manifest, Parts, Store};

use super::error::Result;
use crate::remote::{self, Remote};

/// Chunks of which the content is asked for in one run: some 64 MiB.
const CHALLENGES: usize = 1024;
/// Lobs that are asked about at a time.
const LOBS_AT_ONCE: usize = 256;
/// Chunks that are asked about at a time.
const CHUNKS_AT_ONCE: usize = 1 << 14;

/// What a remote proved to hold.
#[derive(Debug, Default)]
pub struct Proof {
    /// These lobs.
    pub held: HashSet<LobId>,
    /// Why nothing that the remote says counts, where it failed a challenge.
    pub doubt: Option<String>,
}

/// Lets a remote prove which of `lobs`, which are in the local store, it holds whole. A remote that
/// hands out one wrong chunk is not believed anything.
pub fn prove(local: &Store, remote: &dyn Remote, lobs: &[LobInfo]) -> Result<Proof> {
    let mut proof = Proof::default();
    let challenge = Challenge::of(lobs.len());
    for batch in lobs.chunks(LOBS_AT_ONCE) {
        let ids: Vec<LobId> = batch.iter().map(|lob| lob.id).collect();
        let sizes = remote.sizes(&ids)?;
        let mut manifests = Vec::new().into_iter();
        for (n, (lob, size)) in batch.iter().zip(sizes).enumerate() {
            if manifests.len() == 0 {
                manifests = remote.manifests(&ids[n..])?.into_iter();
            }
            let theirs = manifests.next().flatten();
            let mut sample = challenge.sample();
            if !whole(local, remote, lob, size, theirs.as_ref(), &mut sample)? {
                continue;
            }
            if let Some(doubt) = sample.pose(remote)? {
                return Ok(Proof {
                    held: HashSet::new(),
                    doubt: Some(doubt),
                });
            }
            proof.held.insert(lob.id);
        }
    }
    Ok(proof)
}

/// Whether both sides have the same list of the chunks of a lob, and the remote has each. Some of them
/// are picked for the sample.
fn whole(
    local: &Store,
    remote: &dyn Remote,
    lob: &LobInfo,
    size: Option<u64>,
    theirs: Option<&Manifest>,
    sample: &mut Sample,
) -> Result<bool> {
    let own = match local.manifest(&lob.id) {
        // What is damaged here may be the reason to keep what is left of it.
        Err(error) if is_damage(&error) => return Ok(false),
        own => own?,
    };
    // Equal content has equal manifests, unless one was cut by other rules: then nothing is proven.
    let Some(own) = own.filter(|own| size == Some(lob.size) && Some(own) == theirs) else {
        return Ok(false);
    };
    let named: Vec<ChunkId> = own.named_chunks().iter().map(|(id, _)| *id).collect();
    if !has_all(remote, &named, sample)? {
        return Ok(false);
    }
    let segments = match local.segments(&own) {
        Err(error) if is_damage(&error) => return Ok(false),
        segments => segments?,
    };
    if let Parts::Groups(_) = own.parts {
        let ids: Vec<ChunkId> = segments.iter().map(|segment| segment.id).collect();
        if !has_all(remote, &ids, sample)? {
            return Ok(false);
        }
    }
    for segment in &segments {
        let bytes = local.chunk(&segment.id);
        let list = match bytes.and_then(|bytes| segment.decode_list(&bytes)) {
            Err(error) if is_damage(&error) => return Ok(false),
            list => list?,
        };
        let list: Vec<ChunkId> = list.iter().map(|(id, _)| *id).collect();
        if !has_all(remote, &list, sample)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_all(remote: &dyn Remote, chunks: &[ChunkId], sample: &mut Sample) -> Result<bool> {
    for some in chunks.chunks(CHUNKS_AT_ONCE) {
        if remote.has_chunks(some)?.contains(&false) {
            return Ok(false);
        }
    }
    chunks.iter().for_each(|id| sample.offer(*id));
    Ok(true)
}

/// How many chunks of how many lobs are asked for.
#[derive(Debug)]
struct Challenge {
    /// One lob in so many.
    every: usize,
    /// Chunks of each.
    each: usize,
}

impl Challenge {
    fn of(lobs: usize) -> Challenge {
        Challenge {
            every: lobs.div_ceil(CHALLENGES).max(1),
            each: (CHALLENGES / lobs.max(1)).max(1),
        }
    }

    /// The sample of one lob.
    fn sample(&self) -> Sample {
        let most = match random(self.every) {
            0 => self.each,
            _ => 0,
        };
        Sample {
            most,
            offered: 0,
            picked: Vec::new(),
        }
    }
}

/// Chunks of a lob, each as likely picked as any other.
#[derive(Debug)]
struct Sample {
    most: usize,
    offered: usize,
    picked: Vec<ChunkId>,
}

impl Sample {
    fn offer(&mut self, id: ChunkId) {
        self.offered += 1;
        if self.picked.len() < self.most {
            self.picked.push(id);
        } else if self.most > 0
            && let Some(place) = self.picked.get_mut(random(self.offered))
        {
            *place = id;
        }
    }

    /// Asks for what was picked. Returns what was wrong with the answer.
    fn pose(self, remote: &dyn Remote) -> Result<Option<String>> {
        if self.picked.is_empty() {
            return Ok(None);
        }
        let mut open = self.picked.iter();
        let mut good = true;
        let answer = remote.each_chunk(&self.picked, &mut |_, bytes| {
            good &= open.next() == Some(&ChunkId::of(bytes));
            Ok(())
        });
        match answer {
            Ok(()) if good && open.next().is_none() => Ok(None),
            Ok(()) => Ok(Some("it handed out wrong content".into())),
            Err(remote::Error::Store(error)) if is_damage(&error) => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_damage(error: &lob_store::Error) -> bool {
    use lob_store::Error::{Damaged, NoChunk, NoLob, NoPack, WrongContent};
    matches!(
        error,
        Damaged { .. } | NoChunk(_) | NoLob(_) | NoPack(_) | WrongContent { .. }
    )
}

/// A number below `bound`, which a remote cannot foresee.
fn random(bound: usize) -> usize {
    // Without randomness the first one is asked for: fewer surprises, but a challenge all the same.
    let number = getrandom::u64().unwrap_or_default();
    usize::try_from(number % bound.max(1) as u64).unwrap_or_default()
}

//! The answers to all that is asked about ids.

use std::collections::HashSet;
use std::io::{self, Write};

use lob_store::reconcile::{Question, Sketches};
use lob_store::{ChunkId, Frame, LobId, LobInfo, Manifest, Parts, buffer};

use super::differences::{self, Turns};
use super::refuse::{of_error, of_sink, of_wire};
use crate::remote::{Error, Lobs, Remote, Result, into_store};
use crate::wire::field::ITEMS_MAX;
use crate::wire::list::{write_flags, write_kins, write_lobs, write_sizes};
use crate::wire::{Asked, FieldWriter, Refusal, RefusalKind, Tag, Verb};

/// Writes the answer to a request about ids, without its end.
pub(super) fn answer(
    store: &dyn Remote,
    turns: &Turns,
    verb: Verb,
    asked: Asked,
    to: &mut FieldWriter<impl Write>,
) -> std::result::Result<(), Refusal> {
    let written = match verb {
        Verb::Sizes => with(store.sizes(&lobs(&asked)), |all| write_sizes(to, &all)),
        Verb::Aside => with(store.are_aside(&lobs(&asked)), |all| write_flags(to, &all)),
        Verb::Has => with(store.has_chunks(&chunks(&asked)), |all| {
            write_flags(to, &all)
        }),
        Verb::Kin => with(store.kin(&chunks(&asked)), |all| write_kins(to, &all)),
        Verb::Digest => with(store.digest(&lobs(&asked)), |digest| {
            to.field(Tag::Digest, &[&digest.0])
        }),
        Verb::Manifests => manifests(store, &lobs(&asked), to),
        Verb::Chunks => store.each_chunk(&chunks(&asked), &mut |_, bytes| {
            to.field(Tag::Chunk, &[bytes]).map_err(sink)
        }),
        Verb::Frames => frames(store, turns, &asked, to),
        Verb::Lobs => all_lobs(store, to),
        Verb::Hello
        | Verb::Recall
        | Verb::Hold
        | Verb::Put
        | Verb::Differ
        | Verb::Delta
        | Verb::Gc
        | Verb::Fsck => {
            let message = format!("{} is not answered here", verb.name());
            return Err(Refusal::new(RefusalKind::Unsupported, message));
        }
    };
    written.map_err(of_written)
}

/// Writes the answer to what differs, without its end.
pub(super) fn differ(
    store: &dyn Remote,
    question: &[u8],
    made: &Sketches,
    to: &mut FieldWriter<impl Write>,
) -> std::result::Result<(), Refusal> {
    let question = Question::decode(question).map_err(|error| of_wire(error.into()))?;
    let stands = || store.cursor().map_err(into_store);
    let found = question.answer_again(&Lobs(store), &stands, made);
    let found = found.map_err(Error::from);
    with(found, |bytes| to.field(Tag::Differ, &[&bytes])).map_err(of_written)
}

pub(super) fn of_written(error: Error) -> Refusal {
    match error {
        Error::Store(lob_store::Error::Sink(error)) => of_sink(error),
        error => of_error(error),
    }
}

pub(super) fn sink(error: io::Error) -> Error {
    lob_store::Error::Sink(error).into()
}

fn with<T>(found: Result<T>, write: impl FnOnce(T) -> io::Result<()>) -> Result<()> {
    write(found?).map_err(sink)
}

fn lobs(asked: &Asked) -> Vec<LobId> {
    asked.ids.iter().copied().map(LobId::from_bytes).collect()
}

fn chunks(asked: &Asked) -> Vec<ChunkId> {
    asked.ids.iter().copied().map(ChunkId::from_bytes).collect()
}

/// Behind each manifest that lists its chunks, what their frames stand on: who fetches asks for that next.
fn manifests(store: &dyn Remote, ids: &[LobId], to: &mut FieldWriter<impl Write>) -> Result<()> {
    let found = store.manifests(ids)?;
    let named: Vec<ChunkId> = found.iter().flat_map(listed).collect();
    let mut kins = store.kin(&named)?.into_iter();
    for manifest in &found {
        let kins: Vec<_> = kins.by_ref().take(listed(manifest).count()).collect();
        match manifest {
            Some(manifest) => to.field(Tag::Manifest, &[&manifest.encode()]),
            None => to.field(Tag::Absent, &[]),
        }
        .and_then(|()| write_kins(to, &kins))
        .map_err(sink)?;
    }
    Ok(())
}

/// The chunks of a manifest that lists chunks.
fn listed(manifest: &Option<Manifest>) -> impl Iterator<Item = ChunkId> {
    let parts = manifest.as_ref().map(|manifest| &manifest.parts);
    let chunks = match parts {
        Some(Parts::Chunks(chunks)) => chunks.as_slice(),
        _ => &[],
    };
    chunks.iter().map(|(id, _)| *id)
}

fn frames(
    store: &dyn Remote,
    turns: &Turns,
    asked: &Asked,
    to: &mut FieldWriter<impl Write>,
) -> Result<()> {
    let relied = asked.relied.iter().copied().map(ChunkId::from_bytes);
    let relied: HashSet<ChunkId> = relied.collect();
    let mut ids = chunks(asked);
    let mut write = |frame: Frame| {
        let give = |out: &mut _, stored: Vec<u8>| {
            Write::write_all(out, &stored)?;
            buffer::give(stored);
            Ok(())
        };
        to.frame(frame, give).map_err(sink)
    };
    let against = asked.against.iter().map(|pair| pair.map(LobId::from_bytes));
    let made = differences::make(turns, store, &ids, &relied, against, &mut write)?;
    ids.retain(|id| !made.contains(id));
    store.each_frame(&ids, &relied, &mut write)
}

fn all_lobs(store: &dyn Remote, to: &mut FieldWriter<impl Write>) -> Result<()> {
    let mut some: Vec<LobInfo> = Vec::with_capacity(ITEMS_MAX);
    store.each_lob(&mut |lob| {
        some.push(lob);
        if some.len() < ITEMS_MAX {
            return Ok(());
        }
        let written = write_lobs(to, &some).map_err(sink);
        some.clear();
        written
    })?;
    write_lobs(to, &some).map_err(sink)
}

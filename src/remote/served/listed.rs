//! Manifests, and what comes with them about the chunks that they list.

use std::collections::HashMap;

use lob_store::{ChunkId, Kin, LobId, Manifest, Parts};

use crate::remote::MANIFEST_ITEMS;
use crate::wire::field::ITEMS_MAX;
use crate::wire::list::take_kins;
use crate::wire::{FieldReader, Tag, WireError};

/// Chunks of which is remembered what their frames stand on.
const KINS_MAX: usize = 64 << 10;

/// The manifests of the first ids, and what came with them about their chunks.
pub(super) type Listed = (Vec<Option<Manifest>>, HashMap<ChunkId, Kin>);

/// Manifests of the first of `ids`: at least one, and not more than an answer may have.
pub(super) fn read_manifests(
    from: &mut FieldReader<'_>,
    ids: &[LobId],
) -> Result<Listed, WireError> {
    let bad = |why: &str| WireError::Bad(why.into());
    let mut found: Vec<Option<Manifest>> = Vec::with_capacity(ids.len().min(ITEMS_MAX));
    let mut kins = HashMap::new();
    let mut of_last = Vec::new();
    let mut items = 0;
    while let Some((tag, bytes)) = from.next(&[Tag::Manifest, Tag::Absent, Tag::Kins])? {
        if tag == Tag::Kins {
            let chunks = match found.last() {
                Some(Some(Manifest {
                    parts: Parts::Chunks(chunks),
                    ..
                })) => chunks,
                _ => return Err(bad("what no frames stand on")),
            };
            let from = of_last.len();
            take_kins(&bytes, &mut of_last, chunks.len())?;
            let named = chunks[from..].iter().map(|(id, _)| *id);
            let known = named.zip(&of_last[from..]);
            let room = KINS_MAX - kins.len();
            kins.extend(
                known
                    .filter_map(|(id, kin)| Some((id, kin.clone()?)))
                    .take(room),
            );
            continue;
        }
        of_last.clear();
        let id = ids.get(found.len());
        let id = id.filter(|_| items < MANIFEST_ITEMS);
        let id = id.ok_or_else(|| bad("more manifests than were asked for"))?;
        if tag == Tag::Absent {
            found.push(None);
            continue;
        }
        let manifest = Manifest::decode(&bytes)?;
        if manifest.id != *id {
            let other = format!("the manifest of lob {}", manifest.id);
            return Err(WireError::Bad(other));
        }
        items += manifest.items();
        found.push(Some(manifest));
    }
    match found.is_empty() && !ids.is_empty() {
        true => Err(bad("no manifests")),
        false => Ok((found, kins)),
    }
}

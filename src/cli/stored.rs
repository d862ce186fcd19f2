//! What lobs take in the local store, for the verbs that show it.

use std::collections::{HashMap, HashSet};

use lob_store::{LobCost, LobId, Store};
use serde::Serialize;

use crate::git::Pointer;
use crate::ui::bytes::Size;
use crate::ui::{Failure, Ui};

/// What some lobs take, each and together.
#[derive(Debug, Default)]
pub(super) struct Stored {
    each: HashMap<LobId, LobCost>,
    together: LobCost,
    /// Bytes of the whole store.
    store: u64,
}

/// Fields of the event of a lob.
#[derive(Debug, Serialize)]
pub(super) struct Fields {
    stored: Option<u64>,
    alone: Option<u64>,
}

/// The event `stored`.
#[derive(Serialize)]
struct Together {
    stored: u64,
    alone: u64,
    store: u64,
}

impl Stored {
    /// Looks at the store for the lobs that these pointers stand for. Where there is no store yet
    /// nothing takes anything.
    pub(super) fn look<'p>(
        ui: &Ui,
        store: Option<&Store>,
        pointers: impl Iterator<Item = &'p Pointer>,
    ) -> Result<Stored, Failure> {
        Stored::of_ids(ui, store, pointers.filter_map(|pointer| pointer.lob_id()))
    }

    /// The same for lobs that are known by their ids.
    pub(super) fn of_ids(
        ui: &Ui,
        store: Option<&Store>,
        ids: impl Iterator<Item = LobId>,
    ) -> Result<Stored, Failure> {
        let Some(store) = store else {
            return Ok(Stored::default());
        };
        let mut seen = HashSet::new();
        let ids: Vec<LobId> = ids.filter(|id| seen.insert(*id)).collect();
        let bar = ui.bar("Counting", None, None);
        let costs = store.costs(&ids, &bar)?;
        bar.finish();
        let each = ids.into_iter().zip(costs.each);
        Ok(Stored {
            each: each.filter_map(|(id, cost)| Some((id, cost?))).collect(),
            together: costs.together,
            store: store.stored_bytes()?,
        })
    }

    /// What a lob takes; `None` where its content is not here.
    pub(super) fn of(&self, id: Option<LobId>) -> Option<LobCost> {
        self.each.get(&id?).copied()
    }

    /// The fields of its event.
    pub(super) fn fields(&self, id: Option<LobId>) -> Fields {
        let cost = self.of(id);
        Fields {
            stored: cost.map(|cost| cost.stored),
            alone: cost.map(|cost| cost.alone),
        }
    }

    /// A line about all of them.
    pub(super) fn line(&self) -> String {
        let LobCost { stored, alone } = self.together;
        format!(
            "stored: {} for these, of which {} for them alone; the whole store takes {}",
            Size(stored),
            Size(alone),
            Size(self.store)
        )
    }

    /// The event about all of them.
    pub(super) fn event(&self, ui: &Ui) -> Result<(), Failure> {
        let LobCost { stored, alone } = self.together;
        let store = self.store;
        ui.event(
            "stored",
            Together {
                stored,
                alone,
                store,
            },
        )
    }
}

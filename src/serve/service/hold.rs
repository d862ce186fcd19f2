//! What is to stay: lobs that come back, and that count as stored just now.

use std::collections::HashSet;
use std::io::Write;

use lob_store::{LobId, LobInfo};

use super::refuse::{internal, of_error, of_sink};
use super::{Change, Service, What};
use crate::remote::{self, Remote};
use crate::wire::list::write_sizes;
use crate::wire::message::IDS_MAX;
use crate::wire::{Asked, Caller, FieldWriter, Refusal, RefusalKind, Rights, Tag, Verb};

impl Service {
    /// Says how long lobs are. For who may add to the store, those that were set aside come back: for
    /// others that would be a change.
    pub(super) fn recall(
        &self,
        caller: &Caller,
        store: &dyn Remote,
        asked: &Asked,
        to: &mut FieldWriter<impl Write>,
    ) -> Result<(), Refusal> {
        let ids = lobs(asked);
        let mut sizes = store.sizes(&ids).map_err(of_error)?;
        if caller.rights >= Rights::Append && sizes.contains(&None) {
            caller.may_still(Rights::Append)?;
            let recalled = store.recall(&ids).map_err(of_error)?;
            let before = ids.iter().zip(&recalled).zip(&sizes);
            let back = before.filter(|(_, before)| before.is_none());
            let back = known(back.map(|((id, size), _)| (*id, *size)));
            if !back.is_empty() {
                self.note(caller, store, What::Recalled, &back)?;
            }
            sizes = recalled;
        }
        write_sizes(to, &sizes).map_err(of_sink)
    }

    /// Holds lobs, and says how long they are; or holds all others, and says nothing.
    pub(super) fn hold(
        &self,
        caller: &Caller,
        store: &dyn Remote,
        asked: &Asked,
        to: &mut FieldWriter<impl Write>,
    ) -> Result<(), Refusal> {
        // A request may come slowly, and its sender lose the right meanwhile.
        caller.may_still(Verb::Hold.needs())?;
        self.rely(asked.elsewhere)?;
        let ids = lobs(asked);
        if asked.others {
            hold_others(store, &ids).map_err(of_error)?;
            let but = known(ids.into_iter().map(|id| (id, Some(0))));
            return self.note(caller, store, What::HeldOthers, &but);
        }
        let sizes = store.hold(&ids).map_err(of_error)?;
        let held = known(ids.into_iter().zip(sizes.iter().copied()));
        if !held.is_empty() {
            self.note(caller, store, What::Held, &held)?;
        }
        write_sizes(to, &sizes).map_err(of_sink)
    }

    fn note(
        &self,
        caller: &Caller,
        store: &dyn Remote,
        what: What,
        lobs: &[LobInfo],
    ) -> Result<(), Refusal> {
        let change = Change {
            caller,
            store: store.store_id(),
            what,
            lobs,
            bytes: 0,
        };
        let noted = self.witness.changed(&change);
        noted.map_err(|error| internal("cannot write the audit log", &error))
    }
}

/// Holds all lobs but these, some at a time.
fn hold_others(store: &dyn Remote, but: &[LobId]) -> remote::Result<()> {
    let but: HashSet<&LobId> = but.iter().collect();
    let mut some = Vec::new();
    store.each_lob(&mut |lob| {
        if !but.contains(&lob.id) {
            some.push(lob.id);
        }
        match some.len() < IDS_MAX {
            true => Ok(()),
            false => store.hold(&std::mem::take(&mut some)).map(drop),
        }
    })?;
    store.hold(&some).map(drop)
}

fn lobs(asked: &Asked) -> Vec<LobId> {
    asked.ids.iter().copied().map(LobId::from_bytes).collect()
}

fn known(sizes: impl Iterator<Item = (LobId, Option<u64>)>) -> Vec<LobInfo> {
    sizes
        .filter_map(|(id, size)| Some(LobInfo { id, size: size? }))
        .collect()
}

/// That the flags in a request are where they mean something.
pub(super) fn check_flags(asked: &Asked, is_hold: bool) -> Result<(), Refusal> {
    match asked.others && !is_hold {
        true => {
            let message = format!("{:?} where it cannot be", Tag::Others);
            Err(Refusal::new(RefusalKind::BadRequest, message))
        }
        false => Ok(()),
    }
}

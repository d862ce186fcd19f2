//! The roots, and what they name.

use std::collections::HashSet;

use crate::id::PackId;
use crate::roots::{self, Cursor, Root};

use super::{Each, Exam, Finding, Gravity, Object, Remedy};

/// A pack of the store.
pub(super) struct Member {
    pub(super) id: PackId,
    /// Its length and the number of its root, where a root names it.
    pub(super) root: Option<(u64, u64)>,
}

/// What the roots name.
#[derive(Default)]
pub(super) struct Named {
    /// The packs of the store, in order of arrival.
    pub(super) packs: Vec<Member>,
    /// Their ids.
    pub(super) ids: HashSet<PackId>,
    pub(super) dropped: HashSet<PackId>,
    /// Where the roots stood, where that can be told.
    end: Option<Cursor>,
}

impl Named {
    /// Follows the roots, and reports those that break the chain.
    pub(super) fn read(exam: &Exam<'_>, each: Each<'_>) -> Named {
        let mut named = Named::default();
        let mut whole = true;
        let mut broken = |object, remedy, error| {
            whole = false;
            each(Finding::of(&error, object, Gravity::Damage, remedy));
        };
        let dir = exam.root.join("roots");
        let end = roots::each_root(exam.disk.as_ref(), &dir, &mut |seq, root| match root {
            Ok(root) => named.take_in(seq, root),
            Err(error) => broken(Object::Root(seq), Remedy::Rebuild, error),
        });
        match end {
            Ok(end) => named.end = end,
            Err(error) => broken(Object::File("roots".into()), Remedy::System, error),
        }
        let Named { packs, dropped, .. } = &mut named;
        packs.retain(|pack| !dropped.contains(&pack.id));
        named.ids.retain(|id| !named.dropped.contains(id));
        let others = exam.packs.on_disk().unwrap_or_default().into_iter();
        let others = others.map(|(id, _)| id).filter(|id| !named.has(id));
        let others: Vec<_> = others.collect();
        if whole && named.end == Some(Cursor::default()) {
            let lost = others.iter().any(|id| !exam.is_being_published(id));
            if lost && exam.news(&named).0.is_empty() {
                whole = false;
                // A power loss at the very first publication leaves the same, and loses nothing.
                let gravity = match exam.are_of_one_stage(&others) {
                    true => Gravity::Leftover,
                    false => Gravity::Damage,
                };
                let remedy = Remedy::Rebuild;
                each(Finding::missing(Object::Root(1), gravity, remedy));
            }
        }
        if !whole {
            // As for every reader, all that is there is part of the store then.
            let packs = others.into_iter().map(|id| Member { id, root: None });
            named.packs.extend(packs);
            named.ids.extend(named.packs.iter().map(|pack| pack.id));
        }
        named
    }

    fn take_in(&mut self, seq: u64, root: Root) {
        self.dropped.extend(root.dropped);
        for (id, len) in root.added {
            if self.ids.insert(id) {
                let root = Some((len, seq));
                self.packs.push(Member { id, root });
            }
        }
    }

    /// Whether a root says anything of a pack.
    fn has(&self, id: &PackId) -> bool {
        self.ids.contains(id) || self.dropped.contains(id)
    }
}

impl Exam<'_> {
    /// The packs that roots have added and dropped since the examination began.
    pub(super) fn news(&self, named: &Named) -> (HashSet<PackId>, HashSet<PackId>) {
        let (mut added, mut dropped) = (HashSet::new(), HashSet::new());
        let dir = self.root.join("roots");
        let mut last = named.end;
        while let Some(before) = last {
            let next = roots::next(self.disk.as_ref(), &dir, &before);
            last = next.ok().flatten().map(|(root, after)| {
                added.extend(root.added.iter().map(|(id, _)| *id));
                dropped.extend(root.dropped);
                after
            });
        }
        (added, dropped)
    }
}

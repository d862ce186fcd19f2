//! Cleaning up a store that others use: what none of them needs is set aside.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use lob_store::{Fate, LobId, LobInfo, PrunePlan, Store};

use super::claims::Claims;
use super::error::{Error, Result};
use super::users::{Forgotten, Users};
use crate::remote::{Cleaned, End, Listener, Order, Planned, Stays, Sum};

/// Less than this may always go.
const FLOOR: Sum = Sum {
    lobs: 10,
    size: 64 << 20,
};
/// Lobs that are told of at a time.
const AT_ONCE: usize = 1000;

/// Cleans a store up. `claim` asks all who use it what they need: before, and again after, since refs that
/// came meanwhile may need what has just gone. What becomes of it `listener` hears, and how it ended.
///
/// # Errors
/// Of the store, of git, and [`lob_store::Error::Interrupted`] where nobody listens any more: what is done
/// then is done, and the next run goes on.
pub fn clean(
    store: &Store,
    order: &Order,
    claim: &dyn Fn() -> Result<Claims>,
    listener: &dyn Listener,
) -> Result<()> {
    let run = Run {
        store,
        order,
        listener,
    };
    let end = run.carry_out(claim)?;
    Ok(listener.hear(Cleaned::Ended(end))?)
}

/// Whether a run takes an unusual share: more than half of a store that is not small.
pub fn is_unusual(planned: &Planned) -> bool {
    let (goes, all) = (planned.goes, total(planned));
    let is_small = goes.lobs <= FLOOR.lobs && goes.size <= FLOOR.size;
    let is_most = |part: u64, all: u64| part.saturating_mul(2) > all;
    !is_small && (is_most(goes.lobs, all.lobs) || is_most(goes.size, all.size))
}

/// All lobs of a store, by what becomes of them.
pub fn total(planned: &Planned) -> Sum {
    let stays = planned.stays.iter().map(|(_, sum)| *sum);
    stays.fold(planned.goes, |all, sum| Sum {
        lobs: all.lobs.saturating_add(sum.lobs),
        size: all.size.saturating_add(sum.size),
    })
}

struct Run<'r> {
    store: &'r Store,
    order: &'r Order,
    listener: &'r dyn Listener,
}

impl Run<'_> {
    fn carry_out(&self, claim: &dyn Fn() -> Result<Claims>) -> Result<End> {
        let (store, order) = (self.store, self.order);
        if let Some(place) = self.forget()? {
            return Ok(End::Nobody(place));
        }
        let claims = claim()?;
        if self.misses(&claims)? && !order.force {
            return Ok(End::Unknown);
        }
        if !order.dry_run {
            self.bring_back(&claims)?;
        }
        let young = SystemTime::now().checked_sub(order.grace);
        let Some(mut prune) = store.prune(young.unwrap_or(UNIX_EPOCH))? else {
            return Ok(End::Busy);
        };
        prune.set_aside(order.grace);
        for want in &claims.needed {
            prune.keep(&want.id)?;
        }
        for (id, why) in prune.damaged() {
            let (id, why) = (*id, why.clone());
            self.listener.hear(Cleaned::Damaged { id, why })?;
        }
        let plan = prune.plan()?;
        let planned = self.plan(&plan, &claims)?;
        drop(claims);
        self.listener.hear(Cleaned::Planned(planned.clone()))?;
        if order.dry_run {
            return Ok(End::DryRun);
        }
        if is_unusual(&planned) && !order.force {
            return Ok(End::Brake);
        }
        self.listener.hear(Cleaned::Begins)?;
        let swept = plan.run(self.listener)?;
        self.bring_back(&claim()?)?;
        Ok(End::Done(swept.into()))
    }

    /// Forgets those who were at the places that are named; in a dry run it is only looked whether there are
    /// any. Returns a place where nobody is: then nobody was forgotten.
    fn forget(&self) -> Result<Option<String>> {
        let root = self.store.root();
        let forgotten = Users::of(root).forget_at(&self.order.forget, self.order.dry_run);
        match forgotten.map_err(Error::state(&root.join("state/users")))? {
            Forgotten::Nobody(place) => Ok(Some(place)),
            Forgotten::Users(users) => {
                let mut users = users.iter().map(|user| user.describe());
                users.try_for_each(|user| self.listener.hear(Cleaned::Forgotten(user)))?;
                Ok(None)
            }
        }
    }

    /// Whether somebody cannot be asked, and who.
    fn misses(&self, claims: &Claims) -> Result<bool> {
        let Order {
            dry_run, forget, ..
        } = self.order;
        let unknown = claims.unknown.iter();
        let unknown = unknown.filter(|one| !(*dry_run && forget.contains(&one.place)));
        let mut misses = false;
        for one in unknown {
            self.listener.hear(Cleaned::Unknown(one.clone()))?;
            misses = true;
        }
        Ok(misses)
    }

    /// Brings back what was set aside and is needed.
    fn bring_back(&self, claims: &Claims) -> Result<()> {
        let ids: Vec<LobId> = claims.needed.iter().map(|want| want.id).collect();
        let held = self.store.lobs(&ids)?.into_iter();
        let gone = ids.into_iter().zip(held).filter(|(_, held)| held.is_none());
        let gone: Vec<LobId> = gone.map(|(id, _)| id).collect();
        if self.store.bring_back(&gone)? == 0 {
            return Ok(());
        }
        let back: Vec<LobInfo> = self.store.lobs(&gone)?.into_iter().flatten().collect();
        let mut some = back.chunks(AT_ONCE).map(<[_]>::to_vec);
        Ok(some.try_for_each(|some| self.listener.hear(Cleaned::Returned(some)))?)
    }

    /// Tells what becomes of each lob, and sums it up.
    fn plan(&self, plan: &PrunePlan<'_>, claims: &Claims) -> Result<Planned> {
        let wants = claims.needed.iter().rev();
        let wants: HashMap<LobId, &[u8]> = wants.map(|want| (want.id, &*want.path)).collect();
        let cost = plan.cost();
        let mut planned = Planned {
            freed: cost.freed,
            moved: cost.moved,
            ..Planned::default()
        };
        let mut sums: BTreeMap<Stays, Sum> = BTreeMap::new();
        plan.each_lob(&mut |lob, fate| {
            let want = wants.get(&lob.id);
            let stays = match (fate, want) {
                (Fate::Goes, _) => None,
                (_, Some(_)) => Some(Stays::Needed),
                (Fate::Young, None) => Some(Stays::Young),
                (_, None) => Some(Stays::Left),
            };
            let sum = match stays {
                None => &mut planned.goes,
                Some(stays) => sums.entry(stays).or_default(),
            };
            sum.add(lob.size);
            if stays.is_some() && !self.order.lists {
                return Ok(());
            }
            self.listener.hear(Cleaned::Lob {
                id: lob.id,
                size: lob.size,
                stays,
                path: want.copied().unwrap_or_default().into(),
            })
        })?;
        planned.stays = sums.into_iter().collect();
        Ok(planned)
    }
}

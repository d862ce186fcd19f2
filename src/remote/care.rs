//! A service, as those meet it who look after the stores behind it.

use std::io;
use std::sync::Arc;

use lob_store::fsck::{Depth, Examined, Finding};
use lob_store::{Progress, StoreId};
use serde::de::DeserializeOwned;

use super::error::{Error, Result};
use super::http::Place;
use super::served::{of_exchange, of_wire};
use super::{Remote, Served};
use crate::git::{Config, Git};
use crate::wire::care::{
    Cleaned, Cleaning, Examination, Examining, Listener, NEEDED_MAX, Order, each_told,
};
use crate::wire::{Body, Exchange, FieldReader, Refusal, RefusalKind, Verb, WireError};

/// Bytes of what a service may say of those who cannot be asked.
const NAMES_MAX: usize = 1 << 20;

/// A store behind a service, for who looks after it.
#[derive(Debug)]
pub struct Care {
    exchange: Arc<dyn Exchange>,
}

impl Care {
    /// That of the store at a place, which is reached as git would reach it. Nothing connects yet.
    ///
    /// # Errors
    /// As of [`Served::at`], but for what the service says.
    pub fn at(place: &Place, (git, config): (&Git, &Config)) -> Result<Care> {
        let exchange = place.reach(git, config);
        let exchange = exchange.map_err(|error| of_exchange(place.to_string(), error))?;
        Ok(Care::over(exchange))
    }

    /// That of the store to which `exchange` carries requests.
    pub fn over(exchange: Arc<dyn Exchange>) -> Care {
        Care { exchange }
    }

    /// Meets the store, of which `verb` is going to be asked.
    fn meet(&self, verb: Verb, expected: Option<StoreId>) -> Result<Served> {
        let served = Served::wanting(self.exchange.clone(), verb.needs(), expected)?;
        if served.cares() {
            return Ok(served);
        }
        let message = "the lob there does not clean up or examine stores for others";
        Err(Error::Refused {
            place: self.exchange.describe(),
            refusal: Refusal::new(RefusalKind::Unsupported, message),
        })
    }

    /// Fails unless the store is the one that was there before, where one was, and may be cleaned up.
    ///
    /// # Errors
    /// As of [`Served::connect`], and where it may not or cannot be.
    pub fn may_clean(&self, expected: Option<StoreId>) -> Result<()> {
        self.meet(Verb::Gc, expected).map(drop)
    }

    /// Has the store cleaned up where it is. Beside what the service finds out the `needed` lobs stay, among
    /// which is all that those at the places need who are vouched for. `listener` hears what becomes of it, at
    /// last [`Cleaned::Ended`].
    ///
    /// # Errors
    /// As of [`Care::may_clean`], what `listener` returns, and [`Error::Broken`] where the answer breaks off:
    /// then the run stops there too, as soon as it safely can.
    pub fn clean(
        &self,
        expected: Option<StoreId>,
        order: &Order,
        (needed, vouched): (Vec<[u8; 32]>, Vec<String>),
        listener: &dyn Listener,
    ) -> Result<()> {
        let served = self.meet(Verb::Gc, expected)?;
        if needed.len() > NEEDED_MAX {
            let message = format!(
                "more than {NEEDED_MAX} lobs are needed here; run lob gc where that store is"
            );
            let place = self.exchange.describe();
            let refusal = Refusal::new(RefusalKind::TooLarge, message);
            return Err(Error::Refused { place, refusal });
        }
        let cleaning = Cleaning {
            store: served.store_id(),
            order: order.clone(),
            needed,
            vouched,
        };
        let (mut has_ended, mut names) = (false, 0);
        let told = self.told(Verb::Gc, cleaning.encode(), listener, &mut |told| {
            has_ended |= matches!(told, Cleaned::Ended(_));
            // These are kept to the end, however many come.
            if let Cleaned::Unknown(one) = &told {
                names += one.place.len() + one.why.len() + one.way.len();
            }
            match names <= NAMES_MAX {
                true => listener.hear(told),
                false => Err(lob_store::Error::Interrupted),
            }
        });
        if names > NAMES_MAX {
            let what = "more users of the store than there can be";
            return Err(self.wrong(WireError::Bad(what.into())));
        }
        told?;
        match has_ended {
            true => Ok(()),
            false => Err(self.wrong(WireError::Bad("a run without an end".into()))),
        }
    }

    /// Asks, and calls `each` with what is told.
    fn told<T: DeserializeOwned>(
        &self,
        verb: Verb,
        body: io::Result<Vec<u8>>,
        progress: &dyn Progress,
        each: &mut dyn FnMut(T) -> lob_store::Result<()>,
    ) -> Result<()> {
        let body = body.map_err(|error| self.wrong(WireError::Bad(error.to_string())))?;
        let answer = self.exchange.exchange(verb, Body::Bytes(body));
        let mut answer = answer.map_err(|error| of_exchange(self.exchange.describe(), error))?;
        let mut failed = None;
        let told = each_told(&mut FieldReader::new(&mut answer), progress, |told| {
            each(told).map_err(|error| {
                failed = Some(error);
                WireError::Bad("nobody listens".into())
            })
        });
        match (failed, told) {
            (Some(error), _) => Err(error.into()),
            (None, told) => told.map_err(|error| self.wrong(error)),
        }
    }

    fn wrong(&self, error: WireError) -> Error {
        of_wire(self.exchange.describe(), error)
    }

    /// Has the store examined where it is; `each` is called with every finding, and `progress` hears of the
    /// bytes that were read. `expected` is the store that was there before, where one was.
    ///
    /// # Errors
    /// As of [`Served::connect`], except where the store is so damaged that it cannot be met; where it may
    /// not or cannot be examined; [`Error::Broken`] where the answer breaks off.
    pub fn examine(
        &self,
        expected: Option<StoreId>,
        depth: Depth,
        progress: &dyn Progress,
        each: &mut dyn FnMut(Finding),
    ) -> Result<Examined> {
        match self.meet(Verb::Fsck, expected) {
            // That is what it is examined for.
            Err(Error::Store(_)) => {}
            met => drop(met?),
        }
        let mut examined = None;
        let body = Examining { depth }.encode();
        self.told(Verb::Fsck, body, progress, &mut |told| {
            match told {
                Examination::Found(finding) => each(finding),
                Examination::Examined(sums) => examined = Some(sums),
            }
            Ok(())
        })?;
        examined.ok_or_else(|| self.wrong(WireError::Bad("an examination without an end".into())))
    }
}

//! A service, as those meet it who look after the stores behind it.

use std::sync::Arc;

use lob_store::fsck::{Depth, Examined, Finding};
use lob_store::{Progress, StoreId};

use super::error::{Error, Result};
use super::http::Place;
use super::served::{of_exchange, of_wire};
use super::{Access, Served};
use crate::git::{Config, Git};
use crate::wire::care::{Examination, Examining, each_told};
use crate::wire::{Body, Exchange, FieldReader, Verb, WireError};

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

    /// Meets the store, and finds out whether `verb` may be asked of it.
    fn meet(&self, verb: Verb, expected: Option<StoreId>) -> Result<Served> {
        let served = Served::connect(self.exchange.clone(), Access::Read, expected)?;
        served.check_care(verb)?;
        Ok(served)
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
        let wrong = |error| of_wire(self.exchange.describe(), error);
        let body = Examining { depth }.encode();
        let body = body.map_err(|error| wrong(WireError::Bad(error.to_string())))?;
        let answer = self.exchange.exchange(Verb::Fsck, Body::Bytes(body));
        let mut answer = answer.map_err(|error| of_exchange(self.exchange.describe(), error))?;
        let mut examined = None;
        let told = each_told(&mut FieldReader::new(&mut answer), progress, |told| {
            match told {
                Examination::Found(finding) => each(finding),
                Examination::Examined(sums) => examined = Some(sums),
            }
            Ok::<(), WireError>(())
        });
        told.map_err(wrong)?;
        examined.ok_or_else(|| wrong(WireError::Bad("an examination without an end".into())))
    }
}

//! A store behind a service.
//!
//! Answers are not trusted: each must be of what was asked for, as much of it, in its order and within
//! its limits. What is in frames is verified by the store that takes them.

mod compare;
mod frames;
mod listed;
mod rolled;
mod sending;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lob_store::delta::Signature;
use lob_store::reconcile::{Difference, LobSet};
use lob_store::{ChunkId, Cursor, Epoch, Frame, Kin, LobId, LobInfo, Manifest, StoreId};

use super::error::{Error, Result};
use super::http::Place;
use super::{Access, Against, Digest, Digester, Origin, Remote, Upload, retrying};
use crate::git::{Config, Git};
use crate::wire::care::CAN_CARE;
use crate::wire::list::{read_flags, read_kins, read_sizes, take_lobs};
use crate::wire::message::{CAN_DIFFERENCES, CAN_HOLD_OTHERS, IDS_MAX};
use crate::wire::{Asked, Body, Exchange, ExchangeError, FieldReader, Hello, Refusal, RefusalKind};
use crate::wire::{Rights, Tag, Verb, Welcome, WireError};
use compare::compare;
use listed::read_manifests;
use sending::Sending;

/// Ids of lobs or of chunks, and how to see their bytes.
type Ids<'a, I> = (&'a [I], fn(&I) -> &[u8; 32]);

/// A store behind a service.
pub struct Served {
    exchange: Arc<dyn Exchange>,
    store: StoreId,
    /// Whether it answers what differs.
    differs: bool,
    /// Whether what needs its lobs is in no repository that has the store inside.
    elsewhere: bool,
    /// Whether it holds all lobs but some at once.
    holds_others: bool,
    /// Whether it makes deltas from signatures.
    rolls: bool,
    /// Whether it makes differences from what is here.
    makes_differences: bool,
    /// Whether its service looks after stores.
    cares: bool,
    now: Mutex<Now>,
    /// What frames of chunks stand on that came with manifests, and is asked for next.
    kins: Mutex<HashMap<ChunkId, Kin>>,
}

/// What the service last said of the store.
#[derive(Debug, Clone, Copy)]
struct Now {
    cursor: Cursor,
    epoch: Epoch,
    free: Option<u64>,
    /// Whether nothing else was asked since, so that it need not be asked for again.
    is_new: bool,
    /// Whether it is to be asked for again before it is told.
    is_old: bool,
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Served({:?})", self.exchange)
    }
}

impl Served {
    /// Reaches the service at a place as git would, and asks which store is there.
    ///
    /// # Errors
    /// As [`Served::connect`].
    pub fn at(
        place: &Place,
        (git, config): (&Git, &Config),
        access: Access,
        expected: Option<StoreId>,
    ) -> Result<Served> {
        let exchange = place.reach(git, config);
        let exchange = exchange.map_err(|error| of_exchange(place.to_string(), error))?;
        Served::connect(exchange, access, expected)
    }

    /// Asks which store is there. To write, one is made where there is none; `expected` is the one that
    /// was there before, where one was.
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::Gone`] and [`Error::OtherStore`] as of a directory; [`Error::Refused`]
    /// and [`Error::Broken`].
    pub fn connect(
        exchange: Arc<dyn Exchange>,
        access: Access,
        expected: Option<StoreId>,
    ) -> Result<Served> {
        let wants = match access {
            Access::Read => Rights::Read,
            Access::Write => Rights::Append,
        };
        Served::wanting(exchange, wants, expected)
    }

    /// As [`Served::connect`], where it is known what is going to be asked for.
    pub(super) fn wanting(
        exchange: Arc<dyn Exchange>,
        wants: Rights,
        expected: Option<StoreId>,
    ) -> Result<Served> {
        // Where a store was before, a new one would hide that it is gone.
        let create = wants == Rights::Append && expected.is_none();
        let path = PathBuf::from(exchange.describe());
        let welcome = match greet(exchange.as_ref(), Hello { create, wants }) {
            Err(Error::Refused { refusal, .. }) if refusal.kind == RefusalKind::NotFound => {
                return Err(match expected {
                    Some(expected) => Error::Gone { path, expected },
                    None if create => Error::Refused {
                        place: exchange.describe(),
                        refusal,
                    },
                    None => Error::NoStore(path),
                });
            }
            welcome => welcome?,
        };
        match expected {
            Some(expected) if expected != welcome.store => Err(Error::OtherStore {
                path,
                expected,
                found: welcome.store,
            }),
            _ => Ok(Served {
                exchange,
                store: welcome.store,
                differs: welcome.verbs.iter().any(|verb| verb == Verb::Differ.name()),
                elsewhere: false,
                holds_others: welcome.can.iter().any(|name| name == CAN_HOLD_OTHERS),
                rolls: welcome.verbs.iter().any(|verb| verb == Verb::Delta.name()),
                makes_differences: welcome.can.iter().any(|name| name == CAN_DIFFERENCES),
                cares: welcome.can.iter().any(|name| name == CAN_CARE),
                now: Mutex::new(Now::of(&welcome)),
                kins: Mutex::default(),
            }),
        }
    }

    /// Says whether the commits that need its lobs go to another repository than the one that has the store
    /// inside, if one has: then nobody there knows what is needed.
    pub fn used_from_elsewhere(self, elsewhere: bool) -> Served {
        Served { elsewhere, ..self }
    }

    /// Whether its service looks after stores.
    pub(super) fn cares(&self) -> bool {
        self.cares
    }

    /// What the service says of the store, asked again where that is due.
    fn now(&self) -> Result<Now> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.is_old {
            let welcome = greet(self.exchange.as_ref(), Hello::default())?;
            if welcome.store != self.store {
                return Err(Error::OtherStore {
                    path: PathBuf::from(self.describe()),
                    expected: self.store,
                    found: welcome.store,
                });
            }
            *now = Now::of(&welcome);
        }
        now.is_new = false;
        Ok(*now)
    }

    fn request(&self, ids: impl Iterator<Item = [u8; 32]>) -> Result<Vec<u8>> {
        let asked = Asked {
            elsewhere: self.elsewhere,
            ..Asked::about(self.store, ids.collect())
        };
        asked.encode().map_err(|error| self.unasked(error))
    }

    /// Asks, and reads an answer that is short: where it is cut, it is asked for again.
    fn ask<T>(
        &self,
        verb: Verb,
        body: &[u8],
        read: impl Fn(&mut FieldReader<'_>) -> Result<T, WireError>,
    ) -> Result<T> {
        retrying(|| {
            let mut answer = self.exchange(verb, body)?;
            read(&mut FieldReader::new(&mut answer)).map_err(|error| self.failed(error))
        })
    }

    fn exchange(&self, verb: Verb, body: &[u8]) -> Result<Box<dyn Read + Send>> {
        let answer = self.exchange.exchange(verb, Body::Bytes(body.to_vec()));
        answer.map_err(|error| of_exchange(self.describe(), error))
    }

    /// Asks about ids, of lobs or chunks, as many at once as one request may name.
    fn about<I, T>(
        &self,
        verb: Verb,
        (ids, bytes): Ids<'_, I>,
        read: impl Fn(&mut FieldReader<'_>, usize) -> Result<Vec<T>, WireError>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::with_capacity(ids.len());
        for some in ids.chunks(IDS_MAX) {
            let body = self.request(some.iter().map(|id| *bytes(id)))?;
            all.extend(self.ask(verb, &body, |from| read(from, some.len()))?);
        }
        Ok(all)
    }

    fn failed(&self, error: WireError) -> Error {
        of_wire(self.describe(), error)
    }

    fn unasked(&self, what: impl ToString) -> Error {
        Error::Unasked {
            place: self.describe(),
            what: what.to_string(),
        }
    }
}

impl Now {
    fn of(welcome: &Welcome) -> Now {
        Now {
            cursor: welcome.cursor,
            epoch: welcome.epoch,
            free: welcome.free,
            is_new: true,
            is_old: false,
        }
    }
}

fn greet(exchange: &dyn Exchange, hello: Hello) -> Result<Welcome> {
    let place = || exchange.describe();
    let body = hello.encode().map_err(|error| Error::Unasked {
        place: place(),
        what: error.to_string(),
    })?;
    retrying(|| {
        let answer = exchange.exchange(Verb::Hello, Body::Bytes(body.clone()));
        let mut answer = answer.map_err(|error| of_exchange(place(), error))?;
        Welcome::read(&mut answer).map_err(|error| of_wire(place(), error))
    })
}

/// What went wrong with an answer.
pub(super) fn of_wire(place: String, error: WireError) -> Error {
    let transient = error.is_transient();
    match error {
        WireError::Refused(refusal) => of_refusal(place, refusal),
        WireError::Cut(_) | WireError::Changed => Error::Broken {
            place,
            message: format!("the connection broke: {error}"),
            hint: Some("run the same command again: it goes on where this one ended".into()),
            transient,
        },
        WireError::Bad(what) => Error::Unasked { place, what },
        WireError::Later(_) => Error::Refused {
            place,
            refusal: Refusal::new(RefusalKind::Unsupported, error.to_string()),
        },
    }
}

pub(super) fn of_exchange(place: String, error: ExchangeError) -> Error {
    match error {
        ExchangeError::Refused(refusal) => of_refusal(place, refusal),
        ExchangeError::Broken {
            message,
            hint,
            transient,
        } => Error::Broken {
            place,
            message,
            hint,
            transient,
        },
    }
}

/// What a service says of its store counts as what a store says of itself.
fn of_refusal(place: String, refusal: Refusal) -> Error {
    match refusal.kind {
        RefusalKind::MissingChunk(chunk) => lob_store::Error::NoChunk(chunk).into(),
        RefusalKind::Damaged => lob_store::Error::damaged(place, refusal.message).into(),
        _ => Error::Refused { place, refusal },
    }
}

impl Remote for Served {
    fn describe(&self) -> String {
        self.exchange.describe()
    }

    fn limit(&self, bytes_per_second: Option<u64>) -> bool {
        self.exchange.limit(bytes_per_second)
    }

    fn store_id(&self) -> StoreId {
        self.store
    }

    fn cursor(&self) -> Result<Cursor> {
        Ok(self.now()?.cursor)
    }

    fn epoch(&self) -> Result<Epoch> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        // It was told before anything else was asked of the store, so whoever looks now may rely on it.
        if now.is_new {
            return Ok(now.epoch);
        }
        now.is_old = true;
        drop(now);
        Ok(self.now()?.epoch)
    }

    /// A service takes in what others have published with each request.
    fn refresh(&self) -> Result<()> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.is_old = !now.is_new;
        now.is_new = false;
        Ok(())
    }

    fn sizes(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        self.about(Verb::Sizes, (ids, LobId::as_bytes), read_sizes)
    }

    fn recall(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        self.about(Verb::Recall, (ids, LobId::as_bytes), read_sizes)
    }

    fn are_aside(&self, ids: &[LobId]) -> Result<Vec<bool>> {
        self.about(Verb::Aside, (ids, LobId::as_bytes), read_flags)
    }

    fn hold(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        self.about(Verb::Hold, (ids, LobId::as_bytes), read_sizes)
    }

    fn hold_others(&self, but: &[LobId]) -> Result<bool> {
        if !self.holds_others || but.len() > IDS_MAX {
            return Ok(false);
        }
        let asked = Asked {
            elsewhere: self.elsewhere,
            others: true,
            ..Asked::about(self.store, but.iter().map(|id| *id.as_bytes()).collect())
        };
        let body = asked.encode().map_err(|error| self.unasked(error))?;
        self.ask(Verb::Hold, &body, |from| from.end())?;
        Ok(true)
    }

    fn has_chunks(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        self.about(Verb::Has, (ids, ChunkId::as_bytes), read_flags)
    }

    fn manifests(&self, ids: &[LobId]) -> Result<Vec<Option<Manifest>>> {
        let ids = &ids[..ids.len().min(IDS_MAX)];
        let body = self.request(ids.iter().map(|id| *id.as_bytes()))?;
        let (found, kins) = self.ask(Verb::Manifests, &body, |from| read_manifests(from, ids))?;
        *self.kins.lock().unwrap_or_else(PoisonError::into_inner) = kins;
        Ok(found)
    }

    fn each_chunk(
        &self,
        ids: &[ChunkId],
        each: &mut dyn FnMut(ChunkId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        ids.chunks(IDS_MAX)
            .try_for_each(|some| self.some_chunks(some, each))
    }

    fn kin(&self, ids: &[ChunkId]) -> Result<Vec<Option<Kin>>> {
        let known = self.kins.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Option<Vec<_>> = ids.iter().map(|id| known.get(id).cloned()).collect();
        drop(known);
        match found {
            // It may be another by now. Then frames come without the bases that this speaks of.
            Some(found) => Ok(found.into_iter().map(Some).collect()),
            None => self.about(Verb::Kin, (ids, ChunkId::as_bytes), read_kins),
        }
    }

    fn each_frame(
        &self,
        ids: &[ChunkId],
        relied: &HashSet<ChunkId>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        self.each_frame_against(ids, relied, &Against::default(), each)
    }

    fn each_frame_against(
        &self,
        ids: &[ChunkId],
        relied: &HashSet<ChunkId>,
        against: &Against,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        ids.chunks(IDS_MAX)
            .try_for_each(|some| self.some_frames(some, relied, against, each))
    }

    fn makes_differences(&self) -> bool {
        self.makes_differences
    }

    fn delta(
        &self,
        lob: &LobId,
        signature: &Signature,
        most: u64,
        take: &mut dyn FnMut(&mut dyn BufRead) -> Result<()>,
    ) -> Result<bool> {
        match self.rolls {
            true => self.rolled(lob, signature, most, take),
            false => Ok(false),
        }
    }

    fn each_lob(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        let body = self.request(std::iter::empty())?;
        let mut answer = self.exchange(Verb::Lobs, &body)?;
        let mut from = FieldReader::new(&mut answer);
        while let Some((_, bytes)) = from.next(&[Tag::Lobs]).map_err(|e| self.failed(e))? {
            let lobs = take_lobs(&bytes).map_err(|error| self.failed(error))?;
            lobs.into_iter().try_for_each(&mut *each)?;
        }
        Ok(())
    }

    fn differing(&self, mine: &dyn LobSet) -> Result<Option<Difference>> {
        match self.differs {
            true => compare(self, mine).map(Some),
            false => Ok(None),
        }
    }

    fn receive(&self, _: Origin) -> Result<Box<dyn Upload + Send + '_>> {
        Ok(Box::new(Sending::new(self.exchange.clone(), self.store)))
    }

    fn round_trip(&self) -> Option<Duration> {
        self.exchange.round_trip()
    }

    fn free_space(&self) -> Result<Option<u64>> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(now.free)
    }

    fn digest(&self, ids: &[LobId]) -> Result<Digest> {
        if ids.len() > IDS_MAX {
            let mut digest = Digester::default();
            let known = ids.iter().zip(self.sizes(ids)?);
            for (id, size) in known.filter_map(|(id, size)| Some((*id, size?))) {
                digest.add(&LobInfo { id, size });
            }
            return Ok(digest.finish());
        }
        let body = self.request(ids.iter().map(|id| *id.as_bytes()))?;
        self.ask(Verb::Digest, &body, |from| {
            let found = from.next(&[Tag::Digest])?.map(|(_, bytes)| bytes);
            from.end()?;
            let bytes = found.and_then(|bytes| bytes.try_into().ok());
            bytes
                .map(Digest)
                .ok_or_else(|| WireError::Bad("no digest".into()))
        })
    }
}

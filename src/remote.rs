//! Stores somewhere else.
//!
//! [`Remote`] is what replication needs of a store, at the altitude of batches, so that a transport
//! with a high round-trip time answers each call in one exchange. A store in a directory implements
//! it directly, and so does the local store: a push and a fetch are one copy between two of them.
//!
//! A remote is never trusted: everything that arrives goes through [`Upload`], which verifies it.

mod absent;
mod care;
mod dir;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
pub mod http;
mod lobs;
mod pace;
mod retry;
mod served;
pub mod url;

use std::collections::HashSet;
use std::fmt;
use std::io::BufRead;
use std::time::Duration;

use lob_store::delta::Signature;
use lob_store::reconcile::{Difference, LobSet};
use lob_store::{ChunkId, Cursor, Epoch, Frame, Kin, LobId, LobInfo, Manifest, StoreId};

pub use crate::wire::care::{
    Cleaned, Cleaning, End, Freed, Listener, Order, Planned, Stays, Sum, Unknown,
};
pub use absent::Absent;
pub use care::Care;
pub use dir::{Access, open_dir};
pub use error::{Error, Result};
pub use lobs::{Lobs, into_store};
pub use pace::Pace;
pub use retry::retrying;
pub use served::Served;
pub use url::Location;

/// Asks a receiver what the frames of chunks stand on.
pub type AskKin<'a> = &'a mut dyn FnMut(&[ChunkId]) -> Result<Vec<Option<Kin>>>;

/// Chunks and segments after which an answer with manifests ends: some 40 MiB of them.
pub const MANIFEST_ITEMS: usize = 1 << 20;
/// Longest lob of which a delta is made for who has only a signature of another.
pub const ROLLED_MAX: u64 = 4 << 30;
/// Bytes of the versions that one request may have differences made against, together.
pub const DIFFERENCE_BASE_MAX: u64 = 4 << 30;

/// What both sides of a replication can be asked.
pub trait Remote: fmt::Debug + Send + Sync {
    /// Where it is, for messages.
    fn describe(&self) -> String;
    /// The random id that the store got when it was made.
    fn store_id(&self) -> StoreId;
    /// Where its sequence of changes stands; an equal cursor later means an unchanged store.
    fn cursor(&self) -> Result<Cursor>;
    /// The epoch that it is in: another one before lobs leave it.
    fn epoch(&self) -> Result<Epoch>;
    /// Takes in what others have published since.
    fn refresh(&self) -> Result<()>;
    /// For each id the length of the lob, or `None` where the store does not hold it.
    fn sizes(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>>;
    /// As [`Remote::sizes`]; and what was set aside there, because nobody seemed to need it, comes back.
    fn recall(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        self.sizes(ids)
    }
    /// For each id whether the store does not hold the lob, and [`Remote::recall`] would bring it back.
    fn are_aside(&self, ids: &[LobId]) -> Result<Vec<bool>> {
        Ok(vec![false; ids.len()])
    }
    /// As [`Remote::recall`]; and what is there is durable, and counts as stored just now: whoever
    /// cleans up there leaves it alone as long as he grants to what is new.
    fn hold(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>>;
    /// Holds all lobs that are there but these, as [`Remote::hold`] does. False where they have to be named.
    fn hold_others(&self, _but: &[LobId]) -> Result<bool> {
        Ok(false)
    }
    /// For each id whether the store holds that chunk.
    fn has_chunks(&self, ids: &[ChunkId]) -> Result<Vec<bool>>;
    /// For each id the manifest, or `None` where the store does not hold the lob. The answer ends early,
    /// though not before the first, when it has [`MANIFEST_ITEMS`] chunks and segments in it: the rest is
    /// to be asked for again.
    fn manifests(&self, ids: &[LobId]) -> Result<Vec<Option<Manifest>>>;
    /// Calls `each` with the bytes of each of `ids`, in their order. For the segments of long
    /// manifests: few, and needed before the frames can be asked for.
    fn each_chunk(
        &self,
        ids: &[ChunkId],
        each: &mut dyn FnMut(ChunkId, &[u8]) -> Result<()>,
    ) -> Result<()>;
    /// For each id what the frame of that chunk stands on, or `None` where the store does not hold it.
    fn kin(&self, ids: &[ChunkId]) -> Result<Vec<Option<Kin>>>;
    /// Calls `each` for frames that together hold all of `ids`. Those with bases that are not among
    /// `relied` come newly made without any. Stops at the first error of `each`.
    fn each_frame(
        &self,
        ids: &[ChunkId],
        relied: &HashSet<ChunkId>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()>;
    /// As [`Remote::each_frame`]; and where [`Remote::makes_differences`], frames may also be made now that
    /// stand on what the receiver holds of other versions.
    fn each_frame_against(
        &self,
        ids: &[ChunkId],
        relied: &HashSet<ChunkId>,
        _against: &Against,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        self.each_frame(ids, relied, each)
    }
    /// Whether it makes differences for who fetches, since bytes cost more on the way than time there.
    fn makes_differences(&self) -> bool {
        false
    }
    /// Calls `each` for delta frames of what a receiver lacks of a lob, against another version of it
    /// that this store holds too; `kin` asks the receiver. Returns the chunks that need not be sent
    /// in another way. A store that makes no deltas returns none.
    fn each_delta(
        &self,
        _new: &Manifest,
        _base: Manifest,
        _kin: AskKin<'_>,
        _each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<HashSet<ChunkId>> {
        Ok(HashSet::new())
    }
    /// Calls `take` with the delta that makes a lob from the file that `signature` is of, and that has at
    /// most so many bytes. False where there is none, or it would be longer, or nobody makes one.
    fn delta(
        &self,
        _lob: &LobId,
        _signature: &Signature,
        _most: u64,
        _take: &mut dyn FnMut(&mut dyn BufRead) -> Result<()>,
    ) -> Result<bool> {
        Ok(false)
    }
    /// Calls `each` for every lob in the store, in no order, each once.
    fn each_lob(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()>;
    /// Which lobs differ from `mine`, found out in bytes that follow the difference; `None` from a remote
    /// whose list costs no more.
    fn differing(&self, _mine: &dyn LobSet) -> Result<Option<Difference>> {
        Ok(None)
    }
    /// Starts receiving what comes from `origin`. Chunks that are there from now on can be relied on
    /// until the upload ends.
    fn receive(&self, origin: Origin) -> Result<Box<dyn Upload + Send + '_>>;
    /// How long a way there and back takes at best, where a network is between.
    fn round_trip(&self) -> Option<Duration> {
        None
    }
    /// Takes over the limit of a run, so that everything that goes to and fro keeps to it, in small pieces;
    /// `None` for none. False where who moves something has to wait himself.
    fn limit(&self, _bytes_per_second: Option<u64>) -> bool {
        false
    }
    /// Bytes that can still be stored there, where that can be told.
    fn free_space(&self) -> Result<Option<u64>>;

    /// BLAKE3 over those of `ids` that the store holds, each with its length, in the order given.
    fn digest(&self, ids: &[LobId]) -> Result<Digest> {
        let mut digest = Digester::default();
        for (id, size) in ids.iter().zip(self.sizes(ids)?) {
            if let Some(size) = size {
                digest.add(&LobInfo { id: *id, size });
            }
        }
        Ok(digest.finish())
    }
}

/// Versions that a receiver holds whole, for what it fetches of others.
#[derive(Debug, Default)]
pub struct Against {
    /// Lobs that are fetched, each with the one that is like it.
    pub versions: Vec<(LobId, LobId)>,
    /// All chunks of the latter.
    pub chunks: HashSet<ChunkId>,
}

/// The receiving end of a store. Nothing of it is visible to others before [`Upload::publish`].
pub trait Upload: fmt::Debug {
    /// Announces a lob of which all frames are to come to this upload, in the order of its content, its
    /// lists before what they list. Whether it gains by that: others may as well share the frames.
    fn expect(&mut self, _lob: &Manifest) -> Result<bool> {
        Ok(false)
    }
    /// Takes a frame. Every chunk in it is verified, at the latest in [`Upload::publish`].
    fn add_frame(&mut self, frame: Frame) -> Result<()>;
    /// Names a lob all of whose chunks are there. That they make it up is verified, at the latest
    /// in [`Upload::publish`], unless this program has done so before.
    fn add_manifest(&mut self, manifest: &Manifest) -> Result<()>;
    /// Makes all that was taken durable and visible. More can follow.
    fn publish(&mut self) -> Result<()>;
    /// Publishes and ends.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Where lobs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From this program's own store, which verified it when it came in.
    Own,
    /// From somebody else.
    Foreign,
}

/// What two sides compare at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Computes a [`Digest`].
#[derive(Debug, Default)]
pub struct Digester(blake3::Hasher);

impl Digester {
    /// One more lob.
    pub fn add(&mut self, lob: &LobInfo) {
        self.0.update(lob.id.as_bytes());
        self.0.update(&lob.size.to_le_bytes());
    }

    /// The digest of all that was added.
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

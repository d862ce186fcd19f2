//! What the filters do: content becomes a pointer and is kept, a pointer becomes its content.
//!
//! A checkout never fails for want of a lob (P12): where the content can't be had the pointer is the
//! answer, the path is remembered, and [`Converter::finish`] tells of all of them at once.

mod fresh;
mod populate;
mod smudge;
mod spool;
mod turn;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Cursor, Read};
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::{Added, LobId, LobInfo, Progress, Store, Writer};

use crate::git::filter::{Failure, Handler, Reply, Smudge};
use crate::git::patterns::Patterns;
use crate::git::seen::Blob;
use crate::git::version::{Feature, Version};
use crate::git::{Oid, Pointer, Seen, Settings};
use crate::sync::checkout;
use crate::sync::local::Local;
use crate::sync::wanted::Want;

use fresh::Fresh;
use turn::Turn;
pub use turn::{is_populating, was_cut};

/// Bytes of cleaned content that a power loss may take while git still runs, and so has stored no
/// ref to them: a sync of each small file would cost more than all else.
const UNSYNCED_MAX: u64 = 4 << 20;
/// Pointers of one run from which on they are written to the memory of scans, which is rewritten
/// whole.
const WORTH_REMEMBERING: usize = 256;
/// Most pointers that are.
const REMEMBERED_MAX: usize = 1 << 20;
/// Reasons of trouble that are told apart.
const REASONS_MAX: usize = 50;
/// Paths that are remembered of each kind of trouble; the rest is counted.
const PATHS_MAX: usize = 1000;

/// What conversion needs of the program around it.
pub trait Surroundings {
    /// Brings these lobs, which are not in `store`, into it as far as they can be had. Those that
    /// nobody has are no failure; those that somebody has with another length are the answer, with
    /// that length.
    fn fetch(&self, local: &Local, wanted: &[Want]) -> Result<Vec<(LobInfo, u64)>, Failure>;
    /// Tells the user of work that begins; the value hears how it goes and ends with it.
    fn begin(&self, task: &'static str, bytes: u64, lobs: u64) -> Box<dyn Progress + '_>;
    /// Tells the user of a file that failed.
    fn failed(&self, path: &[u8], failure: &Failure);
}

/// Why a conversion failed, for many files.
pub type Because = Arc<dyn std::error::Error + Send + Sync>;

/// Converts the files of one repository, for as long as one git runs.
pub struct Converter<'a> {
    local: &'a Local,
    around: &'a dyn Surroundings,
    writer: Option<Writer<'a>>,
    /// Files whose pointers git has and whose content only that writer has.
    promised: Paths,
    unkept: Option<Unkept>,
    /// Set while content goes into the writer, which after a panic in between is of no more use.
    interrupted: bool,
    rules: Option<Rules>,
    /// Whether nobody looks at the work tree between a checkout and the end of its git.
    undisturbed: Option<bool>,
    /// Held from the first file of a checkout on: see [`is_populating`].
    turn: Option<Turn>,
    /// Pointers that git stores, which scans would have to ask for.
    pointers: Vec<Pointer>,
    /// Those of them that git does not have yet.
    fresh: Fresh<'a>,
    /// Whether this was asked already: does this git fill a new work tree?
    looked_ahead: bool,
    /// What it needs and cannot be had.
    unavailable: HashSet<LobInfo>,
    /// Delayed files that git was not yet told to be available.
    delayed: BTreeMap<Vec<u8>, LobInfo>,
    /// Delayed files that git will ask for again.
    available: HashMap<Vec<u8>, LobInfo>,
    /// Files that are written when git has ended.
    populate: BTreeMap<Vec<u8>, LobInfo>,
    /// The lengths that lobs have elsewhere, of which pointers say another.
    lengths: HashMap<LobId, u64>,
    summary: Summary,
}

/// What the settings say about this checkout.
struct Rules {
    settings: Settings,
    patterns: Patterns,
    /// Files from this size on are written when git has ended; none where `None`.
    populate: Option<u64>,
}

/// What the user is to be told at the end.
#[derive(Debug, Default)]
pub struct Summary {
    /// Files that stay pointers as their lobs can't be had.
    pub missing: Paths,
    /// Files that stay pointers for another reason, by reason.
    pub failed: Vec<(Because, Paths)>,
    /// Files that stay pointers as nothing is to be fetched.
    pub uncached: Paths,
    /// Files that are pointers of Git LFS.
    pub lfs: Paths,
    /// Files that are pointers of git-lob 2015.
    pub git_lob: Paths,
    /// Why fetching failed.
    pub fetch: Option<Failure>,
    /// Files that lob wrote itself.
    pub populated: Option<checkout::Report>,
}

/// Some paths, and how many there are.
#[derive(Debug, Default)]
pub struct Paths {
    /// The first of them.
    pub first: Vec<Vec<u8>>,
    /// All of them.
    pub count: usize,
}

impl Paths {
    fn add(&mut self, path: &[u8]) {
        self.count += 1;
        if self.first.len() < PATHS_MAX {
            self.first.push(path.to_vec());
        }
    }

    fn merge(&mut self, other: Paths) {
        self.count += other.count;
        let room = PATHS_MAX.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}

/// Git has pointers to content that could not be made durable.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Unkept {
    /// The files.
    pub paths: Paths,
    #[source]
    why: lob_store::Error,
}

impl Summary {
    /// Notes why a file stays a pointer.
    fn blame(&mut self, path: &[u8], why: Because) {
        let text = said(why.as_ref());
        let mut reasons = self.failed.iter_mut();
        let known = reasons.find(|(reason, _)| said(reason.as_ref()) == text);
        if let Some((_, paths)) = known {
            paths.add(path);
        } else if self.failed.len() < REASONS_MAX {
            let mut paths = Paths::default();
            paths.add(path);
            self.failed.push((why, paths));
        } else if let Some((_, paths)) = self.failed.last_mut() {
            // Whatever the reason, the file is not what the user expects.
            paths.add(path);
        }
    }
}

/// An error and what caused it, in one line.
pub fn said(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Many errors say their cause themselves.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl<'a> Converter<'a> {
    /// A converter for this repository.
    pub fn new(local: &'a Local, around: &'a dyn Surroundings) -> Converter<'a> {
        Converter {
            local,
            around,
            writer: None,
            promised: Paths::default(),
            unkept: None,
            interrupted: false,
            rules: None,
            undisturbed: None,
            turn: None,
            pointers: Vec::new(),
            fresh: Fresh::in_repo(local.repo()),
            looked_ahead: false,
            unavailable: HashSet::new(),
            delayed: BTreeMap::new(),
            available: HashMap::new(),
            populate: BTreeMap::new(),
            lengths: HashMap::new(),
            summary: Summary::default(),
        }
    }

    /// Ends the conversion: what was cleaned is made durable and visible, and what git left to lob is
    /// written to the work tree.
    ///
    /// # Errors
    /// When cleaned content could not be published. It is in the stage then, where the next run
    /// finds it. [`Unkept`] where it may not last there.
    pub fn finish(mut self) -> Result<Summary, Failure> {
        let finished = match self.recover() {
            Ok(()) => {
                let (writer, fresh) = (self.writer.take(), &mut self.fresh);
                // Both wait for the disk.
                let kept = std::thread::scope(|scope| {
                    scope.spawn(|| fresh.pack());
                    writer.map_or(Ok(()), Writer::keep)
                });
                self.note_kept(kept).map_err(Failure::from)
            }
            Err(error) => Err(error),
        };
        self.populate();
        if let Some(turn) = self.turn.take() {
            turn.end();
        }
        self.remember();
        if let Some(unkept) = self.unkept.take() {
            return Err(unkept.into());
        }
        finished?;
        Ok(self.summary)
    }

    /// Does what a filter that was killed had left for its end, as far as it can be done.
    ///
    /// # Errors
    /// As [`Converter::finish`] does.
    pub fn resume(mut self) -> Result<Summary, Failure> {
        self.turn = Turn::take(self.local.repo());
        self.finish()
    }

    /// Takes in what the writer had acknowledged that a panic left in an unknown state: it is whole in
    /// its stage, which is read when the store is opened.
    fn recover(&mut self) -> Result<(), Failure> {
        if self.interrupted {
            let _ = self.end_writer();
            let _ = Store::open(Arc::new(OsDisk), self.store()?.root())?;
            self.interrupted = false;
        }
        Ok(())
    }

    /// The store, which is made where there is none yet.
    fn store(&mut self) -> Result<&'a Store, Failure> {
        Ok(self.local.store()?)
    }

    /// The store, with all that was cleaned visible in it.
    fn store_with_all(&mut self) -> Result<&'a Store, Failure> {
        self.recover()?;
        if let Some(writer) = self.writer.as_mut().filter(|writer| writer.is_pending()) {
            writer.publish()?;
            self.promised = Paths::default();
        }
        self.store()
    }

    /// Keeps what the writer has, and does without it from now on.
    fn end_writer(&mut self) -> Result<(), lob_store::Error> {
        let kept = self.writer.take().map_or(Ok(()), Writer::keep);
        self.note_kept(kept)
    }

    fn note_kept(&mut self, kept: Result<(), lob_store::Error>) -> Result<(), lob_store::Error> {
        let promised = std::mem::take(&mut self.promised);
        match kept {
            Err(why @ lob_store::Error::Unkept(_)) if promised.count > 0 => {
                let paths = Paths::default();
                let unkept = self.unkept.get_or_insert(Unkept { paths, why });
                unkept.paths.merge(promised);
                Ok(())
            }
            kept => kept,
        }
    }

    /// Keeps content.
    fn keep(&mut self, content: &mut (dyn Read + Send)) -> Result<Added, Failure> {
        self.recover()?;
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.store()?.writer()?,
        };
        let writer = self.writer.insert(writer);
        self.interrupted = true;
        let added = add(writer, content);
        self.interrupted = false;
        added.map_err(|error| {
            // It is not to be trusted with more than what it has. Where that can't be published it is
            // in the stage, and the failure to say so is this one.
            let _ = self.end_writer();
            error.into()
        })
    }

    /// Saves scans the questions about many files that git has stored or checked out.
    fn remember(&mut self) {
        if self.pointers.len() < WORTH_REMEMBERING {
            return;
        }
        let repo = self.local.repo();
        let mut seen = Seen::open(repo);
        for pointer in self.pointers.drain(..) {
            if let Some(oid) = Oid::of_blob(&pointer.print(), repo.object_len()) {
                seen.learn(oid, Blob::Pointer(pointer));
            }
        }
        // Only a memory: without it a scan asks.
        let _ = seen.save();
    }

    fn note(&mut self, pointer: Pointer) {
        if self.pointers.len() < REMEMBERED_MAX {
            self.pointers.push(pointer);
        }
    }

    fn clean_file(
        &mut self,
        path: &[u8],
        content: &mut (dyn Read + Send),
    ) -> Result<Vec<u8>, Failure> {
        let head = beginning(content)?;
        // An empty file is its own pointer, and what is a pointer already stays one.
        if head.is_empty() || Pointer::parse(&head).is_some() {
            return Ok(head);
        }
        let mut content = Cursor::new(head).chain(content);
        let Added {
            id,
            size,
            new_bytes,
        } = self.keep(&mut content)?;
        self.promised.add(path);
        let pointer = Pointer::Lob { id, size };
        if new_bytes > 0 {
            self.fresh.add(pointer);
        }
        self.note(pointer);
        Ok(pointer.print())
    }
}

fn add(writer: &mut Writer<'_>, content: &mut (dyn Read + Send)) -> lob_store::Result<Added> {
    let added = writer.add(content, &())?;
    if writer.unsynced() >= UNSYNCED_MAX {
        writer.sync()?;
    }
    Ok(added)
}

/// The first bytes of a content: all of it, if it can be a pointer.
fn beginning(content: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(Pointer::MAX_LEN + 1);
    let limit = Pointer::MAX_LEN as u64 + 1;
    content.take(limit).read_to_end(&mut head)?;
    Ok(head)
}

impl Handler for Converter<'_> {
    fn may_delay(&mut self) -> bool {
        Version::of(self.local.repo().git())
            .is_ok_and(|version| version.require(Feature::Delay).is_ok())
    }

    fn clean(&mut self, path: &[u8], content: &mut (dyn Read + Send)) -> Result<Vec<u8>, Failure> {
        self.clean_file(path, content)
    }

    fn smudge(
        &mut self,
        request: &Smudge,
        content: &mut (dyn Read + Send),
    ) -> Result<Reply<'_>, Failure> {
        self.smudge_file(request, content)
    }

    fn available(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        Ok(self.fetch_delayed())
    }

    fn failed(&mut self, path: &[u8], failure: &Failure) {
        self.around.failed(path, failure);
    }
}

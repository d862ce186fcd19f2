//! Pointers become content, now, later, or not at all.

use std::io::{Cursor, Read};
use std::sync::Arc;

use lob_store::{LobInfo, Store};

use super::spool::Spool;
use super::turn::Turn;
use super::{Converter, Rules, beginning};
use crate::git::filter::{Failure, Reply, Smudge};
use crate::git::patterns::Patterns;
use crate::git::refs::Head;
use crate::git::{Pointer, Settings};
use crate::sync::checkout;
use crate::sync::wanted::{self, Want};

/// Content up to this length is read and verified whole before git is told of success, so that the
/// pointer can still be the answer when it is damaged. Git holds it in memory too.
const WHOLE_MAX: u64 = 32 << 20;

impl<'a> Converter<'a> {
    pub(super) fn smudge_file(
        &mut self,
        request: &Smudge,
        content: &mut (dyn Read + Send),
    ) -> Result<Reply<'_>, Failure> {
        let head = beginning(content)?;
        if head.is_empty()
            && let Some(lob) = self.available.remove(&request.path)
        {
            return Ok(self.give(&request.path, lob));
        }
        match Pointer::parse(&head) {
            Some(Pointer::Lob { id, size }) => Ok(self.answer(request, LobInfo { id, size })),
            Some(Pointer::Lfs { .. }) => {
                self.summary.lfs.add(&request.path);
                Ok(Reply::Whole(head))
            }
            Some(Pointer::GitLob { .. }) => {
                self.summary.git_lob.add(&request.path);
                Ok(Reply::Whole(head))
            }
            None => self.pass_through(head, content),
        }
    }

    /// Gives content that is no pointer back as it came.
    fn pass_through(
        &self,
        head: Vec<u8>,
        content: &mut (dyn Read + Send),
    ) -> Result<Reply<'static>, Failure> {
        if head.len() <= Pointer::MAX_LEN {
            return Ok(Reply::Whole(head));
        }
        let mut whole = Cursor::new(head).chain(content);
        let spool = Spool::read(&mut whole, self.local.repo().git_dir())?;
        Ok(Reply::Stream(Box::new(|out| Ok(spool.write_to(out)?))))
    }

    /// The answer for a pointer to a lob. Whatever goes wrong, it is at least the pointer.
    fn answer(&mut self, request: &Smudge, lob: LobInfo) -> Reply<'_> {
        if request.can_delay && self.turn.is_none() {
            self.turn = Turn::take(self.local.repo());
        }
        let (id, size) = (lob.id, lob.size);
        self.note(Pointer::Lob { id, size });
        match self.decide(request, lob) {
            Ok(Decision::Give) => self.give(&request.path, lob),
            Ok(Decision::Delay) => {
                self.delayed.insert(request.path.clone(), lob);
                Reply::Delayed
            }
            Ok(Decision::Populate) => {
                self.populate.insert(request.path.clone(), lob);
                if let Some(turn) = &self.turn {
                    turn.leave();
                }
                pointer(lob)
            }
            Ok(Decision::Pointer) => pointer(lob),
            Ok(Decision::Uncached) => {
                self.summary.uncached.add(&request.path);
                pointer(lob)
            }
            Ok(Decision::Missing) => {
                self.miss(&request.path, lob);
                pointer(lob)
            }
            Err(failure) => {
                self.summary.blame(&request.path, failure.into());
                pointer(lob)
            }
        }
    }

    fn decide(&mut self, request: &Smudge, lob: LobInfo) -> Result<Decision, Failure> {
        use crate::git::settings::Smudge::{Cached, Fetch, Pointer};
        // A path that comes up again, in a rebase for example, is another file now.
        self.populate.remove(&request.path);
        let rules = self.rules()?;
        let lacking = match rules.settings.smudge {
            Pointer => return Ok(Decision::Pointer),
            _ if !rules.patterns.wants(&request.path) => Some(Decision::Pointer),
            Cached => Some(Decision::Uncached),
            Fetch => None,
        };
        let large = rules.populate.is_some_and(|least| lob.size >= least);
        let populate = large && request.can_delay && self.may_populate();
        let here = self.find(lob)?;
        Ok(match (here, lacking) {
            (false, Some(decision)) => decision,
            _ if populate => Decision::Populate,
            (true, _) => Decision::Give,
            (false, None) if request.can_delay => {
                self.fetch_ahead();
                match self.find(lob)? {
                    true => Decision::Give,
                    false if self.unavailable.contains(&lob) => Decision::Missing,
                    false => Decision::Delay,
                }
            }
            (false, None) => {
                self.fetch(&[Want::asked(&request.path, lob)]);
                match self.find(lob)? {
                    true => Decision::Give,
                    false => Decision::Missing,
                }
            }
        })
    }

    /// Whether the store holds the lob, with the length that the pointer says.
    pub(super) fn find(&mut self, lob: LobInfo) -> Result<bool, Failure> {
        let found = match self.store()?.lob(&lob.id)? {
            // Perhaps it was cleaned a moment ago.
            None => self.store_with_all()?.lob(&lob.id)?,
            found => found,
        };
        match found {
            None => Ok(false),
            Some(found) if found.size == lob.size => Ok(true),
            Some(found) => Err(Box::new(other_size(lob, found.size))),
        }
    }

    /// Notes that a file stays a pointer as its lob can't be had.
    pub(super) fn miss(&mut self, path: &[u8], lob: LobInfo) {
        match self.lengths.get(&lob.id) {
            Some(&is) => self.summary.blame(path, Arc::new(other_size(lob, is))),
            None => self.summary.missing.add(path),
        }
    }

    /// The content of a lob, or its pointer and a note where it can't be given.
    fn give(&mut self, path: &[u8], lob: LobInfo) -> Reply<'_> {
        match self.find(lob) {
            Ok(true) => {}
            Ok(false) => {
                self.miss(path, lob);
                return pointer(lob);
            }
            Err(failure) => {
                self.summary.blame(path, failure.into());
                return pointer(lob);
            }
        }
        let content = match self.store() {
            Ok(store) if lob.size > WHOLE_MAX => return stream(store, lob),
            Ok(store) => whole(store, lob).map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        match content {
            Ok(content) => Reply::Whole(content),
            Err(failure) => {
                self.summary.blame(path, failure.into());
                pointer(lob)
            }
        }
    }

    /// Fetches all that was delayed, and what is written at the end, at once. Gives the paths that
    /// git can ask for now; those whose lobs can't be had too, as their answer is the pointer.
    pub(super) fn fetch_delayed(&mut self) -> Vec<Vec<u8>> {
        if self.delayed.is_empty() {
            return Vec::new();
        }
        let waiting = self.delayed.iter().chain(&self.populate);
        let wanted: Vec<Want> = waiting.map(|(path, lob)| Want::asked(path, *lob)).collect();
        self.fetch(&wanted);
        let delayed = std::mem::take(&mut self.delayed);
        let paths = delayed.keys().cloned().collect();
        self.available.extend(delayed);
        paths
    }

    /// With the first file of a new work tree, brings all that its commit needs into the store: git
    /// would ask for each file twice if each were delayed.
    fn fetch_ahead(&mut self) {
        if std::mem::replace(&mut self.looked_ahead, true) {
            return;
        }
        let repo = self.local.repo();
        // Where there is an index git checks out a difference, and a sparse checkout is a part.
        let sparse = repo
            .config()
            .and_then(|config| config.bool("core.sparseCheckout", false));
        if repo.index_file().exists() || sparse.unwrap_or(true) {
            return;
        }
        // Whatever fails here, the files are delayed and fetched together.
        let head = Head::read(repo).ok().and_then(|head| head.oid());
        let wants = head.map(|head| wanted::snapshots(repo, &[head]));
        let Some(Ok(wants)) = wants else {
            return;
        };
        self.fetch(&wants);
        let mut wanted: Vec<LobInfo> = wants.iter().map(Want::info).collect();
        wanted.retain(|lob| !self.find(*lob).unwrap_or(true));
        self.unavailable.extend(wanted);
    }

    /// Brings those of the lobs that are missing into the store, as far as they can be had.
    pub(super) fn fetch(&mut self, wanted: &[Want]) {
        let mut missing: Vec<Want> = Vec::new();
        for want in wanted {
            if !self.find(want.info()).unwrap_or(true) {
                missing.push(want.clone());
            }
        }
        missing.sort_by_key(|want| (want.id, want.size));
        missing.dedup_by_key(|want| want.info());
        if missing.is_empty() || self.summary.fetch.is_some() {
            // What failed once fails for every file, and each time takes its time.
            return;
        }
        match self.around.fetch(self.local, &missing) {
            Ok(lengths) => {
                let lengths = lengths.into_iter().map(|(lob, is)| (lob.id, is));
                self.lengths.extend(lengths);
            }
            Err(failure) => self.summary.fetch = Some(failure),
        }
    }

    fn rules(&mut self) -> Result<&Rules, Failure> {
        if self.rules.is_none() {
            // Also where all files stay pointers a clone needs its hooks. Without a store the next
            // that needs it says why.
            let _ = self.store();
            let settings = self.local.repo().settings()?.clone();
            self.rules = Some(Rules::of(settings)?);
        }
        self.rules.as_ref().ok_or_else(|| "no settings".into())
    }
}

impl Rules {
    fn of(settings: Settings) -> Result<Rules, Failure> {
        Ok(Rules {
            patterns: Patterns::of(&settings)?,
            populate: match settings.populate {
                crate::git::Populate::Never => None,
                crate::git::Populate::AtLeast(least) => Some(least),
            },
            settings,
        })
    }
}

enum Decision {
    /// The content, at once.
    Give,
    /// The content, when git asks again.
    Delay,
    /// The pointer now, and the content when git has ended.
    Populate,
    /// The pointer, as the user wants it.
    Pointer,
    /// The pointer, as only what is here is to be used.
    Uncached,
    /// The pointer, as the content can't be had.
    Missing,
}

fn other_size(lob: LobInfo, is: u64) -> checkout::Error {
    checkout::Error::Size { said: lob.size, is }
}

fn pointer(lob: LobInfo) -> Reply<'static> {
    let LobInfo { id, size } = lob;
    Reply::Whole(Pointer::Lob { id, size }.print())
}

fn whole(store: &Store, lob: LobInfo) -> lob_store::Result<Vec<u8>> {
    let mut content = Vec::new();
    let capacity = usize::try_from(lob.size.min(WHOLE_MAX)).unwrap_or(0);
    content.reserve_exact(capacity);
    store.write_to(&lob.id, &mut content, &())?;
    Ok(content)
}

fn stream(store: &Store, lob: LobInfo) -> Reply<'_> {
    Reply::Stream(Box::new(move |out| {
        store.write_to(&lob.id, out, &())?;
        Ok(())
    }))
}

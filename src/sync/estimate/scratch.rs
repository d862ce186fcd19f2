//! The two stores in which versions are tried.

use std::collections::{HashMap, HashSet};

use lob_store::{LobId, LobInfo, Progress, Store, Writer};
use tempfile::TempDir;

use super::sample::{Place, find, piece, size};
use super::source::Reading;
use super::{Estimator, Group, Taken};
use crate::remote::Pace;
use crate::remote::{Access, Origin, open_dir};
use crate::sync::bases;
use crate::sync::error::{Error, Result};
use crate::sync::transfer::Transfer;
use crate::sync::wanted::{Reason, Want};

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its path.
    pub path: Vec<u8>,
    /// What is wrong.
    pub why: String,
}

/// What versions are added to, and where they are pushed to. Both go with the value.
pub(super) struct Scratch<'a> {
    about: Estimator<'a>,
    group: &'a Group,
    near: Store,
    far: Store,
    /// What was added, with its place.
    wants: Vec<(usize, Want)>,
    known: HashSet<LobId>,
    pub(super) trouble: Vec<Trouble>,
    _dir: TempDir,
}

/// Hears of everything twice, when it is added and when it is pushed, and tells of the half.
struct Half<'a>(&'a dyn Progress);

impl Progress for Half<'_> {
    fn bytes(&self, n: u64) {
        self.0.bytes(n / 2);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

impl<'a> Scratch<'a> {
    /// Two empty stores, where there is room for these versions in both of them.
    pub(super) fn new(
        about: &Estimator<'a>,
        group: &'a Group,
        picked: &[Place],
    ) -> Result<Scratch<'a>> {
        let place = std::env::temp_dir();
        let dir = tempfile::Builder::new().prefix("lob-estimate-").tempdir();
        let dir = dir.map_err(Error::state(&place))?;
        let near = open_dir(&dir.path().join("near"), Access::Write, None)?;
        let far = open_dir(&dir.path().join("far"), Access::Write, None)?;
        let raw = size(&group.files, picked, about.budget);
        // Tables and headers take under 1/64 of what they describe.
        let needed = raw.saturating_add(raw / 64).saturating_mul(2);
        if let Some(free) = near.free_space()?
            && free < needed
        {
            return Err(Error::NoScratch {
                place,
                needed,
                free,
            });
        }
        Ok(Scratch {
            about: *about,
            group,
            near,
            far,
            wants: Vec::new(),
            known: HashSet::new(),
            trouble: Vec::new(),
            _dir: dir,
        })
    }

    /// Adds these versions and pushes them, and tells what that took.
    pub(super) fn measure(&mut self, picked: &[Place]) -> Result<Taken> {
        if picked.is_empty() {
            return Ok(Taken::default());
        }
        let (near, far) = (self.near.stored_bytes()?, self.far.stored_bytes()?);
        let mut taken = Taken::default();
        let lobs = self.add(picked, &mut taken)?;
        taken.chunks = self.near.stored_bytes()?.saturating_sub(near);
        taken.moved = self.push(&lobs)?;
        taken.stored = self.far.stored_bytes()?.saturating_sub(far);
        Ok(taken)
    }

    /// Adds these versions, one generation after the other. Returns those that are new.
    fn add(&mut self, picked: &[Place], taken: &mut Taken) -> Result<Vec<LobId>> {
        let progress = Half(self.about.progress);
        let files = &self.group.files;
        let versions = picked.iter().filter_map(|place| find(files, *place));
        let piece = piece(self.about.budget);
        let mut reading = Reading::of(&self.about, piece, &progress, versions)?;
        let mut lobs = Vec::new();
        let mut writer: Writer<'_> = self.near.writer()?;
        let mut generation = picked.first().map(|(_, n)| *n);
        for place in picked {
            if generation.replace(place.1) != Some(place.1) {
                // Together they would be compressed with each other, as in no repository.
                writer.finish()?;
                writer = self.near.writer()?;
            }
            let (Some(version), Some(file)) = (find(files, *place), files.get(place.0)) else {
                continue;
            };
            let added = match reading.add(version, &mut writer)? {
                Ok(added) => added,
                Err(why) => {
                    let path = file.path.clone();
                    self.trouble.push(Trouble { path, why });
                    continue;
                }
            };
            taken.versions += 1;
            taken.size += added.size;
            taken.fresh += added.new_bytes;
            if added.size > 0 && self.known.insert(added.id) {
                taken.whole += added.size;
                lobs.push(added.id);
                let (id, size) = (added.id, added.size);
                let mut want = Want::bare(LobInfo { id, size }, Reason::Held);
                want.path = file.path.clone().into();
                self.wants.push((version.place, want));
            }
        }
        writer.finish()?;
        Ok(lobs)
    }

    /// Pushes what is new. Returns the bytes that moved.
    fn push(&mut self, lobs: &[LobId]) -> Result<u64> {
        self.wants.sort_by_key(|(place, _)| *place);
        let wants: Vec<Want> = self.wants.iter().map(|(_, want)| want.clone()).collect();
        let bases: HashMap<LobId, LobId> = bases::among(&self.near, &wants)?;
        let transfer = Transfer {
            from: &self.near,
            to: &self.far,
            origin: Origin::Own,
            bases: &bases,
            pace: &Pace::unlimited(),
            progress: &Half(self.about.progress),
        };
        Ok(transfer.run(lobs)?.bytes)
    }
}

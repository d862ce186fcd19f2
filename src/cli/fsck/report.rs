//! What an examination says: a line for each finding, and a summary.

use std::collections::BTreeMap;

use lob_store::fsck::{Examined, Fault, Finding, Gravity, Object, Remedy};
use lob_store::{ChunkId, PackId};
use serde::Serialize;

use super::{Paths, exit};
use crate::cli::Outcome;
use crate::cli::transfer::{count, lobs};
use crate::sync::checkout::wrong_size;
use crate::sync::fsck::{Absent, Place};
use crate::ui::{Failure, Ui, escape, json};

/// What was found until now.
pub(super) struct Report<'u> {
    ui: &'u Ui,
    paths: Paths,
    /// Chunks of one pack that have much the same said of them.
    group: Option<Group>,
    examined: Examined,
    pub(super) pointers: usize,
    counts: BTreeMap<Gravity, u64>,
    /// Lobs that are not here, and their bytes, by the remote that holds them.
    held: BTreeMap<String, (u64, u64)>,
    failed: Option<Failure>,
}

struct Group {
    store: Option<String>,
    pack: PackId,
    first: (ChunkId, Fault),
    gravity: Gravity,
    remedy: Remedy,
    more: u64,
}

/// The event `finding`.
#[derive(Serialize)]
struct Event<'a> {
    store: Option<&'a str>,
    object: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    path: Option<json::Path<'a>>,
    fault: &'static str,
    why: Option<String>,
    gravity: &'static str,
    remedy: String,
}

/// The event `summary`.
#[derive(Serialize)]
struct Summary<'a> {
    packs: u64,
    chunks: u64,
    lobs: u64,
    whole_packs: u64,
    whole_lobs: u64,
    pointers: usize,
    loss: u64,
    damage: u64,
    leftover: u64,
    note: u64,
    held: BTreeMap<&'a str, u64>,
}

impl<'u> Report<'u> {
    pub(super) fn new(ui: &'u Ui, paths: Paths) -> Report<'u> {
        Report {
            ui,
            paths,
            group: None,
            examined: Examined::default(),
            pointers: 0,
            counts: BTreeMap::new(),
            held: BTreeMap::new(),
            failed: None,
        }
    }

    /// Learns more paths of pointers.
    pub(super) fn know(&mut self, paths: Paths) {
        for (id, path) in paths {
            let _ = self.paths.entry(id).or_insert(path);
        }
    }

    pub(super) fn examined(&mut self, one: Examined) {
        self.examined.packs += one.packs;
        self.examined.chunks += one.chunks;
        self.examined.lobs += one.lobs;
        self.examined.whole_packs += one.whole_packs;
        self.examined.whole_lobs += one.whole_lobs;
    }

    /// Whether anything is lost or damaged.
    pub(super) fn is_bad(&self) -> bool {
        let bad = [Gravity::Loss, Gravity::Damage];
        bad.iter().any(|gravity| self.counts.contains_key(gravity))
    }

    /// Takes in a finding; what goes wrong with that, [`Report::check`] tells.
    pub(super) fn take(&mut self, store: Option<&str>, finding: Finding) {
        if self.failed.is_none()
            && let Err(failure) = self.finding(store, finding)
        {
            self.failed = Some(failure);
        }
    }

    pub(super) fn check(&mut self) -> Result<(), Failure> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// A finding in the store of this remote, or in the local one.
    pub(super) fn finding(&mut self, store: Option<&str>, found: Finding) -> Result<(), Failure> {
        *self.counts.entry(found.gravity).or_default() += 1;
        if let (Object::Chunk(id, pack), false) = (&found.object, self.is_detailed()) {
            let (id, pack) = (*id, *pack);
            match &mut self.group {
                Some(group)
                    if (group.pack, group.gravity, group.remedy)
                        == (pack, found.gravity, found.remedy) =>
                {
                    group.more += 1;
                    return Ok(());
                }
                _ => {}
            }
            self.tell_group()?;
            self.group = Some(Group {
                store: store.map(str::to_string),
                pack,
                first: (id, found.fault),
                gravity: found.gravity,
                remedy: found.remedy,
                more: 0,
            });
            return Ok(());
        }
        self.tell_group()?;
        self.tell(store, &found)
    }

    fn is_detailed(&self) -> bool {
        self.ui.is_json() || self.ui.verbosity() > 0
    }

    /// Prints what was gathered about one pack.
    pub(super) fn end_group(&mut self) {
        let told = self.tell_group();
        if let (None, Err(failure)) = (&self.failed, told) {
            self.failed = Some(failure);
        }
    }

    fn tell_group(&mut self) -> Result<(), Failure> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let (id, fault) = group.first;
        let what = match group.more {
            0 => format!("chunk {id} in pack {}: {fault}", group.pack),
            more => format!(
                "{} in pack {}: {fault}",
                count(more + 1, "chunk"),
                group.pack
            ),
        };
        let store = group.store.as_deref();
        let way = way(store, &Object::Pack(group.pack), group.remedy);
        self.line(store, &what, way)
    }

    fn tell(&self, store: Option<&str>, found: &Finding) -> Result<(), Failure> {
        let path = match found.object {
            Object::Lob(id) => self.paths.get(&id).filter(|path| !path.is_empty()),
            _ => None,
        };
        let way = way(store, &found.object, found.remedy);
        if !self.ui.is_json() {
            let path = path.map_or(String::new(), |path| format!(" ({})", escape::path(path)));
            let (object, fault) = (&found.object, &found.fault);
            return self.line(store, &format!("{object}{path}: {fault}"), way);
        }
        let (object, id, pack) = parts(&found.object);
        let (fault, why) = said(&found.fault);
        self.ui.record(
            "finding",
            Event {
                store,
                object,
                name: found.object.to_string(),
                id,
                pack,
                size: None,
                path: path.map(|path| json::Path(path)),
                fault,
                why,
                gravity: name(found.gravity),
                remedy: way.to_string(),
            },
        )
    }

    /// A lob that is not in the store of this remote, or the local one, as a pointer says.
    pub(super) fn absent(&mut self, store: Option<&str>, absent: &Absent) -> Result<(), Failure> {
        let want = &absent.want;
        let (gravity, fault, why, way) = describe(store, &absent.place);
        *self.counts.entry(gravity).or_default() += 1;
        if let Place::Held(name) | Place::Known(name) = &absent.place {
            let held = self.held.entry(name.clone()).or_default();
            *held = (held.0 + 1, held.1 + want.size);
            if !self.is_detailed() {
                return Ok(());
            }
        }
        if self.ui.is_json() {
            let event = Event {
                store,
                object: "lob",
                name: format!("lob {}", want.id),
                id: Some(want.id.to_string()),
                pack: None,
                size: Some(want.size),
                path: Some(json::Path(&want.path)),
                fault,
                why: Some(why),
                gravity: name(gravity),
                remedy: way,
            };
            return self.ui.record("finding", event);
        }
        let path = escape::path(&want.path);
        let line = format!("{path} (lob {}): {why}", want.id);
        self.line(store, &line, &way)
    }

    fn line(&self, store: Option<&str>, what: &str, way: &str) -> Result<(), Failure> {
        let store = store.map_or(String::new(), |name| format!("{name}: "));
        let line = format!("{store}{what}  -> {way}");
        self.ui.line(escape::text(&line))
    }

    /// Prints the summary.
    pub(super) fn finish(mut self) -> Outcome {
        self.check()?;
        let count_of = |gravity| self.counts.get(&gravity).copied().unwrap_or_default();
        let [loss, damage, leftover, note] = [
            Gravity::Loss,
            Gravity::Damage,
            Gravity::Leftover,
            Gravity::Note,
        ]
        .map(count_of);
        for (name, (n, size)) in &self.held {
            self.ui.say(format_args!(
                "{} are not here: {name} holds them",
                lobs(*n, *size)
            ));
        }
        let held: u64 = self.held.values().map(|(n, _)| n).sum();
        let parts = [
            (loss, "lost"),
            (damage, "damaged"),
            (leftover, "left over"),
            (note - held, "to be known"),
        ];
        let found: Vec<String> = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
        let found = match found.is_empty() {
            true => "all is well".to_string(),
            false => found.join(", "),
        };
        let Examined {
            packs,
            chunks,
            lobs,
            whole_packs,
            whole_lobs,
            ..
        } = self.examined;
        self.ui.say(format_args!(
            "examined {}, {}, {} and {}: {found}",
            count(packs, "pack"),
            count(chunks, "chunk"),
            count(lobs, "lob"),
            count(self.pointers as u64, "pointer"),
        ));
        self.ui.event(
            "summary",
            Summary {
                packs,
                chunks,
                lobs,
                whole_packs,
                whole_lobs,
                pointers: self.pointers,
                loss,
                damage,
                leftover,
                note,
                held: self.held.iter().map(|(n, h)| (n.as_str(), h.0)).collect(),
            },
        )?;
        Ok(exit(self.is_bad()))
    }
}

/// How bad it is that a lob is not as a pointer says, its fault, and what to do.
fn describe(store: Option<&str>, place: &Place) -> (Gravity, &'static str, String, String) {
    match place {
        Place::OtherSize(size) => (
            Gravity::Damage,
            "other-size",
            format!("the pointer gives a wrong size; the lob has {size} bytes"),
            wrong_size(*size),
        ),
        Place::Held(name) => (
            Gravity::Note,
            "held",
            format!("not here, and held by {name}"),
            format!("lob fetch {name}"),
        ),
        Place::Known(name) => (
            Gravity::Note,
            "known",
            format!("not here, and held by {name} when that could last be asked"),
            format!("lob fetch {name}"),
        ),
        Place::Aside => (
            Gravity::Note,
            "aside",
            match store {
                Some(_) => "set aside there by lob gc".into(),
                None => "set aside here by lob gc".into(),
            },
            match store {
                Some(name) => format!("lob gc --remote {name} brings it back, and so does a fetch"),
                None => "lob gc brings it back".into(),
            },
        ),
        Place::Nowhere => (
            Gravity::Loss,
            "missing",
            match store {
                None => "neither here nor at any remote that can be asked".into(),
                Some(_) => "missing, though a branch there needs it".into(),
            },
            match store {
                None => "add the file again, or lob push it from a clone that has it".into(),
                Some(name) => format!("lob sync --mode complete --push {name}"),
            },
        ),
    }
}

/// What a user can do about a finding in the local store, or in that of a remote.
fn way(store: Option<&str>, object: &Object, remedy: Remedy) -> &'static str {
    let is_aside = matches!(object, Object::File(path) if path.starts_with("damaged"));
    match remedy {
        Remedy::Delete if is_aside => "delete it when nothing is lost",
        Remedy::Fetch | Remedy::Rewrite | Remedy::Rebuild | Remedy::Adopt | Remedy::Delete => {
            match store {
                None => "lob repair",
                Some(_) => "lob repair --from CLONE/.git/lob, in that repository",
            }
        }
        Remedy::Prune => "lob prune",
        Remedy::Open => "nothing: the next command takes it in",
        Remedy::Restrict => "chmod o-w",
        Remedy::System => "see to the disk, the mount or the modes; then lob repair",
        Remedy::Upgrade => "install a newer lob",
        _ => "nothing: lob leaves alone what it does not know",
    }
}

fn name(gravity: Gravity) -> &'static str {
    match gravity {
        Gravity::Loss => "loss",
        Gravity::Damage => "damage",
        Gravity::Leftover => "leftover",
        Gravity::Note => "note",
    }
}

fn said(fault: &Fault) -> (&'static str, Option<String>) {
    match fault {
        Fault::Missing => ("missing", None),
        Fault::Damaged(why) => ("damaged", Some(why.clone())),
        Fault::Unreadable(why) => ("unreadable", Some(why.clone())),
        Fault::Newer(why) => ("newer", Some(why.clone())),
        Fault::Unused => ("unused", None),
        Fault::Exposed => ("exposed", None),
        _ => ("unknown", None),
    }
}

/// What kind of object it is, its id and the pack that it is in.
fn parts(object: &Object) -> (&'static str, Option<String>, Option<String>) {
    match object {
        Object::Store => ("store", None, None),
        Object::Root(seq) => ("root", Some(seq.to_string()), None),
        Object::Pack(id) => ("pack", Some(id.to_string()), None),
        Object::Table(id) => ("table", Some(id.to_string()), None),
        Object::Run(from, to) => ("index", Some(format!("{}-{to}", from + 1)), None),
        Object::Chunk(id, pack) => ("chunk", Some(id.to_string()), Some(pack.to_string())),
        Object::Lob(id) => ("lob", Some(id.to_string()), None),
        _ => ("file", None, None),
    }
}

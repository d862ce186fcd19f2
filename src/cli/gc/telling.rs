//! What is told of a run as it goes on, and how it ended.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use lob_store::{LobId, LobInfo, Progress};

use super::Args;
use crate::cli::Outcome;
use crate::cli::prune::{Report, print, tell_swept};
use crate::cli::transfer::lobs;
use crate::remote::{Cleaned, End, Freed, Listener, Planned, Stays, Unknown};
use crate::sync::gc::{is_unusual, total};
use crate::sync::keep::Stay;
use crate::ui::bytes::Size;
use crate::ui::{Bar, Exit, Failure, Ui};

/// Tells the user of a run.
pub(super) struct Telling<'u> {
    ui: &'u Ui,
    args: &'u Args,
    heard: Mutex<Heard>,
    bar: OnceLock<Bar<'u>>,
}

#[derive(Default)]
struct Heard {
    unknown: Vec<Unknown>,
    has_shown_unknown: bool,
    has_damage: bool,
    planned: Planned,
    end: Option<End>,
    failed: Option<Failure>,
}

/// Why a lob stays, in the words of a prune.
fn stay(stays: Stays) -> Stay {
    match stays {
        Stays::Needed => Stay::Referenced,
        Stays::Young => Stay::Young,
        Stays::Left => Stay::Left,
    }
}

fn report(planned: &Planned) -> Report {
    let stays = planned.stays.iter();
    Report {
        goes: planned.goes,
        stays: stays.map(|(stays, sum)| (stay(*stays), *sum)).collect(),
    }
}

impl<'u> Telling<'u> {
    pub(super) fn new(ui: &'u Ui, args: &'u Args) -> Telling<'u> {
        Telling {
            ui,
            args,
            heard: Mutex::default(),
            bar: OnceLock::new(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who cannot be asked, where that ended the run.
    pub(super) fn unknown(&self) -> Vec<Unknown> {
        let heard = self.heard();
        match &heard.end {
            Some(End::Unknown) => heard.unknown.clone(),
            _ => Vec::new(),
        }
    }

    fn take(&self, told: Cleaned) -> Result<(), Failure> {
        let (ui, mut heard) = (self.ui, self.heard());
        match told {
            Cleaned::Forgotten(user) => ui.say(format_args!("{user} is forgotten")),
            Cleaned::Unknown(unknown) => heard.unknown.push(unknown),
            Cleaned::Ended(end) => heard.end = Some(end),
            told => {
                heard.show_unknown(ui);
                self.show(told, &mut heard)?;
            }
        }
        Ok(())
    }

    fn show(&self, told: Cleaned, heard: &mut Heard) -> Result<(), Failure> {
        let ui = self.ui;
        match told {
            Cleaned::Returned(back) => ui.say(format_args!(
                "lobs that are needed again and came back: {}",
                back.len()
            )),
            Cleaned::Damaged { id, why } => {
                ui.warn(format_args!("{id} is needed and damaged: {why}"));
                heard.has_damage = true;
            }
            Cleaned::Lob {
                id,
                size,
                stays,
                path,
            } => print(&LobInfo { id, size }, stays.map(stay), &path, ui)?,
            Cleaned::Planned(planned) => {
                if heard.has_damage {
                    ui.hint(
                        "what no other lob accounts for stays, as it may belong to it: see lob fsck",
                    );
                }
                let report = report(&planned);
                report.say_what_stays(ui);
                report.event(planned.freed, planned.moved, ui)?;
                heard.planned = planned;
            }
            Cleaned::Begins if heard.planned.moved > 0 => {
                let bar = || ui.bar("Rewriting", Some(heard.planned.moved), None);
                let _ = self.bar.get_or_init(bar);
            }
            _ => {}
        }
        Ok(())
    }

    /// What the user is told at the end of a run, which ended in `done`.
    pub(super) fn end(self, done: Result<(), Failure>) -> Outcome {
        let heard = self.heard.into_inner();
        let mut heard = heard.unwrap_or_else(PoisonError::into_inner);
        heard.show_unknown(self.ui);
        if let Some(failure) = heard.failed {
            return Err(failure);
        }
        done?;
        if let Some(bar) = self.bar.into_inner() {
            bar.finish();
        }
        let (ui, args, planned) = (self.ui, self.args, &heard.planned);
        let goes = lobs(planned.goes.lobs, planned.goes.size);
        match heard.end {
            None => Err(Failure::new("the run ended, and nobody said how")),
            Some(End::Nobody(place)) => Err(Failure::usage(format_args!(
                "nobody at {place:?} uses this store"
            ))
            .hint("run it without --forget: it names those who cannot be asked")),
            Some(End::Unknown) => Err(Failure::new(
                "somebody who uses this store cannot be asked what must stay",
            )
            .hint("to do without them: --force")),
            Some(End::Busy) => {
                ui.say("another lob gc or lob prune is at work there");
                Ok(Exit::Done)
            }
            Some(End::DryRun) => {
                ui.say(match planned.goes.lobs {
                    0 => "nothing would be set aside".to_string(),
                    _ => format!("{goes} would be set aside for {}", args.grace),
                });
                if is_unusual(planned) {
                    ui.warn(brake(planned).message());
                }
                Ok(Exit::Done)
            }
            Some(End::Brake) => Err(brake(planned)),
            Some(End::Done(freed)) => done_with(planned, &freed, args, ui),
        }
    }
}

impl Heard {
    fn show_unknown(&mut self, ui: &Ui) {
        if std::mem::replace(&mut self.has_shown_unknown, !self.unknown.is_empty()) {
            return;
        }
        for one in &self.unknown {
            ui.warn(format_args!(
                "it cannot be told what is needed: {}",
                one.why
            ));
            ui.hint(&one.way);
        }
    }
}

fn done_with(planned: &Planned, freed: &Freed, args: &Args, ui: &Ui) -> Outcome {
    let goes = lobs(planned.goes.lobs, planned.goes.size);
    match (planned.goes.lobs, freed.bytes) {
        (0, 0) => ui.say("nothing to clean up"),
        (0, _) => {}
        _ => ui.say(format_args!("set aside {goes}, for {}", args.grace)),
    }
    if freed.bytes > 0 {
        ui.say(format_args!("{} given back", Size(freed.bytes)));
    }
    if freed.aside > 0 {
        ui.say(format_args!(
            "{} are set aside, and come back when lob gc is run later",
            Size(freed.aside)
        ));
    }
    tell_swept(&report(planned), freed, "lob gc", ui)
}

/// What stops a run that takes an unusual share.
fn brake(planned: &Planned) -> Failure {
    let (goes, all) = (planned.goes, total(planned));
    let (goes, all) = (lobs(goes.lobs, goes.size), lobs(all.lobs, all.size));
    let what = format!("{goes} of {all} would go: is this the right store?");
    Failure::new(what).hint("see which they are with --dry-run; to set them aside: --force")
}

impl Progress for Telling<'_> {
    fn bytes(&self, n: u64) {
        if let Some(bar) = self.bar.get() {
            bar.bytes(n);
        }
    }
}

impl Listener for Telling<'_> {
    fn hear(&self, told: Cleaned) -> lob_store::Result<()> {
        self.take(told).map_err(|failure| {
            self.heard().failed = Some(failure);
            lob_store::Error::Interrupted
        })
    }
}

/// The listener of a run, which also tells the paths of what is needed here.
pub(super) struct WithPaths<'a, 'u> {
    pub(super) telling: &'a Telling<'u>,
    pub(super) paths: HashMap<LobId, &'a [u8]>,
}

impl Progress for WithPaths<'_, '_> {
    fn bytes(&self, n: u64) {
        self.telling.bytes(n);
    }
}

impl Listener for WithPaths<'_, '_> {
    fn hear(&self, mut told: Cleaned) -> lob_store::Result<()> {
        if let Cleaned::Lob {
            id,
            stays: Some(Stays::Needed),
            path,
            ..
        } = &mut told
            && path.is_empty()
            && let Some(known) = self.paths.get(id)
        {
            *path = (*known).into();
        }
        self.telling.hear(told)
    }
}

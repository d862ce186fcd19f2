//! How `lob status` says it.

use serde::Serialize;

use lob_store::LobId;

use super::staged::Staged;
use super::unpushed::Unpushed;
use super::{Held, Sizes};
use crate::cli::stored::Fields;
use crate::git::Pointer;
use crate::git::scan::Tracked;
use crate::sync::background::{Phase, Status, Work};
use crate::ui::bytes::Size;
use crate::ui::{Failure, Ui, escape, json};

/// Names that are shown of one list, unless --verbose.
const NAMES_MAX: usize = 10;

/// All that was found.
#[derive(Debug)]
pub(super) struct Report {
    /// Lobs in the index, and their bytes.
    pub(super) total: (usize, u64),
    /// What is stored, where that was asked for.
    pub(super) sizes: Option<Sizes>,
    pub(super) staged: Vec<Staged>,
    pub(super) unpushed: Unpushed,
    pub(super) held: Held,
    /// Pointers of other tools.
    pub(super) foreign: Vec<Tracked>,
    /// The last runs in the background.
    pub(super) background: Vec<(Work, Status)>,
}

/// The events `staged`, `missing` and `pointer`.
#[derive(Serialize)]
struct File<'a> {
    #[serde(flatten)]
    path: json::Path<'a>,
    id: Option<String>,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
    #[serde(flatten)]
    cost: Option<Fields>,
}

/// The event `status`.
#[derive(Serialize)]
struct Totals<'a> {
    lobs: usize,
    size: u64,
    staged: usize,
    remote: Option<&'a str>,
    unpushed: usize,
    unpushed_size: u64,
    missing: usize,
    missing_size: u64,
    unwanted: usize,
    pointers: usize,
    foreign: usize,
}

impl Report {
    pub(super) fn print(&self, ui: &Ui) -> Result<(), Failure> {
        match ui.is_json() {
            true => self.events(ui),
            false => self.text(ui),
        }
    }

    fn events(&self, ui: &Ui) -> Result<(), Failure> {
        for one in &self.staged {
            let mut staged = file(&one.path, &one.pointer);
            staged.change = Some(one.change.name());
            staged.cost = self.sizes.as_ref().map(|sizes| sizes.fields(&one.pointer));
            ui.record("staged", staged)?;
        }
        for lob in &self.held.missing {
            ui.record("missing", file(&lob.path, &lob.pointer))?;
        }
        for lob in &self.held.pointers {
            ui.record("pointer", file(&lob.path, &lob.pointer))?;
        }
        for (work, run) in &self.background {
            ui.record(work.name(), run)?;
        }
        if let Some(sizes) = &self.sizes {
            sizes.index.event(ui)?;
        }
        let unpushed = &self.unpushed.lobs;
        ui.event(
            "status",
            Totals {
                lobs: self.total.0,
                size: self.total.1,
                staged: self.staged.len(),
                remote: self.unpushed.remote.as_deref(),
                unpushed: unpushed.len(),
                unpushed_size: unpushed.iter().map(|want| want.size).sum(),
                missing: self.held.missing.len(),
                missing_size: size(&self.held.missing),
                unwanted: self.held.unwanted.len(),
                pointers: self.held.pointers.len(),
                foreign: self.foreign.len(),
            },
        )
    }

    fn text(&self, ui: &Ui) -> Result<(), Failure> {
        let (lobs, bytes) = self.total;
        let end = if self.is_calm() {
            ": all here and pushed"
        } else {
            ""
        };
        ui.line(format_args!("{}, {}{end}", count(lobs, "lob"), Size(bytes)))?;
        if let Some(sizes) = &self.sizes {
            ui.line(sizes.index.line())?;
        }
        if !self.staged.is_empty() {
            ui.line(format_args!("staged: {}", self.staged.len()))?;
            list(ui, &self.staged, |one| {
                format!(
                    "{:<9} {}{}{}",
                    one.change.name(),
                    escape::path(&one.path),
                    in_brackets(&one.pointer),
                    self.alone(one.pointer.lob_id())
                )
            })?;
        }
        self.say_unpushed(ui)?;
        let named =
            |lob: &Tracked| format!("{}{}", escape::path(&lob.path), in_brackets(&lob.pointer));
        let Held {
            missing,
            unwanted,
            pointers,
        } = &self.held;
        if !missing.is_empty() {
            ui.line(format_args!(
                "missing: {}, {}  -> lob pull",
                missing.len(),
                Size(size(missing))
            ))?;
            list(ui, missing, named)?;
        }
        if !pointers.is_empty() {
            let files = count(pointers.len(), "file");
            ui.line(format_args!(
                "still pointers, with content at hand: {files}  -> lob checkout"
            ))?;
            list(ui, pointers, named)?;
        }
        if !unwanted.is_empty() {
            ui.line(format_args!(
                "left out by lob.fetchInclude or lob.fetchExclude: {}, {}",
                unwanted.len(),
                Size(size(unwanted))
            ))?;
        }
        if !self.foreign.is_empty() {
            let files = count(self.foreign.len(), "file");
            ui.line(format_args!(
                "pointers of Git LFS or git-lob, which lob leaves as they are: {files}"
            ))?;
            list(ui, &self.foreign, named)?;
        }
        let mut background = self.background.iter();
        background.try_for_each(|(work, run)| say_background(*work, run, ui))
    }

    /// Whether nothing needs attention and nothing is left out.
    fn is_calm(&self) -> bool {
        let Held {
            missing,
            unwanted,
            pointers,
        } = &self.held;
        let pushed = self.unpushed.remote.is_some() && self.unpushed.lobs.is_empty();
        let lists = [missing, unwanted, pointers];
        self.staged.is_empty() && pushed && lists.iter().all(|list| list.is_empty())
    }

    fn say_unpushed(&self, ui: &Ui) -> Result<(), Failure> {
        let Unpushed { remote, lobs } = &self.unpushed;
        let Some(remote) = remote else {
            return ui
                .line("no remote: nothing is kept anywhere else  -> git remote add origin URL");
        };
        if lobs.is_empty() {
            return Ok(());
        }
        let size = Size(lobs.iter().map(|want| want.size).sum());
        let remote = escape::text(remote);
        ui.line(format_args!(
            "not pushed to {remote}: {}, {size}  -> git push",
            lobs.len()
        ))?;
        list(ui, lobs, |want| {
            let alone = self.alone(Some(want.id));
            format!("{}  ({}){alone}", escape::path(&want.path), Size(want.size))
        })
    }

    /// What a lob takes alone, where that was asked for and it is here.
    fn alone(&self, id: Option<LobId>) -> String {
        let sizes = self.sizes.as_ref();
        match sizes.and_then(|sizes| sizes.of(id).of(id)) {
            Some(cost) => format!(": {} stored for it alone", Size(cost.alone)),
            None => String::new(),
        }
    }
}

/// A run that is done is of no interest any more.
fn say_background(work: Work, run: &Status, ui: &Ui) -> Result<(), Failure> {
    let (done, total) = (Size(run.bytes), Size(run.total_bytes));
    let verb = work.name();
    let (what, option) = match (work, run.remote.as_str()) {
        (Work::Repack, "") => (String::from("repack"), String::new()),
        (Work::Repack, remote) => (
            format!("repack of {}", escape::text(remote)),
            format!(" --remote {}", escape::text(remote)),
        ),
        (Work::Prefetch, remote) => (
            format!("prefetch from {}", escape::text(remote)),
            String::new(),
        ),
    };
    match run.phase {
        Phase::Running if work == Work::Repack => {
            ui.line(format_args!("{what} in the background: {done} of {total}"))
        }
        Phase::Running => ui.line(format_args!(
            "{what} in the background: {done} of {total}, {} of {} lobs",
            run.lobs, run.total_lobs
        )),
        Phase::Cut => ui.line(format_args!(
            "{what} was cut off at {done} of {total}  -> lob {verb}{option}"
        )),
        Phase::Failed => {
            let why = escape::text(run.summary.as_deref().unwrap_or_default()).to_string();
            ui.line(format_args!("{what} failed: {why}  -> lob {verb}{option}"))
        }
        Phase::Done => Ok(()),
    }
}

fn list<T>(ui: &Ui, all: &[T], show: impl Fn(&T) -> String) -> Result<(), Failure> {
    let shown = if ui.verbosity() > 0 {
        all.len()
    } else {
        NAMES_MAX
    };
    for one in all.iter().take(shown) {
        ui.line(format_args!("  {}", show(one)))?;
    }
    match all.len().saturating_sub(shown) {
        0 => Ok(()),
        more => ui.line(format_args!("  and {more} more")),
    }
}

fn file<'a>(path: &'a [u8], pointer: &Pointer) -> File<'a> {
    File {
        path: json::Path(path),
        id: pointer.lob_id().map(|id| id.to_string()),
        size: pointer.size(),
        change: None,
        cost: None,
    }
}

fn size(lobs: &[Tracked]) -> u64 {
    lobs.iter().filter_map(|lob| lob.pointer.size()).sum()
}

fn in_brackets(pointer: &Pointer) -> String {
    match pointer.size() {
        Some(size) => format!("  ({})", Size(size)),
        None => String::new(),
    }
}

fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

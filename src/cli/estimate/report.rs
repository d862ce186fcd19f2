//! What an estimate says.

use serde::Serialize;

use super::gather::Gathered;
use crate::sync::estimate::{Estimate, Taken, Trouble};
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui, escape, json};

/// Extensions that are shown, and files that are named, unless --verbose.
const SHOWN_MAX: usize = 20;
/// What stands above the columns of the table.
const HEADS: [&str; 7] = [
    "extension",
    "files",
    "versions",
    "Git LFS",
    "chunks",
    "lob",
    "a new version",
];

/// What all extensions take.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<(Vec<u8>, Estimate)>,
}

/// The figures of the events `extension` and `estimate`.
#[derive(Serialize)]
struct Figures {
    files: u64,
    versions: u64,
    size: u64,
    measured: u64,
    whole: u64,
    chunks: u64,
    stored: u64,
    moved: u64,
    later_versions: u64,
    later_whole: u64,
    later_chunks: u64,
    later_stored: u64,
    later_moved: u64,
    absent: u64,
    absent_size: u64,
}

/// The event `extension`.
#[derive(Serialize)]
struct Extension<'a> {
    #[serde(flatten)]
    extension: json::Bytes<'a>,
    #[serde(flatten)]
    figures: Figures,
    compresses: Option<bool>,
    versions_alike: Option<bool>,
}

/// What some extensions take together.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    files: u64,
    all: Taken,
    later: Taken,
    measured: u64,
    absent: (u64, u64),
}

impl Sum {
    fn add(&mut self, estimate: &Estimate) {
        self.files += estimate.files;
        self.all.add(estimate.all());
        self.later.add(estimate.later.all());
        self.measured += estimate.measured().size;
        self.absent.0 += estimate.absent.0;
        self.absent.1 += estimate.absent.1;
    }

    fn of<'e>(estimates: impl IntoIterator<Item = &'e Estimate>) -> Sum {
        let mut sum = Sum::default();
        estimates.into_iter().for_each(|estimate| sum.add(estimate));
        sum
    }

    fn figures(&self) -> Figures {
        let Sum { all, later, .. } = self;
        Figures {
            files: self.files,
            versions: all.versions,
            size: all.size,
            measured: self.measured,
            whole: all.whole,
            chunks: all.chunks,
            stored: all.stored,
            moved: all.moved,
            later_versions: later.versions,
            later_whole: later.whole,
            later_chunks: later.chunks,
            later_stored: later.stored,
            later_moved: later.moved,
            absent: self.absent.0,
            absent_size: self.absent.1,
        }
    }

    /// A line of the table.
    fn row(&self, name: String) -> [String; 7] {
        let Sum { all, later, .. } = self;
        let mean = |bytes: u64| Size(bytes / later.versions.max(1));
        let next = match later.versions {
            0 => "-".to_owned(),
            _ => format!("{} -> {}", mean(later.whole), mean(later.moved)),
        };
        [
            name,
            self.files.to_string(),
            all.versions.to_string(),
            Size(all.whole).to_string(),
            Size(all.chunks).to_string(),
            Size(all.stored).to_string(),
            next,
        ]
    }
}

impl Report {
    /// One more extension.
    pub(super) fn add(&mut self, extension: Vec<u8>, estimate: Estimate) {
        self.rows.push((extension, estimate));
    }

    /// Tells all of it, those that take most first.
    pub(super) fn tell(mut self, gathered: &Gathered, min: u64, ui: &Ui) -> Result<Exit, Failure> {
        self.rows
            .sort_by_key(|(_, estimate)| std::cmp::Reverse(estimate.all().whole));
        let sum = Sum::of(self.rows.iter().map(|(_, estimate)| estimate));
        for (extension, estimate) in &self.rows {
            let event = Extension {
                extension: json::Bytes("extension", extension),
                figures: Sum::of([estimate]).figures(),
                compresses: estimate.is_compressed().map(|compressed| !compressed),
                versions_alike: estimate.is_unrelated().map(|unrelated| !unrelated),
            };
            ui.record("extension", event)?;
        }
        ui.event("estimate", sum.figures())?;
        if sum.all.versions == 0 && sum.absent.0 == 0 {
            ui.say(format_args!("there is no file of {} or more", Size(min)));
        } else if !ui.is_json() {
            self.table(&sum, ui)?;
            explain(&sum, ui);
        }
        self.tell_in_vain(ui);
        self.tell_missing(&sum, gathered, ui)
    }

    fn table(&self, sum: &Sum, ui: &Ui) -> Result<(), Failure> {
        let shown = match ui.verbosity() {
            0 => SHOWN_MAX.min(self.rows.len()),
            _ => self.rows.len(),
        };
        let (shown, rest) = self.rows.split_at(shown);
        let mut lines = vec![HEADS.map(str::to_owned)];
        let row =
            |(extension, estimate): &(Vec<u8>, Estimate)| Sum::of([estimate]).row(name(extension));
        lines.extend(shown.iter().map(row));
        if !rest.is_empty() {
            let others = Sum::of(rest.iter().map(|(_, estimate)| estimate));
            lines.push(others.row(format!("{} others", rest.len())));
        }
        lines.push(sum.row("all".to_owned()));
        let widths: [usize; 7] = std::array::from_fn(|n| {
            let cells = lines.iter().filter_map(|line| line.get(n));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        });
        for line in &lines {
            let mut text = String::new();
            for (n, (cell, width)) in line.iter().zip(widths).enumerate() {
                text += &match n {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                };
            }
            ui.line(text.trim_end())?;
        }
        Ok(())
    }

    /// Names the extensions with which nothing helps, and what can be done.
    fn tell_in_vain(&self, ui: &Ui) {
        let those = |unrelated: Option<bool>| {
            let rows = self.rows.iter().filter(|(_, estimate)| {
                estimate.is_compressed() == Some(true) && estimate.is_unrelated() == unrelated
            });
            rows.map(|(extension, _)| name(extension))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let in_vain = those(Some(true));
        if !in_vain.is_empty() {
            ui.warn(format_args!(
                "little helps with {in_vain}: compression saves less than 3 %, and so does what new \
                 versions have in common with those before, as with files that are compressed as a whole"
            ));
            ui.hint(
                "keep them unpacked, or packed without compression (zip -0, tar without gzip), or so that \
                 a change stays where it is (gzip --rsyncable, zstd --rsyncable), always by the same \
                 program and with the same times: lob compresses what it stores",
            );
        }
        let single = those(None);
        if !single.is_empty() {
            ui.say(format_args!(
                "compressed already: {single}. How new versions do cannot be told from one version"
            ));
        }
    }

    fn tell_missing(&self, sum: &Sum, gathered: &Gathered, ui: &Ui) -> Result<Exit, Failure> {
        let mut exit = Exit::Done;
        if let Some(why) = gathered.partial {
            ui.warn(format_args!("what is not here is not counted: {why}"));
            exit = Exit::Incomplete;
        }
        let (versions, size) = sum.absent;
        if versions > 0 {
            ui.warn(format_args!(
                "the content of {versions} more, {}, is not here, and not in the figures",
                Size(size)
            ));
            ui.hint("of lobs it comes with lob sync --pull --mode complete, of Git LFS with git lfs fetch --all");
            exit = Exit::Incomplete;
        }
        let of_rows = self.rows.iter().flat_map(|(_, estimate)| &estimate.trouble);
        let trouble: Vec<&Trouble> = gathered.trouble.iter().chain(of_rows).collect();
        for Trouble { path, why } in trouble.iter().take(SHOWN_MAX) {
            ui.warn(format_args!("{}: {why}", escape::path(path)));
        }
        if !trouble.is_empty() {
            ui.warn(format_args!(
                "{} could not be read, and not measured",
                trouble.len()
            ));
            exit = Exit::Incomplete;
        }
        Ok(exit)
    }
}

/// What the columns mean, and how much of it was measured.
fn explain(sum: &Sum, ui: &Ui) {
    let Sum { all, measured, .. } = sum;
    ui.say("Git LFS: every version whole. chunks: .git/lob after git add. lob: a remote after git push");
    ui.say("a new version: what a push of it moves, whole and with lob");
    if *measured < all.size {
        ui.say(format_args!(
            "measured on {} of {}, and taken for all: --sample 0 measures everything",
            Size(*measured),
            Size(all.size)
        ));
    }
}

/// An extension as it is shown.
fn name(extension: &[u8]) -> String {
    match extension.is_empty() {
        true => "(none)".to_owned(),
        false => escape::path(extension).to_string(),
    }
}

//! What a repair says: its plan, what it did, and what could not be had.

use std::cell::Cell;

use lob_store::repair::{Repaired, Step};
use serde::Serialize;

use crate::cli::Outcome;
use crate::cli::transfer::{count, lobs};
use crate::sync::Target;
use crate::sync::repair::{Loss, Source};
use crate::sync::wanted::Want;
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui, escape, json};

/// What was said until now.
pub(super) struct Report<'u> {
    ui: &'u Ui,
    steps: Cell<u64>,
    losses: Cell<u64>,
    failed: Cell<usize>,
    aside: Cell<usize>,
}

/// The event `step`.
#[derive(Serialize)]
struct Planned {
    action: &'static str,
    object: String,
}

/// The events `lob` and `lost`.
#[derive(Serialize)]
struct Lob<'a> {
    id: String,
    size: u64,
    #[serde(flatten)]
    path: json::Path<'a>,
    source: Option<String>,
}

/// The event `summary`.
#[derive(Serialize)]
struct Summary {
    steps: u64,
    failed: usize,
    set_aside: usize,
    brought_back: usize,
    lost: usize,
    damage: usize,
}

impl<'u> Report<'u> {
    pub(super) fn new(ui: &'u Ui) -> Report<'u> {
        Report {
            ui,
            steps: Cell::new(0),
            losses: Cell::new(0),
            failed: Cell::new(0),
            aside: Cell::new(0),
        }
    }

    pub(super) fn step(&self, step: &Step) -> Result<(), Failure> {
        self.steps.set(self.steps.get() + 1);
        let (action, object) = words(step);
        if self.ui.is_json() {
            return self.ui.record("step", Planned { action, object });
        }
        let object = escape::text(&object).to_string();
        self.ui.line(format_args!("{action} {object}"))
    }

    pub(super) fn loss(&self, loss: &Loss, remotes: &[Target]) -> Result<(), Failure> {
        self.losses.set(self.losses.get() + 1);
        let want = &loss.want;
        let source = match &loss.source {
            Source::File(_) => Some("file".to_string()),
            Source::Remote(n) => remotes.get(*n).map(|target| target.name.clone()),
            Source::Nowhere => None,
        };
        if self.ui.is_json() {
            return self.ui.record("lob", event(want, source));
        }
        let name = named(want);
        let size = Size(want.size);
        self.ui.line(match (&loss.source, source) {
            (Source::File(_), _) => format!("add {size} {name} from the work tree"),
            (_, Some(remote)) => format!("fetch {size} {name} from {}", escape::text(&remote)),
            (_, None) => format!("lost {size} {name}: neither here nor at any remote"),
        })
    }

    /// Ends a dry run.
    pub(super) fn planned(&self) {
        self.ui.say(match (self.steps.get(), self.losses.get()) {
            (0, 0) => "nothing to repair".to_string(),
            (steps, losses) => format!(
                "would do {} and look for {}",
                count(steps, "step"),
                count(losses, "lost lob")
            ),
        });
    }

    pub(super) fn repaired(&self, repaired: &Repaired) {
        for (step, error) in &repaired.failed {
            let (action, object) = words(step);
            self.ui
                .warn(format_args!("cannot {action} {object}: {error}"));
        }
        for path in &repaired.aside {
            self.ui
                .detail(format_args!("set aside: .git/lob/{}", path.display()));
        }
        self.failed.set(repaired.failed.len());
        self.aside.set(repaired.aside.len());
    }

    /// Says what came of it.
    pub(super) fn finish(&self, losses: usize, lost: &[Want], rest: &[String]) -> Outcome {
        for want in lost {
            match self.ui.is_json() {
                true => self.ui.record("lost", event(want, None))?,
                false => self.ui.line(format_args!("lost: {}", named(want)))?,
            }
        }
        for finding in rest {
            self.ui.warn(finding);
        }
        let back = losses.saturating_sub(lost.len());
        let (steps, failed, aside) = (self.steps.get(), self.failed.get(), self.aside.get());
        self.ui.say(match (steps, losses) {
            (0, 0) => "nothing to repair".to_string(),
            _ => format!(
                "repaired: {}, {} brought back",
                count(steps - failed as u64, "step"),
                count(back as u64, "lob"),
            ),
        });
        if aside > 0 && lost.is_empty() && rest.is_empty() {
            self.ui
                .say("what was set aside in .git/lob/damaged is not needed any more");
        }
        self.ui.event(
            "summary",
            Summary {
                steps,
                failed,
                set_aside: aside,
                brought_back: back,
                lost: lost.len(),
                damage: rest.len(),
            },
        )?;
        if lost.is_empty() && rest.is_empty() && failed == 0 {
            return Ok(Exit::Done);
        }
        if !lost.is_empty() {
            let size = lost.iter().map(|want| want.size).sum();
            let lost = lobs(lost.len() as u64, size);
            self.ui.warn(format_args!("{lost} could not be had"));
            self.ui.hint(
                "another clone may have them: lob repair --from PATH/.git/lob; \
                 or add the files again",
            );
        }
        Ok(Exit::Incomplete)
    }
}

fn event(want: &Want, source: Option<String>) -> Lob<'_> {
    Lob {
        id: want.id.to_string(),
        size: want.size,
        path: json::Path(&want.path),
        source,
    }
}

fn named(want: &Want) -> String {
    match want.path.is_empty() {
        true => format!("lob {}", want.id),
        false => escape::path(&want.path).to_string(),
    }
}

/// What a step does, and to what.
fn words(step: &Step) -> (&'static str, String) {
    match step {
        Step::Format => ("rebuild", "state/format".into()),
        Step::TakeIn(path) => ("take in", path.display().to_string()),
        Step::Roots => ("rebuild", "the roots".into()),
        Step::Run(from, to) => (
            "rebuild",
            format!("the index over roots {} to {to}", from + 1),
        ),
        Step::Adopt(id) => ("adopt", format!("pack {id}")),
        Step::Rewrite(id) => ("rewrite", format!("pack {id}")),
        Step::Table(id) => ("rebuild", format!("the table of pack {id}")),
        Step::Delete(path) => ("delete", path.display().to_string()),
        Step::Sweep(id) => (
            "delete",
            format!("dropped pack {id}, unless lob gc has set it aside"),
        ),
        _ => ("do", format!("{step:?}")),
    }
}

//! `lob doctor`: what could go wrong here, before it does.

mod machine;
mod remotes;
mod repository;

use std::path::Path;

use serde::Serialize;

use super::Outcome;
use crate::git::{Git, GitError, Repo};
use crate::ui::{Exit, Failure, Ui, escape};

/// Check that everything is in place
///
/// Looks at git, the filter, the hooks, the remotes, the store, the disk and .gitattributes, and names
/// the remedy for whatever is wrong. Changes nothing. Exits with 3 if something is wrong. With
/// --quiet only that is printed. With --json: one event "finding" for each line, with "check", "state" (ok, note or wrong),
/// "message" and "remedy".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lob doctor")]
pub(super) struct Args {}

/// What one check found, and the event `finding`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    message: String,
    remedy: Option<String>,
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Worth knowing; lob works.
    Note,
    /// Something does not work, or content is in danger.
    Wrong,
}

impl Finding {
    fn ok(check: &'static str, message: impl ToString) -> Finding {
        Finding::of(check, State::Ok, message)
    }

    fn note(check: &'static str, message: impl ToString) -> Finding {
        Finding::of(check, State::Note, message)
    }

    fn wrong(check: &'static str, message: impl ToString) -> Finding {
        Finding::of(check, State::Wrong, message)
    }

    fn of(check: &'static str, state: State, message: impl ToString) -> Finding {
        Finding {
            check,
            state,
            message: message.to_string(),
            remedy: None,
        }
    }

    fn remedy(mut self, remedy: impl ToString) -> Finding {
        self.remedy = Some(remedy.to_string());
        self
    }

    /// A check that failed itself.
    fn failed(check: &'static str, failure: impl Into<Failure>) -> Finding {
        let failure = super::remedy::advise(failure.into());
        let causes = failure.causes().iter();
        let message = causes.fold(failure.message().to_owned(), |all, cause| {
            all + ": " + cause
        });
        Finding {
            remedy: failure.hints().first().cloned(),
            ..Finding::wrong(check, message)
        }
    }
}

pub(super) fn run(_: Args, ui: &Ui) -> Outcome {
    let here = Path::new(".");
    let git = match Git::new(here) {
        Ok(git) => git,
        Err(error) => return report(&[Finding::failed("git", error)], ui),
    };
    let mut findings = machine::check(&git);
    match Repo::discover(here) {
        Ok(repo) => {
            findings.extend(repository::check(&repo));
            findings.extend(remotes::check(&repo));
        }
        Err(GitError::NoRepository { .. }) => findings.push(
            Finding::note(
                "repository",
                "there is no git repository here; only the machine was checked",
            )
            .remedy("run lob doctor in a repository to check that too"),
        ),
        Err(error) => findings.push(Finding::failed("repository", error)),
    }
    report(&findings, ui)
}

fn report(findings: &[Finding], ui: &Ui) -> Outcome {
    for finding in findings {
        print(finding, ui)?;
    }
    let wrong = findings.iter().filter(|f| f.state == State::Wrong).count();
    match wrong {
        0 => ui.say("nothing is wrong"),
        1 => ui.say("1 thing is wrong"),
        n => ui.say(format_args!("{n} things are wrong")),
    }
    Ok(match wrong {
        0 => Exit::Done,
        _ => Exit::Incomplete,
    })
}

fn print(finding: &Finding, ui: &Ui) -> Result<(), Failure> {
    if ui.is_json() {
        return ui.record("finding", finding);
    }
    if ui.is_quiet() && finding.state != State::Wrong {
        return Ok(());
    }
    let state = match finding.state {
        State::Ok => "ok",
        State::Note => "note",
        State::Wrong => "WRONG",
    };
    let message = escape::text(&finding.message);
    ui.line(format_args!("{state:<6}{}: {message}", finding.check))?;
    match &finding.remedy {
        Some(remedy) => ui.line(format_args!("      -> {}", escape::text(remedy))),
        None => Ok(()),
    }
}

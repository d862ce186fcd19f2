//! `lob env`: what lob runs with.

use std::path::Path;

use serde::Serialize;

use super::{Outcome, store_of};
use crate::git::settings::{KEYS, Key};
use crate::git::version::Version;
use crate::git::{Config, Git, GitError, Repo};
use crate::remote::url;
use crate::sync::Home;
use crate::sync::users::{Use, Users};
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui, escape};

/// Variables of the environment that change what lob does.
const VARIABLES: &[&str] = &["LOB_PROGRESS", "LOB_SKIP_SMUDGE", "NO_COLOR"];

/// Show what lob runs with: versions, places, settings
///
/// Every setting is shown with its value and where that comes from. Add this to a report of a bug.
/// With --json: one event "env" for each line, with "name", "value" and "origin".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lob env")]
pub(super) struct Args {}

/// One line of the answer, and the event `env`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Fact {
    name: String,
    value: String,
    /// Where a setting comes from.
    origin: Option<String>,
}

impl Fact {
    fn new(name: &str, value: impl ToString) -> Fact {
        Fact {
            name: name.to_owned(),
            value: value.to_string(),
            origin: None,
        }
    }
}

pub(super) fn run(_: Args, ui: &Ui) -> Outcome {
    let mut facts = programs()?;
    match Repo::discover(Path::new(".")) {
        Ok(repo) => {
            facts.extend(places(&repo));
            facts.extend(settings(repo.git(), Some(repo.config()?))?);
        }
        // Outside of a repository the rest is of interest all the same.
        Err(GitError::NoRepository { .. }) => {
            facts.push(Fact::new("repository", "none here"));
            facts.extend(settings(&Git::new(Path::new("."))?, None)?);
        }
        Err(error) => return Err(error.into()),
    }
    facts.extend(VARIABLES.iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some(Fact {
            origin: Some("environment".to_owned()),
            ..Fact::new(name, value.to_string_lossy())
        })
    }));
    for fact in &facts {
        print(fact, ui)?;
    }
    Ok(Exit::Done)
}

fn print(fact: &Fact, ui: &Ui) -> Result<(), Failure> {
    if ui.is_json() {
        return ui.record("env", fact);
    }
    let (name, value) = (escape::text(&fact.name), escape::text(&fact.value));
    match &fact.origin {
        None => ui.line(format_args!("{name}: {value}")),
        Some(origin) => ui.line(format_args!("{name} = {value}  ({})", escape::text(origin))),
    }
}

fn programs() -> Result<Vec<Fact>, Failure> {
    let git = Version::of(&Git::new(Path::new("."))?)?;
    let program = std::env::current_exe()?;
    Ok(vec![
        Fact::new("lob", env!("CARGO_PKG_VERSION")),
        Fact::new("program", program.display()),
        Fact::new("git", git),
        Fact::new(
            "system",
            format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
    ])
}

fn places(repo: &Repo) -> Vec<Fact> {
    let work_tree = match repo.work_tree() {
        Some(top) => top.display().to_string(),
        None => "none, the repository is bare".to_owned(),
    };
    let mut facts = vec![
        Fact::new("work tree", work_tree),
        Fact::new("git directory", repo.git_dir().display()),
    ];
    match Home::of(repo) {
        Ok(home) => {
            facts.push(Fact::new("store", home.dir().display()));
            facts.extend(sharers(&home));
        }
        Err(error) => facts.push(Fact::new("store", format_args!("cannot be told: {error}"))),
    }
    // Never an error: this is what one looks at when the store is broken.
    match store_of(repo) {
        Ok(None) => facts.push(Fact::new(
            "store id",
            "none yet; `lob init` or the first `git add` makes it",
        )),
        Ok(Some(store)) => {
            facts.push(Fact::new("store id", store.id()));
            let size = store.stored_bytes().map(|bytes| Size(bytes).to_string());
            let size = size.unwrap_or_else(|error| error.to_string());
            facts.push(Fact::new("store size", size));
        }
        Err(error) => facts.push(Fact::new(
            "store id",
            format_args!("cannot be read: {error}"),
        )),
    }
    facts
}

/// Which clones have the store in common.
fn sharers(home: &Home) -> Vec<Fact> {
    if !home.is_shared() {
        return Vec::new();
    }
    match Users::of(home.dir()).list() {
        Ok(users) => users
            .into_iter()
            .filter(|known| known.user.by == Use::Share)
            .map(|known| Fact::new("store shared by", known.user.describe()))
            .collect(),
        Err(error) => vec![Fact::new(
            "store shared by",
            format_args!("cannot be told: {error}"),
        )],
    }
}

/// Every setting: what git's configuration says with its origin, what `.lobconfig` says, and what
/// holds otherwise.
fn settings(git: &Git, config: Option<&Config>) -> Result<Vec<Fact>, Failure> {
    let set = configured(git)?;
    let mut facts: Vec<Fact> = Vec::new();
    for Key { name, default, .. } in KEYS {
        let canonical = name.to_ascii_lowercase();
        let (before, after) = canonical.split_once("<name>").unwrap_or((&canonical, ""));
        let is_this = |key: &str| {
            key == canonical || !after.is_empty() && key.starts_with(before) && key.ends_with(after)
        };
        let mine: Vec<&Fact> = set.iter().filter(|fact| is_this(&fact.name)).collect();
        let tracked = config.map(|config| tracked(config, is_this));
        let tracked = tracked.filter(|_| mine.is_empty()).unwrap_or_default();
        let is_plain = after.is_empty();
        if mine.is_empty() && tracked.is_empty() && is_plain && !default.is_empty() {
            facts.push(Fact {
                origin: Some("default".to_owned()),
                ..Fact::new(name, default)
            });
        }
        for fact in mine.into_iter().chain(&tracked) {
            facts.push(Fact {
                name: if is_plain {
                    (*name).to_owned()
                } else {
                    fact.name.clone()
                },
                value: url::shown(&fact.value),
                origin: fact.origin.clone(),
            });
        }
    }
    Ok(facts)
}

fn tracked(config: &Config, is_this: impl Fn(&str) -> bool) -> Vec<Fact> {
    let mut facts = Vec::new();
    for key in config.keys() {
        let name = String::from_utf8_lossy(key);
        if is_this(&name) {
            facts.extend(config.get_all(key).map(|value| Fact {
                origin: Some(".lobconfig".to_owned()),
                ..Fact::new(&name, String::from_utf8_lossy(value))
            }));
        }
    }
    facts
}

/// What git's own configuration says about lob, with the file that says it.
fn configured(git: &Git) -> Result<Vec<Fact>, Failure> {
    let keys = r"^lob\.|^remote\..*\.lob";
    let answer = match git.output(["config", "-z", "--show-origin", "--get-regexp", keys]) {
        Ok(answer) => answer,
        // Nothing matches.
        Err(GitError::Failed { code: Some(1), .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&answer);
    let mut parts = text.split_terminator('\0');
    let mut facts = Vec::new();
    while let (Some(origin), Some(entry)) = (parts.next(), parts.next()) {
        // A key that stands alone means true.
        let (name, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        facts.push(Fact {
            origin: Some(origin.to_owned()),
            ..Fact::new(name, value)
        });
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn find<'a>(facts: &'a [Fact], name: &str) -> &'a Fact {
        facts.iter().find(|fact| fact.name == name).unwrap()
    }

    #[test]
    fn every_setting_says_where_it_comes_from() {
        let fixture = Fixture::new();
        fixture.git().set_config("lob.fetchRefsDays", "9").unwrap();
        let url = "https://me:secret@host/x@y";
        fixture.git().set_config("remote.A.b.lobUrl", url).unwrap();
        fixture.write(
            ".lobconfig",
            "[lob]\n\tsmudge = cached\n\tfetchRefsDays = 3\n",
        );
        let repo = fixture.repo();
        let facts = settings(repo.git(), Some(repo.config().unwrap())).unwrap();
        let origin = |name| find(&facts, name).origin.clone().unwrap();
        assert_eq!(find(&facts, "lob.fetchRefsDays").value, "9");
        assert!(origin("lob.fetchRefsDays").ends_with("config"));
        assert_eq!(find(&facts, "lob.smudge").value, "cached");
        assert_eq!(origin("lob.smudge"), ".lobconfig");
        assert_eq!(origin("lob.fetchCommitsHeadDays"), "default");
        assert_eq!(find(&facts, "remote.A.b.loburl").value, "https://host/x@y");
    }

    #[test]
    fn a_repository_without_a_store_has_its_places() {
        let fixture = Fixture::bare();
        let facts = places(&fixture.repo());
        assert!(find(&facts, "work tree").value.starts_with("none"));
        assert!(find(&facts, "store id").value.contains("lob init"));
    }
}

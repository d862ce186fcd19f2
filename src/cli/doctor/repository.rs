//! The checks of one repository: settings, hooks, attributes, store, disk.

use std::path::Path;

use lob_store::disk::{Disk, OsDisk};

use super::Finding;
use crate::cli::store_of;
use crate::cli::track::plain_files;
use crate::cli::transfer::count;
use crate::git::Repo;
use crate::git::attributes::{self, Attribute};
use crate::git::hooks::{Hook, Hooks, State};
use crate::git::index_file::{self, IndexEntry};
use crate::sync::Home;
use crate::sync::users::{Use, Users};
use crate::ui::bytes::Size;
use crate::ui::{Failure, escape};

const ATTRIBUTES: &str = "attributes";

/// Below this much free space an ordinary commit may fail.
const SPACE_WRONG: u64 = 256 << 20;
/// Below this much free space a large checkout may fail.
const SPACE_NOTE: u64 = 2 << 30;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = settings(repo);
    if repo.work_tree().is_some() {
        findings.extend(hooks(repo));
        findings.push(tracked(repo));
        findings.extend(whole(repo));
    }
    findings.push(store(repo));
    findings.extend(unsettled(repo));
    findings.extend(space("disk", repo.common_dir()));
    if let Ok(home) = Home::of(repo)
        && home.is_shared()
        && home.dir().exists()
    {
        findings.extend(space("disk of the store", home.dir()));
    }
    findings
}

fn settings(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    match repo.settings() {
        Ok(_) => findings.push(Finding::ok("settings", "all have a meaning")),
        Err(error) => findings.push(Finding::failed("settings", error)),
    }
    let ignored = repo.config().map(|config| config.ignored());
    for ignored in ignored.unwrap_or_default() {
        let what = match ignored.key.as_str() {
            "" => ".lobconfig has no effect".to_owned(),
            key => format!("{key} in .lobconfig has no effect"),
        };
        findings.push(
            Finding::note("settings", format_args!("{what}: {}", ignored.why))
                .remedy("set it with git config, or remove it from .lobconfig"),
        );
    }
    findings
}

fn hooks(repo: &Repo) -> Vec<Finding> {
    let hooks = match Hooks::of(repo) {
        Ok(hooks) => hooks,
        Err(error) => return vec![Finding::failed("hooks", error)],
    };
    let mut findings = Vec::new();
    for hook in Hook::ALL {
        findings.extend(match hooks.state(hook) {
            Ok(state) => judge_hook(hook, state),
            Err(error) => Some(Finding::failed("hooks", error)),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "hooks",
            "git calls lob at push, checkout and merge",
        ));
    }
    findings
}

fn judge_hook(hook: Hook, state: State) -> Option<Finding> {
    let name = hook.name();
    Some(match state {
        State::Ours | State::Calls => return None,
        State::OursOlder => Finding::note("hooks", format_args!("{name} is of an older lob")),
        // Commits whose lobs stayed here would break every clone.
        State::Missing if hook == Hook::PrePush => Finding::wrong(
            "hooks",
            format_args!("{name} is missing: lobs would not be pushed"),
        ),
        State::Missing => Finding::note("hooks", format_args!("{name} is missing")),
        State::Foreign => {
            let message = format!("{name} is somebody else's and does not call lob");
            return Some(
                Finding::wrong("hooks", message)
                    .remedy(format_args!("add this line to it: {}", hook.line())),
            );
        }
    })
    .map(|finding| finding.remedy("lob init"))
}

/// What .gitattributes makes of the files of lob.
fn tracked(repo: &Repo) -> Finding {
    let rules = match attributes::list(repo) {
        Ok(rules) => rules,
        Err(error) => return Finding::failed(ATTRIBUTES, error),
    };
    let lobs: Vec<_> = rules.iter().filter(|rule| rule.is_lob).collect();
    if lobs.is_empty() {
        return Finding::note(ATTRIBUTES, "no files are tracked").remedy("lob track PATTERN");
    }
    let damaged = match with_line_ends(repo) {
        Ok(damaged) => damaged,
        Err(failure) => return Finding::failed(ATTRIBUTES, failure),
    };
    match damaged.first() {
        None => Finding::ok(ATTRIBUTES, format_args!("{} patterns of lobs", lobs.len())),
        Some(path) => {
            let message = format!(
                "{} lobs lack -text, the first is {}: git may change line ends in their pointers",
                damaged.len(),
                escape::path(path)
            );
            Finding::wrong(ATTRIBUTES, message)
                .remedy("put -text behind filter=lob in .gitattributes, or run lob track PATTERN")
        }
    }
}

/// Files that were added before their pattern was tracked, or by a git that did not know lob.
fn whole(repo: &Repo) -> Option<Finding> {
    let plain = match plain_files(repo) {
        Ok(plain) => plain,
        Err(failure) => return Some(Finding::failed(ATTRIBUTES, failure)),
    };
    let first = escape::path(plain.first()?);
    let message = match plain.len() {
        1 => format!("1 file that should be a lob is in git whole: {first}"),
        n => format!("{n} files that should be lobs are in git whole, the first is {first}"),
    };
    Some(Finding::note(ATTRIBUTES, message).remedy("git add --renormalize . && git commit"))
}

/// Files in the index that are lobs by their attributes and whose line ends git may change.
fn with_line_ends(repo: &Repo) -> Result<Vec<Vec<u8>>, Failure> {
    let entries = index_file::entries(repo)?;
    let files = entries.into_iter().filter(IndexEntry::is_file);
    let mut paths: Vec<Vec<u8>> = files.map(|entry| entry.path).collect();
    paths.dedup();
    let mut is_lob = attributes::is_lob(repo.git(), paths.iter().map(Vec::as_slice))?.into_iter();
    paths.retain(|_| is_lob.next() == Some(true));
    let text = attributes::check(repo.git(), "text", paths.iter().map(Vec::as_slice))?;
    let mut text = text.into_iter();
    paths.retain(|_| text.next() != Some(Attribute::Unset));
    Ok(paths)
}

fn store(repo: &Repo) -> Finding {
    let store = match store_of(repo) {
        Ok(Some(store)) => store,
        Ok(None) => {
            return Finding::note("store", "there is none yet")
                .remedy("lob init makes it, and so does the first file that is added");
        }
        Err(error) => return Finding::failed("store", error),
    };
    match store.stored_bytes() {
        Ok(bytes) => {
            let (place, shared) = (store.root().display(), shared(repo));
            Finding::ok("store", format_args!("{place}, {}{shared}", Size(bytes)))
        }
        Err(error) => Finding::failed("store", error),
    }
}

/// How many share the store, in words.
fn shared(repo: &Repo) -> String {
    let home = Home::of(repo).ok().filter(Home::is_shared);
    let users = home.and_then(|home| Users::of(home.dir()).list().ok());
    users.map_or_else(String::new, |users| {
        let sharing = users.iter().filter(|known| known.user.by == Use::Share);
        format!(", shared by {}", count(sharing.count() as u64, "clone"))
    })
}

/// Whether lobs are elsewhere than in the store that is asked for.
fn unsettled(repo: &Repo) -> Option<Finding> {
    match Home::unsettled(repo) {
        Ok(why) => Some(Finding::note("store", why?).remedy("lob init brings them over")),
        Err(error) => Some(Finding::failed("store", error)),
    }
}

fn space(check: &'static str, place: &Path) -> Option<Finding> {
    let free = match OsDisk.free_space(place) {
        Ok(free) => free?,
        Err(error) => return Some(Finding::failed(check, error)),
    };
    Some(judge_space(check, free))
}

fn judge_space(check: &'static str, free: u64) -> Finding {
    let message = format!("{} free", Size(free));
    let remedy = "make room on this disk, or move the repository";
    match free {
        0..SPACE_WRONG => Finding::wrong(check, message).remedy(remedy),
        SPACE_WRONG..SPACE_NOTE => Finding::note(check, message).remedy(remedy),
        _ => Finding::ok(check, message),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State::{Note, Ok, Wrong};
    use super::*;
    use crate::git::fixture::Fixture;
    use lob_store::Store;
    use std::sync::Arc;

    #[test]
    fn settings_without_effect_are_named() {
        let fixture = Fixture::new();
        fixture.write(".lobconfig", "[lob]\n\turl = /x\n\tsmudge = never\n");
        let findings = settings(&fixture.repo());
        let states: Vec<_> = findings.iter().map(|finding| finding.state).collect();
        assert_eq!(states, [Ok, Note, Note], "{findings:?}");
        assert!(findings[1].message.contains("lob.url"), "{findings:?}");
        fixture.git().set_config("lob.smudge", "never").unwrap();
        let findings = settings(&fixture.repo());
        assert_eq!(findings[0].state, Wrong);
        assert!(findings[0].message.contains("lob.smudge"), "{findings:?}");
    }

    #[test]
    fn a_store_is_opened_where_there_is_one() {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        assert_eq!(store(&repo).state, Note);
        Store::create(Arc::new(OsDisk), &repo.lob_dir()).unwrap();
        assert_eq!(store(&repo).state, Ok);
        fixture.write(".git/lob/state/format", "nonsense");
        assert_eq!(store(&repo).state, Wrong);
    }

    #[test]
    fn little_space_is_noted_before_it_is_none() {
        let state = |free| judge_space("disk", free).state;
        assert_eq!(state(100 << 20), Wrong);
        assert_eq!(state(1 << 30), Note);
        assert_eq!(state(1 << 40), Ok);
    }
}

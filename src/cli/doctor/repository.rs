//! The checks of one repository: settings, store, disk.

use std::path::Path;
use std::sync::Arc;

use lob_store::Store;
use lob_store::disk::{Disk, OsDisk};

use super::Finding;
use crate::git::Repo;
use crate::ui::bytes::Size;

/// Below this much free space an ordinary commit may fail.
const SPACE_WRONG: u64 = 256 << 20;
/// Below this much free space a large checkout may fail.
const SPACE_NOTE: u64 = 2 << 30;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = settings(repo);
    findings.push(store(&repo.lob_dir()));
    findings.extend(space("disk", repo.common_dir()));
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

fn store(lob_dir: &Path) -> Finding {
    if !lob_dir.exists() {
        return Finding::note("store", "there is none yet")
            .remedy("lob init makes it, and so does the first file that is added");
    }
    let store = match Store::open(Arc::new(OsDisk), lob_dir) {
        Ok(store) => store,
        Err(error) => return Finding::failed("store", error),
    };
    match store.stored_bytes() {
        Ok(bytes) => Finding::ok(
            "store",
            format_args!("{}, {}", lob_dir.display(), Size(bytes)),
        ),
        Err(error) => Finding::failed("store", error),
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
    use super::super::State;
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn settings_without_effect_are_named() {
        let fixture = Fixture::new();
        fixture.write(".lobconfig", "[lob]\n\turl = /x\n\tsmudge = never\n");
        let findings = settings(&fixture.repo());
        let states: Vec<_> = findings.iter().map(|finding| finding.state).collect();
        assert_eq!(
            states,
            [State::Ok, State::Note, State::Note],
            "{findings:?}"
        );
        assert!(findings[1].message.contains("lob.url"), "{findings:?}");
        fixture.git().set_config("lob.smudge", "never").unwrap();
        let findings = settings(&fixture.repo());
        assert_eq!(findings[0].state, State::Wrong);
        assert!(findings[0].message.contains("lob.smudge"), "{findings:?}");
    }

    #[test]
    fn a_directory_that_is_no_store_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(store(&dir.path().join("lob")).state, State::Note);
    }

    #[test]
    fn little_space_is_noted_before_it_is_none() {
        let state = |free| judge_space("disk", free).state;
        assert_eq!(state(100 << 20), State::Wrong);
        assert_eq!(state(1 << 30), State::Note);
        assert_eq!(state(1 << 40), State::Ok);
    }
}

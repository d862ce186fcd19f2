//! The checks that need no repository: git, lob itself, the filter.

use std::path::Path;

use super::Finding;
use crate::cli::install::{FILTER, on_path};
use crate::git::version::{Feature, Version};
use crate::git::{Config, Git};
use crate::ui::{Failure, escape};

pub(super) fn check(git: &Git) -> Vec<Finding> {
    vec![version(git), program(), filter(git)]
}

fn version(git: &Git) -> Finding {
    let version = match Version::of(git) {
        Ok(version) => version,
        Err(error) => return Finding::failed("git", error),
    };
    if let Err(error) = version.require(Feature::Base) {
        return Finding::failed("git", error);
    }
    match version.require(Feature::Delay) {
        Ok(()) => Finding::ok("git", format_args!("version {version}")),
        Err(error) => Finding::note("git", error).remedy(format_args!(
            "a checkout is slower than it could be; git {} mends it",
            Feature::Delay.since()
        )),
    }
}

/// Git calls lob by its name alone: the one that it finds should be the one that runs here.
fn program() -> Finding {
    let Some(found) = on_path() else {
        return Finding::wrong(
            "program",
            "lob is in no directory of PATH: git will not find it",
        )
        .remedy("add the directory of lob to PATH, or copy lob into one that is there");
    };
    let real = |path: &Path| path.canonicalize().ok();
    let this = std::env::current_exe().ok();
    match this {
        // `git lob` runs it under its other name, beside the first.
        Some(this) if real(&this).map(parent) != real(&found).map(parent) => Finding::note(
            "program",
            format_args!("git finds {}, this is {}", found.display(), this.display()),
        )
        .remedy("remove the one that you do not want, or change the order in PATH"),
        _ => Finding::ok("program", found.display()),
    }
}

fn parent(path: std::path::PathBuf) -> std::path::PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or(path)
}

fn filter(git: &Git) -> Finding {
    match effective(git) {
        Ok(config) => judge(&config),
        Err(failure) => Finding::failed("filter", failure),
    }
}

fn effective(git: &Git) -> Result<Config, Failure> {
    Ok(Config::parse(&git.output(["config", "--list", "-z"])?))
}

fn judge(config: &Config) -> Finding {
    if config.get("filter.lob.process").is_none() && config.get("filter.lob.clean").is_none() {
        return Finding::wrong(
            "filter",
            "git does not know lob: files would be committed whole",
        )
        .remedy("lob install");
    }
    for (key, value) in FILTER {
        let found = config.get(key);
        if found == Some(value.as_bytes()) {
            continue;
        }
        let shown = found.map(|found| escape::text(found).to_string());
        let shown = shown.unwrap_or("not set".to_owned());
        let message = format!("{key} is {shown}, not {value}");
        // Without the merge driver only a conflict is harder to read.
        let finding = match key.starts_with("filter.") {
            true => Finding::wrong("filter", message),
            false => Finding::note("filter", message),
        };
        return finding.remedy("lob install --force, with --local if it is set in this repository");
    }
    Finding::ok("filter", "git calls lob")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn judged(change: impl Fn(&str, &str) -> Option<String>) -> Finding {
        let list = FILTER.iter().filter_map(|(key, value)| {
            let value = change(key, value)?;
            Some(format!("{key}\n{value}\0"))
        });
        judge(&Config::parse(list.collect::<String>().as_bytes()))
    }

    #[test]
    fn the_filter_is_judged_by_every_key() {
        assert_eq!(judged(|_, value| Some(value.to_owned())).state, State::Ok);
        let none = judged(|_, _| None);
        assert_eq!(none.state, State::Wrong);
        assert_eq!(none.remedy.as_deref(), Some("lob install"));
        for (changed, _) in FILTER {
            let other =
                judged(|key, value| Some(if key == *changed { "x" } else { value }.to_owned()));
            let state = match changed.starts_with("filter.") {
                true => State::Wrong,
                false => State::Note,
            };
            assert_eq!(other.state, state, "{changed}");
            assert!(other.message.starts_with(&format!("{changed} is x, not ")));
            let gone = judged(|key, value| (key != *changed).then(|| value.to_owned()));
            assert_eq!(gone.state, state, "{changed}");
        }
    }
}

//! The checks of the remotes: is a store there, and is it the one that was there before?

use super::Finding;
use crate::git::Repo;
use crate::remote::{self, Access, Remote};
use crate::sync::{self, Target};
use crate::ui::bytes::Size;

const CHECK: &str = "remote";

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let config = match repo.config() {
        Ok(config) => config,
        Err(error) => return vec![Finding::failed(CHECK, error)],
    };
    let names = config.remotes();
    if names.is_empty() {
        return vec![
            Finding::note(CHECK, "there is none: nothing is kept anywhere else")
                .remedy("git remote add origin URL"),
        ];
    }
    let names = names.into_iter().map(String::from_utf8_lossy);
    names.map(|name| judge(repo, &name)).collect()
}

fn judge(repo: &Repo, name: &str) -> Finding {
    let opened = Target::named(repo, name, Access::Read).and_then(|target| {
        let store = target.connect(repo, Access::Read)?;
        Ok((target, store))
    });
    let error = match opened {
        Ok((target, store)) => return describe(name, &target, store.as_ref()),
        Err(error) => error,
    };
    let is_new = matches!(error, sync::Error::Remote(remote::Error::NoStore(_)));
    let finding = Finding::failed(CHECK, error);
    let message = format!("{name}: {}", finding.message);
    match is_new {
        true => Finding::note(CHECK, message).remedy("the first push makes it"),
        false => Finding { message, ..finding },
    }
}

fn describe(name: &str, target: &Target, store: &dyn Remote) -> Finding {
    let place = target.describe();
    match store.free_space() {
        Ok(Some(free)) => Finding::ok(CHECK, format_args!("{name}: {place}, {} free", Size(free))),
        Ok(None) => Finding::ok(CHECK, format_args!("{name}: {place}")),
        Err(error) => Finding::failed(CHECK, error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::git::fixture::Fixture;
    use lob_store::Store;
    use lob_store::disk::OsDisk;
    use std::sync::Arc;

    fn checked(fixture: &Fixture) -> (State, String) {
        let findings = check(&fixture.repo());
        assert_eq!(findings.len(), 1, "{findings:?}");
        (findings[0].state, findings[0].message.clone())
    }

    #[test]
    fn each_remote_is_reached_and_recognised() {
        let (fixture, there) = (Fixture::new(), Fixture::bare());
        assert_eq!(checked(&fixture).0, State::Note);
        let url = there.path().to_str().unwrap();
        fixture.run(&["remote", "add", "origin", url]);
        let (state, message) = checked(&fixture);
        assert_eq!(state, State::Note, "{message}");
        assert!(
            message.starts_with("origin: there is no lob store"),
            "{message}"
        );
        Store::create(Arc::new(OsDisk), &there.path().join("lob")).unwrap();
        assert_eq!(checked(&fixture).0, State::Ok);
        let other = format!("{:064x}", 7);
        fixture
            .git()
            .set_config("remote.origin.lobStoreId", &other)
            .unwrap();
        let (state, message) = checked(&fixture);
        assert_eq!(state, State::Wrong, "{message}");
        assert!(message.contains(&other), "{message}");
    }

    #[test]
    fn a_place_that_is_not_there_is_wrong() {
        let fixture = Fixture::new();
        fixture.run(&["remote", "add", "origin", "/no/such/place"]);
        let (state, message) = checked(&fixture);
        assert_eq!(state, State::Wrong);
        assert!(message.starts_with("origin: "), "{message}");
    }
}

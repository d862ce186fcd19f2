use super::*;
use crate::git::fixture::Fixture;
use crate::remote;

fn fixture(settings: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::new();
    for (key, value) in settings {
        fixture.git().set_config(key, value).unwrap();
    }
    fixture
}

fn place(fixture: &Fixture, name: &str, access: Access) -> String {
    let target = Target::named(&fixture.repo(), name, access).unwrap();
    target.describe()
}

#[test]
fn a_store_is_configured_or_inside_the_git_remote() {
    let fixture = fixture(&[
        ("remote.origin.url", "file:///srv/a%20b.git"),
        ("remote.nas.url", "https://example.com/x.git"),
        ("remote.nas.lobUrl", "/mnt/nas"),
        ("remote.near.url", "../near.git"),
        ("remote.near.pushUrl", "/other.git"),
    ]);
    let top = fixture.path().display();
    for (name, access, expected) in [
        ("origin", Access::Read, "/srv/a b.git (lob/)".into()),
        ("nas", Access::Write, "/mnt/nas".into()),
        ("near", Access::Read, format!("{top}/../near.git (lob/)")),
        ("near", Access::Write, "/other.git (lob/)".into()),
        ("./usb", Access::Read, format!("{top}/./usb")),
        ("file:///usb", Access::Read, "/usb".into()),
    ] {
        assert_eq!(place(&fixture, name, access), expected, "{name}");
    }
    let unknown = Target::named(&fixture.repo(), "usb", Access::Read);
    assert!(matches!(unknown, Err(Error::UnknownRemote(_))));
}

#[test]
fn a_git_remote_of_another_transport_needs_a_store_of_its_own() {
    let fixture = fixture(&[("remote.origin.url", "git@example.com:x.git")]);
    let error = Target::named(&fixture.repo(), "origin", Access::Read).unwrap_err();
    let unsupported = matches!(&error, Error::Remote(remote::Error::Unsupported { .. }));
    assert!(unsupported, "{error}");
    assert!(error.hint().unwrap().contains("lobUrl"));
    let sources = Target::sources(&fixture.repo()).unwrap();
    assert_eq!(sources, [], "what cannot be reached is no source");
}

#[test]
fn urls_are_rewritten_as_git_does() {
    let fixture = fixture(&[
        ("remote.origin.url", "hub:team/x.git"),
        ("url./srv/.insteadOf", "hub:"),
        ("url./srv/team-files/.insteadOf", "hub:team/"),
        ("url./push/.pushInsteadOf", "hub:"),
    ]);
    for (access, expected) in [
        (Access::Read, "/srv/team-files/x.git (lob/)"),
        (Access::Write, "/push/team/x.git (lob/)"),
    ] {
        assert_eq!(place(&fixture, "origin", access), expected);
    }
    let git = fixture.run(&["remote", "get-url", "origin"]);
    assert_eq!(git.trim_end(), "/srv/team-files/x.git");
    let git = fixture.run(&["remote", "get-url", "--push", "origin"]);
    assert_eq!(git.trim_end(), "/push/team/x.git");
}

#[test]
fn the_default_remote_is_the_one_that_git_would_use() {
    let two = [("remote.a.url", "/a"), ("remote.b.url", "/b")];
    let default = |more: &[(&str, &str)], access| {
        let fixture = fixture(&[&two[..], more].concat());
        Target::default(&fixture.repo(), access).map(|target| target.name)
    };
    let read = |more: &[(&str, &str)]| default(more, Access::Read);
    assert!(matches!(read(&[]), Err(Error::NoRemote)));
    assert_eq!(read(&[("remote.origin.url", "/o")]).unwrap(), "origin");
    assert_eq!(read(&[("branch.main.remote", "b")]).unwrap(), "b");
    assert!(read(&[("branch.main.remote", ".")]).is_err());
    let settings = [("branch.main.remote", "b"), ("lob.remote", "a")];
    assert_eq!(read(&settings).unwrap(), "a");
    let push = [("branch.main.remote", "b"), ("remote.pushDefault", "a")];
    assert_eq!(default(&push, Access::Write).unwrap(), "a");
    assert_eq!(default(&push, Access::Read).unwrap(), "b");
}

#[test]
fn the_store_beside_git_is_in_the_directory_that_its_work_trees_share() {
    let fixture = fixture(&[]);
    fixture.commit("first");
    let linked = fixture.beside("linked");
    fixture.run(&["worktree", "add", "-q", linked.to_str().unwrap()]);
    let bare = fixture.beside("bare.git");
    fixture.run(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    let common = fixture.path().join(".git");
    for (path, expected) in [
        (fixture.path().to_path_buf(), Some(&common)),
        (common.clone(), Some(&common)),
        (linked, Some(&common)),
        (bare.clone(), Some(&bare)),
        (fixture.beside("bare"), Some(&bare)),
        (fixture.beside("nothing"), None),
        (fixture.path().join(".git/objects"), None),
    ] {
        let found = git_dir(&path).map(|dir| dir.canonicalize().unwrap());
        let expected = expected.map(|dir| dir.canonicalize().unwrap());
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[test]
fn a_remembered_store_is_expected_until_told_otherwise() {
    let fixture = fixture(&[("remote.origin.url", "/srv/x.git")]);
    let store = StoreId::from_bytes([5; 32]);
    let met = || {
        let repo = fixture.repo();
        let target = Target::named(&repo, "origin", Access::Read).unwrap();
        target.met(&repo).unwrap()
    };
    assert_eq!(met(), None);
    std::fs::create_dir(fixture.path().join(".git/lob")).unwrap();
    let state = State::of(&fixture.repo().lob_dir());
    Contacts::record(&state, "origin", "/srv/x.git (lob/)", store).unwrap();
    assert_eq!(met(), Some(store));
    let other = StoreId::from_bytes([6; 32]);
    for (value, expected) in [("none", None), (&other.to_string(), Some(other))] {
        fixture
            .git()
            .set_config("remote.origin.lobStoreId", value)
            .unwrap();
        assert_eq!(met(), expected);
    }
}

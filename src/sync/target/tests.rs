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
        (
            "origin",
            Access::Read,
            "lob/ in file:///srv/a%20b.git".into(),
        ),
        ("nas", Access::Write, "/mnt/nas".into()),
        ("near", Access::Read, "lob/ in ../near.git".into()),
        ("near", Access::Write, "lob/ in /other.git".into()),
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
    let fixture = fixture(&[("remote.origin.url", "git://example.com/x.git")]);
    let error = Target::named(&fixture.repo(), "origin", Access::Read).unwrap_err();
    let unsupported = matches!(&error, Error::Remote(remote::Error::Unsupported { .. }));
    assert!(unsupported, "{error}");
    assert!(error.hint().unwrap().contains("lobUrl"));
    let sources = Target::sources(&fixture.repo()).unwrap();
    assert_eq!(sources, [], "what cannot be reached is no source");
}

#[test]
fn a_git_remote_behind_ssh_or_http_has_its_store_behind_a_service() {
    let fixture = fixture(&[
        ("remote.far.url", "git@example.com:x.git"),
        ("remote.web.url", "https://me:secret@example.com/x.git"),
        ("remote.own.url", "git@example.com:x.git"),
        ("remote.own.lobUrl", "ssh://example.com/srv/lob"),
        ("remote.near.url", "/srv/x.git"),
        ("lob.remote", "far"),
    ]);
    let repo = fixture.repo();
    for (name, expected) in [
        ("far", "lob/ in git@example.com:x.git"),
        ("web", "lob/ in https://example.com/x.git"),
        ("own", "ssh://example.com/srv/lob"),
        ("https://example.com/y", "https://example.com/y"),
    ] {
        let target = Target::named(&repo, name, Access::Read).unwrap();
        assert_eq!(target.describe(), expected);
        let error = target.open(&repo).unwrap_err();
        assert!(
            matches!(&error, Error::Remote(remote::Error::NoFiles(_))),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
    let sources = Target::sources(&repo).unwrap();
    let names: Vec<&str> = sources.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(
        names,
        ["near", "far", "web", "own"],
        "what is here costs less"
    );
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
    Contacts::record(&state, "origin", "lob/ in /srv/x.git", store).unwrap();
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

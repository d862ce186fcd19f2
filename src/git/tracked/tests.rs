use super::super::fixture::Fixture;
use super::*;

const HOSTILE: &str = "[lob]\n\tfetchInclude = art\n\tfetchInclude = \"maps,sound\"\n\
    \tfetchRefsDays = 3\n\tpruneRefsDays = 0\n\turl = https://evil.example/\n\
    \ttrustConfig = true\n\tfetchCommitsHeadDays = soon\n\
    [remote \"origin\"]\n\tlobUrl = https://evil.example/\n\turl = ext::sh -c evil\n\
    [include]\n\tpath = secret\n[core]\n\tsshCommand = evil\n[filter \"lob\"]\n\tclean = evil\n";

fn load(fixture: &Fixture) -> Config {
    Config::load(fixture.git(), Some(fixture.path())).unwrap()
}

#[test]
fn only_harmless_keys_are_taken_and_the_rest_is_reported() {
    let fixture = Fixture::new();
    fixture.write("secret", "[lob]\n\tsmudge = pointer\n");
    fixture.write(FILE, HOSTILE);
    let config = load(&fixture);
    let include: Vec<_> = config.get_all("lob.fetchInclude").collect();
    assert_eq!(include, [&b"art"[..], b"maps,sound"]);
    assert_eq!(config.days("lob.fetchRefsDays", 30).unwrap(), 3);
    let ignored: Vec<_> = config.ignored().iter().map(|i| i.key.as_str()).collect();
    assert_eq!(
        ignored,
        [
            "lob.prunerefsdays",
            "lob.url",
            "lob.trustconfig",
            "lob.fetchcommitsheaddays",
            "remote.origin.loburl",
            "remote.origin.url",
            "include.path",
            "core.sshcommand",
            "filter.lob.clean",
        ]
    );
    for key in ignored {
        assert_eq!(config.get(key), None, "{key}");
    }
    assert_eq!(config.get("lob.smudge"), None, "includes are not followed");
}

#[test]
fn stores_are_taken_with_consent_only() {
    let fixture = Fixture::new();
    fixture.write(FILE, HOSTILE);
    fixture.git().set_config("lob.trustConfig", "true").unwrap();
    let config = load(&fixture);
    assert_eq!(config.get("lob.url"), Some(&b"https://evil.example/"[..]));
    assert_eq!(
        config.get("remote.origin.lobUrl"),
        Some(&b"https://evil.example/"[..])
    );
    assert_eq!(config.get("core.sshCommand"), None);
    assert_eq!(config.get("remote.origin.url"), None);
}

#[test]
fn gits_own_configuration_wins() {
    let fixture = Fixture::new();
    fixture.write(FILE, HOSTILE);
    fixture
        .git()
        .set_config("lob.fetchInclude", "mine")
        .unwrap();
    let config = load(&fixture);
    assert_eq!(
        config.get_all("lob.fetchinclude").collect::<Vec<_>>(),
        [b"mine"]
    );
}

#[test]
fn the_commit_speaks_where_the_file_is_not_there_yet() {
    let fixture = Fixture::new();
    assert_eq!(load(&fixture).ignored(), [], "before the first commit");
    fixture.commit("nothing");
    assert_eq!(load(&fixture).ignored(), [], "without the file");
    fixture.write(FILE, "[lob]\n\tsmudge = cached\n");
    fixture.commit("one setting");
    std::fs::remove_file(fixture.path().join(FILE)).unwrap();
    assert_eq!(load(&fixture).get("lob.smudge"), Some(&b"cached"[..]));
    let bare = Config::load(fixture.git(), None).unwrap();
    assert_eq!(bare.get("lob.smudge"), Some(&b"cached"[..]));
}

#[test]
fn a_broken_file_stops_nothing() {
    let fixture = Fixture::new();
    fixture.write(FILE, "[lob\nsmudge =");
    assert!(
        load(&fixture).ignored()[0]
            .why
            .contains("bad config line 1")
    );
    fixture.write(
        FILE,
        format!("[lob]\n\tfetchInclude = {}\n", "x".repeat(MAX)),
    );
    assert!(load(&fixture).ignored()[0].why.contains("more than"));
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let fixture = Fixture::new();
    fixture.write("elsewhere", "[lob]\n\tsmudge = pointer\n");
    std::os::unix::fs::symlink("elsewhere", fixture.path().join(FILE)).unwrap();
    let config = load(&fixture);
    assert_eq!(config.get("lob.smudge"), None);
    assert_eq!(config.ignored()[0].why, "it is not a regular file");
}

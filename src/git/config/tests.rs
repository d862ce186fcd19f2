use super::super::fixture::Fixture;
use super::*;

fn config(list: &str) -> Config {
    Config::parse(list.as_bytes())
}

#[test]
fn sections_ignore_case_and_subsections_do_not() {
    let config = config("remote.My.Fork.url\nx\0lob.fetchrefsdays\n3\0");
    assert_eq!(config.get("Remote.My.Fork.URL"), Some(&b"x"[..]));
    assert_eq!(config.get("remote.my.fork.url"), None);
    assert_eq!(config.get("LOB.fetchRefsDays"), Some(&b"3"[..]));
}

#[test]
fn the_last_value_wins_and_all_are_kept() {
    let config = config("a.b\n1\0a.b\n2\nlines\0a.c\0");
    assert_eq!(config.get("a.b"), Some(&b"2\nlines"[..]));
    assert_eq!(
        config.get_all("a.b").collect::<Vec<_>>(),
        [&b"1"[..], b"2\nlines"]
    );
    assert_eq!(config.get("a.c"), Some(&b""[..]));
    assert_eq!(config.keys().collect::<Vec<_>>(), [b"a.b", b"a.c"]);
}

#[test]
fn values_mean_what_they_mean_to_git() {
    let fixture = Fixture::new();
    for (value, truth, number) in [
        ("true", Some(true), None),
        ("YES", Some(true), None),
        ("on", Some(true), None),
        ("off", Some(false), None),
        ("no", Some(false), None),
        ("", Some(false), None),
        ("0", Some(false), Some(0)),
        ("-2", Some(true), Some(-2)),
        ("3k", Some(true), Some(3072)),
        ("2M", Some(true), Some(2 << 20)),
        ("1g", Some(true), Some(1 << 30)),
        ("1.5k", None, None),
        ("maybe", None, None),
    ] {
        let ask = |kind: &str| {
            let setting = format!("lob.x={value}");
            let args = ["-c", &setting, "config", "--get", kind, "lob.x"];
            let answer = fixture.git().output(args).ok()?;
            Some(String::from_utf8(answer).unwrap().trim_end().to_string())
        };
        let config = config(&format!("lob.x\n{value}\0"));
        assert_eq!(config.bool("lob.x", false).ok(), truth, "{value:?}");
        assert_eq!(
            ask("--type=bool"),
            truth.map(|t| t.to_string()),
            "{value:?}"
        );
        assert_eq!(config.int("lob.x").ok().flatten(), number, "{value:?}");
        // Git takes the empty value for a number error, as we do.
        assert_eq!(
            ask("--type=int"),
            number.map(|n| n.to_string()),
            "{value:?}"
        );
    }
    assert!(config("lob.x\0").bool("lob.x", false).unwrap());
    assert!(config("").bool("lob.x", true).unwrap());
    assert_eq!(config("").int("lob.x").unwrap(), None);
    assert!(config("lob.x\n-1\0").days("lob.x", 3).is_err());
    assert!(config("lob.x\n4294967296\0").days("lob.x", 3).is_err());
    assert_eq!(config("").days("lob.x", 3).unwrap(), 3);
}

#[test]
fn an_error_names_key_and_value() {
    let error = config("lob.fetchrefsdays\nsoon\0")
        .days("lob.fetchRefsDays", 1)
        .unwrap_err();
    let text = "bad value \"soon\" of lob.fetchRefsDays: expected a number of days";
    assert_eq!(error.to_string(), text);
    assert!(
        error
            .hint()
            .unwrap()
            .contains("--show-origin lob.fetchRefsDays")
    );
}

#[test]
fn remotes_are_those_with_a_url() {
    let config = config(
        "remote.origin.url\na\0remote.all.prune\ntrue\0remote.a.b.url\nc\0\
         remote.pushdefault\nx\0remote.origin.url\nd\0",
    );
    assert_eq!(config.remotes(), [&b"origin"[..], b"a.b"]);
}

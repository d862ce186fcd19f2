use super::*;

fn settings(list: &str) -> Result<Settings> {
    let list = list.replace('=', "\n").replace(' ', "\0");
    Settings::with(&Config::parse(list.as_bytes()), None)
}

#[test]
fn defaults_are_those_of_2015() {
    let settings = settings("").unwrap();
    let window = Window {
        refs_days: 30,
        head_days: 7,
        other_days: 0,
    };
    assert_eq!((settings.fetch, settings.prune), (window, window));
    assert_eq!(settings.smudge, Smudge::Fetch);
    assert_eq!(settings.populate, Populate::AtLeast(32 << 20));
    assert_eq!(
        (settings.remote, settings.url, settings.bwlimit),
        (None, None, None)
    );
    assert!(settings.fetch_include.is_empty() && settings.fetch_exclude.is_empty());
}

#[test]
fn values_are_read() {
    let settings = settings(
        "lob.smudge=Cached lob.populate=1m lob.fetchinclude=a,,b lob.fetchinclude=/c/ \
         lob.fetchexclude=d lob.remote=up lob.bwlimit=2k lob.url=file:///x",
    )
    .unwrap();
    assert_eq!(settings.smudge, Smudge::Cached);
    assert_eq!(settings.populate, Populate::AtLeast(1 << 20));
    assert_eq!(settings.fetch_include, ["a", "b", "/c/"]);
    assert_eq!(settings.fetch_exclude, ["d"]);
    assert_eq!(settings.remote.as_deref(), Some("up"));
    assert_eq!(settings.url.as_deref(), Some("file:///x"));
    assert_eq!(settings.bwlimit, Some(2048));
}

#[test]
fn populate_takes_words_and_sizes() {
    for (value, populate) in [
        ("true", Populate::DEFAULT),
        ("off", Populate::Never),
        ("0", Populate::AtLeast(0)),
        ("1", Populate::AtLeast(1)),
        ("1g", Populate::AtLeast(1 << 30)),
    ] {
        let found = settings(&format!("lob.populate={value}")).unwrap().populate;
        assert_eq!(found, populate, "{value}");
    }
    assert_eq!(
        settings("lob.populate").unwrap().populate,
        Populate::DEFAULT
    );
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    for (setting, key) in [
        ("lob.smudge=sometimes", "lob.smudge"),
        ("lob.populate=some", "lob.populate"),
        ("lob.populate=-1", "lob.populate"),
        ("lob.bwlimit=-1", "lob.bwlimit"),
        ("lob.fetchrefsdays=-1", "lob.fetchRefsDays"),
        ("lob.fetchinclude=a,b[", "lob.fetchInclude"),
        (
            "lob.fetchrefsdays=x lob.fetchrefsdays=1",
            "lob.fetchRefsDays",
        ),
    ] {
        let error = settings(setting).unwrap_err().to_string();
        assert!(error.contains(key), "{setting}: {error}");
    }
}

#[test]
fn the_prune_window_covers_the_fetch_window() {
    let wide = settings("lob.fetchrefsdays=90 lob.fetchcommitsotherdays=5").unwrap();
    assert_eq!((wide.prune.refs_days, wide.prune.other_days), (90, 5));
    let error = settings("lob.fetchrefsdays=90 lob.prunerefsdays=60").unwrap_err();
    assert_eq!(
        error.to_string(),
        "lob.pruneRefsDays is 60 and lob.fetchRefsDays is 90: what was fetched would be pruned"
    );
    assert!(settings("lob.prunecommitsheaddays=6").is_err());
    assert_eq!(
        settings("lob.prunerefsdays=31").unwrap().prune.refs_days,
        31
    );
}

#[test]
fn the_environment_skips_smudging() {
    let config = Config::parse(b"lob.smudge\nfetch\0");
    let smudge = |value: &str| {
        Settings::with(&config, Some(value.as_ref()))
            .unwrap()
            .smudge
    };
    assert_eq!(smudge("1"), Smudge::Pointer);
    assert_eq!(smudge("true"), Smudge::Pointer);
    assert_eq!(smudge("please"), Smudge::Pointer);
    assert_eq!(smudge("0"), Smudge::Fetch);
    assert_eq!(smudge(""), Smudge::Fetch);
}

#[test]
fn a_remote_has_its_own_store_or_the_common_one() {
    let config = Config::parse(b"remote.a.loburl\nx\0lob.url\ny\0");
    assert_eq!(lob_url(&config, "a").unwrap(), Some("x"));
    assert_eq!(lob_url(&config, "b").unwrap(), Some("y"));
    assert_eq!(lob_url(&Config::default(), "b").unwrap(), None);
}

#[test]
fn every_default_is_a_value_of_its_kind() {
    for key in KEYS.iter().filter(|key| !key.default.contains(' ')) {
        if !key.default.is_empty() {
            key.kind
                .check(key.name, Some(key.default.as_bytes()))
                .unwrap();
        }
        assert!(
            !key.doc.ends_with('.') && !key.doc.contains('\n'),
            "{}",
            key.name
        );
    }
}

#[test]
fn a_path_is_absolute_or_begins_with_a_home() {
    for (value, good) in [
        ("/a b", true),
        ("~/a", true),
        ("~ann/a", true),
        ("%(prefix)/a", true),
        ("", true),
        ("a", false),
        ("./a", false),
        ("-a", false),
    ] {
        let checked = Kind::Path.check("lob.store", Some(value.as_bytes()));
        assert_eq!(checked.is_ok(), good, "{value}");
    }
    assert!(Kind::Path.check("lob.store", Some(b"/\xff")).is_err());
    assert!(Kind::Path.check("lob.store", None).is_err());
}

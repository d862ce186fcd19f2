use proptest::prelude::*;

use super::super::fixture::Fixture;
use super::*;

const PSD: &str = "*.psd filter=lob diff=lob merge=lob -text -delta\n";

fn tracked(text: &str, pattern: &str) -> String {
    let mut file = Attributes {
        path: PathBuf::new(),
        text: text.into(),
    };
    let changed = file.track(pattern.as_bytes()).unwrap();
    assert_eq!(changed, file.text != text.as_bytes());
    let once = file.text.clone();
    assert!(!file.track(pattern.as_bytes()).unwrap(), "a second time");
    assert_eq!(file.text, once);
    String::from_utf8(file.text).unwrap()
}

fn untracked(text: &str, pattern: &str) -> String {
    let mut file = Attributes {
        path: PathBuf::new(),
        text: text.into(),
    };
    file.untrack(pattern.as_bytes());
    assert!(!file.untrack(pattern.as_bytes()), "a second time");
    String::from_utf8(file.text).unwrap()
}

fn lobs(fixture: &Fixture, paths: &[&str]) -> Vec<bool> {
    is_lob(fixture.git(), paths.iter().map(|path| path.as_bytes())).unwrap()
}

#[test]
fn a_pattern_is_added_once_and_the_rest_stays() {
    assert_eq!(tracked("", "*.psd"), PSD);
    assert_eq!(tracked(PSD, "*.psd"), PSD);
    let rest = "# a comment\r\n\r\n  *.txt\ttext eol=crlf  \r\nlast -diff\r\n";
    let crlf = PSD.replace('\n', "\r\n");
    assert_eq!(tracked(rest, "*.psd"), format!("{rest}{crlf}"));
    assert_eq!(tracked("*.txt text", "*.psd"), format!("*.txt text\n{PSD}"));
    let bom = format!("\u{feff}{PSD}");
    assert_eq!(tracked(&bom, "*.psd"), bom);
}

#[test]
fn a_line_that_means_something_else_is_overruled_not_changed() {
    for line in [
        "*.psd filter=lfs diff=lfs merge=lfs -text\n",
        "*.psd -filter\n",
        "*.psd filter=lob\n",
        "*.psd lockable\n",
        "# *.psd filter=lob diff=lob merge=lob -text -delta\n",
        "[attr]x filter=lob diff=lob merge=lob -text -delta\n",
    ] {
        assert_eq!(tracked(line, "*.psd"), format!("{line}{PSD}"));
    }
    let off = format!("{PSD}*.psd !filter\n");
    assert_eq!(tracked(&off, "*.psd"), format!("{off}{PSD}"));
    let more = "*.psd   lockable -text diff=lob  merge=lob filter=lob\n";
    assert_eq!(tracked(more, "*.psd"), more);
}

#[test]
fn untracking_takes_away_what_tracking_added() {
    assert_eq!(untracked(PSD, "*.psd"), "");
    assert_eq!(untracked(PSD, "*.psb"), PSD);
    let around = format!("a text\r\n{PSD}\nb text");
    assert_eq!(untracked(&around, "*.psd"), "a text\r\n\nb text");
    let more = "  \"*.psd\"\tfilter=lob  lockable diff=lob merge=lob -text -delta\r\n";
    assert_eq!(untracked(more, "*.psd"), "  \"*.psd\"\tlockable\r\n");
    let lfs = "*.psd filter=lfs diff=lfs merge=lfs -text\n";
    assert_eq!(untracked(lfs, "*.psd"), lfs);
}

#[test]
fn tracking_everything_leaves_gits_own_files_to_git() {
    let all = "* filter=lob diff=lob merge=lob -text -delta\n\
        .git* !filter !diff !merge !text !delta\n\
        .lobconfig !filter !diff !merge !text !delta\n\
        .mailmap !filter !diff !merge !text !delta\n";
    assert_eq!(tracked("", "*"), all);
    assert_eq!(untracked(all, "*"), "");
    let both = tracked(all, "art/**");
    assert_eq!(
        both.matches(".lobconfig").count(),
        2,
        "behind the last one again:\n{both}"
    );
    assert_eq!(
        tracked(all, "*.psd"),
        format!("{all}{PSD}"),
        "which catches none of them"
    );
    assert_eq!(untracked(&both, "*").matches(".lobconfig").count(), 2);

    let fixture = Fixture::new();
    for (dir, pattern) in [
        ("", "*"),
        ("a/b", "**"),
        ("c", "/*.*"),
        ("d", "x/**"),
        ("e", ".*"),
    ] {
        let dir = fixture.path().join(dir);
        fs::create_dir_all(&dir).unwrap();
        let mut file = Attributes::open(&dir).unwrap();
        file.track(pattern.as_bytes()).unwrap();
        file.save().unwrap();
    }
    for dir in [
        "", "a/", "a/b/", "a/b/x/", "c/", "d/", "d/x/", "d/x/y/", "e/",
    ] {
        let own = [
            ".gitattributes",
            ".gitignore",
            ".gitmodules",
            ".lobconfig",
            ".mailmap",
        ];
        let paths = own.map(|name| format!("{dir}{name}"));
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        assert_eq!(lobs(&fixture, &paths), [false; 5], "{dir:?}");
        let text = check(fixture.git(), "text", paths.iter().map(|p| p.as_bytes())).unwrap();
        assert!(text.iter().all(|state| *state == Attribute::Unspecified));
        assert_eq!(
            lobs(&fixture, &[&format!("{dir}file.bin")]),
            [true],
            "{dir:?}"
        );
    }
}

#[test]
fn git_reads_what_is_written() {
    let fixture = Fixture::new();
    let mut file = Attributes::open(fixture.path()).unwrap();
    let names = [
        "sp ace.bin",
        "\"quoted\"",
        "#sharp",
        "tab\there",
        "caf\u{e9}",
        "[a]*?\\",
        "!no",
    ];
    for name in names {
        assert_eq!(lobs(&fixture, &[name]), [false]);
        assert!(file.track(&literal(name.as_bytes())).unwrap());
    }
    for pattern in ["*.a b", "#*", "\"*", "\\!*"] {
        assert!(file.track(pattern.as_bytes()).unwrap());
        assert!(!file.track(pattern.as_bytes()).unwrap(), "{pattern}");
    }
    file.save().unwrap();
    assert_eq!(lobs(&fixture, &names), [true; 7]);
    assert_eq!(
        lobs(&fixture, &["x/y.a b", "x/#1", "x/\"1", "x/!1"]),
        [true; 4]
    );
    assert_eq!(
        lobs(&fixture, &["x/sp ace.bin", "a", "[a]xy\\"]),
        [false; 3],
        "literally"
    );
    let file = Attributes::open(fixture.path()).unwrap();
    assert_eq!(file.patterns().len(), 11);
}

/// Git ignores a line with a bad name in it, cuts one off at a NUL, knows four blanks, and lets the
/// last word about an attribute win.
#[test]
fn odd_lines_mean_what_they_mean_to_git() {
    let fixture = Fixture::new();
    let long = format!("a filter=lob{}\n", " x".repeat(1020));
    let longer = format!("a filter=lob{}\r\n", " x".repeat(1017));
    let lines: [(&[u8], bool); 16] = [
        (b"a filter=lob\n", true),
        (b"a filter=lob -filter\n", false),
        (b"a -filter filter=lfs filter=lob", true),
        (b"a filter=lob a!b\n", false),
        (b"a filter=lob =x\n", false),
        (b"a filter=lob --x\n", false),
        (b"a filter=lob\0-filter\n", true),
        (b"a\0 filter=lob\n", false),
        (b"a filter=lob\x0c\n", false),
        (b"\x0ca filter=lob\n", false),
        (b"a\x0bx filter=lob\n", false),
        (b"a filter=lob \r\r\n", true),
        (b"\"a\"filter=lob\n", true),
        (b"\"a\\000b\" filter=lob\n", true),
        (long.as_bytes(), false),
        (longer.as_bytes(), true),
    ];
    for (at, (line, _)) in lines.iter().enumerate() {
        let dir = fixture.path().join(at.to_string());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(FILE), line).unwrap();
        let told = lobs(&fixture, &[&format!("{at}/a")]);
        let file = Attributes::open(&dir).unwrap();
        let ours = file.patterns().iter().any(|pattern| pattern == b"a");
        let line = line.escape_ascii();
        assert_eq!((told[0], ours), (lines[at].1, lines[at].1), "{line}");
    }
}

#[test]
fn patterns_that_git_would_not_understand_are_refused() {
    let long = "x".repeat(2048);
    for (pattern, why) in [
        ("", "not empty"),
        ("a\0b", "NUL"),
        ("!a", "negate"),
        ("assets/", "add `**`"),
        ("[attr]x", "macro"),
        (long.as_str(), "too long"),
    ] {
        let error = check_pattern(pattern.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn an_empty_file_is_removed_and_a_link_is_refused() {
    let fixture = Fixture::new();
    let mut file = Attributes::open(fixture.path()).unwrap();
    file.save().unwrap();
    file.track(b"*.psd").unwrap();
    file.save().unwrap();
    assert_eq!(fs::read(file.path()).unwrap(), PSD.as_bytes());
    file.untrack(b"*.psd");
    file.save().unwrap();
    assert!(!file.path().exists());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("elsewhere", file.path()).unwrap();
        let error = Attributes::open(fixture.path()).unwrap_err();
        assert!(matches!(error, GitError::NotAFile(_)), "{error}");
    }
}

#[test]
fn rules_are_listed_from_everywhere() {
    let fixture = Fixture::new();
    fixture.write(FILE, format!("# lobs\n*.txt text\n{PSD}"));
    fixture.write("b/deep/.gitattributes", "*.psd -filter\n");
    fixture.write("a/.gitattributes", "*.bin filter=lob\n");
    fixture.write(".git/info/attributes", "*.iso filter=lfs\n");
    fixture.write("skip/.gitattributes", "* filter=lob\n");
    fixture.write(".gitignore", "skip/\n");
    fixture.run(&["add", "a"]);
    let repo = fixture.repo();
    let rules = list(&repo).unwrap();
    let found: Vec<_> = rules
        .iter()
        .map(|rule| (rule.file.to_str().unwrap(), rule.line, rule.is_lob))
        .collect();
    let info = repo.common_dir().join("info/attributes");
    assert_eq!(
        found,
        [
            (".gitattributes", 3, true),
            ("a/.gitattributes", 1, true),
            ("b/deep/.gitattributes", 1, false),
            (info.to_str().unwrap(), 1, false),
        ]
    );
    assert_eq!(rules[0].pattern, b"*.psd");
}

#[test]
fn attributes_of_many_paths_are_checked_in_order() {
    let fixture = Fixture::new();
    fixture.write(FILE, "*.a text\n*.b -text\n*.c text=auto\n");
    let paths: Vec<_> = (0..70_000)
        .map(|i| format!("dir {i}\n/x.{}", ["a", "b", "c", "d"][i % 4]).into_bytes())
        .collect();
    let states = check(fixture.git(), "text", paths.iter().map(Vec::as_slice)).unwrap();
    let auto = Attribute::Is(b"auto".to_vec());
    let cycle = [
        Attribute::Set,
        Attribute::Unset,
        auto,
        Attribute::Unspecified,
    ];
    assert_eq!(states.len(), paths.len());
    assert!(states.iter().zip(cycle.iter().cycle()).all(|(a, b)| a == b));
    assert_eq!(check(fixture.git(), "text", []).unwrap(), []);
}

proptest! {
    #[test]
    fn tracking_and_untracking_keep_every_other_line(
        lines in prop::collection::vec("[a-z *\"#!\\[\\]=\\\\-]{0,12}", 0..6),
        crlf: bool, last: bool, pattern in "[a-z* \"#\\\\]{1,8}",
    ) {
        let newline = if crlf { "\r\n" } else { "\n" };
        let mut text = lines.join(newline);
        if last && !text.is_empty() {
            text.push_str(newline);
        }
        let mut file = Attributes { path: PathBuf::new(), text: text.clone().into() };
        file.track(pattern.as_bytes()).unwrap();
        prop_assert!(file.text.starts_with(text.as_bytes()));
        prop_assert!(file.patterns().contains(&pattern.as_bytes().to_vec()));
        file.untrack(pattern.as_bytes());
        let left = String::from_utf8(file.text).unwrap();
        prop_assert_eq!(left.trim_end_matches(['\r', '\n']), text.trim_end_matches(['\r', '\n']));
    }

    #[test]
    fn any_file_is_its_lines(text: Vec<u8>) {
        let joined: Vec<u8> = Line::all(&text).iter().flat_map(|line| line.raw()).copied().collect();
        prop_assert_eq!(joined, text);
    }
}

//! The figures of the programme as docs/reliability.md shows them, one row for each thing that was
//! counted.
//!
//! `LOB_UPDATE_FIGURES=FOLDER` takes in what suites have left there ([`super::report`]); an empty
//! value only adds a row "not run" for each suite that has none.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::fuzz::TARGETS;

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";
const HEAD: &str = "| suite | what | count | date | commit |\n|---|---|--:|---|---|\n";
const NOT_RUN: &str = "not run";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    suite: String,
    /// What was counted, or that nothing was.
    what: String,
    count: Option<u64>,
    date: String,
    commit: String,
}

impl Row {
    fn not_run(suite: &str) -> Row {
        Row {
            suite: suite.into(),
            what: NOT_RUN.into(),
            count: None,
            date: String::new(),
            commit: String::new(),
        }
    }

    fn parse(line: &str) -> Option<Row> {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<_> = cells.split('|').map(str::trim).collect();
        let [suite, what, count, date, commit] = *cells.as_slice() else {
            return None;
        };
        let is_date = date.len() == 10 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let is_commit = commit.len() >= 7 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        let row = Row {
            suite: suite.into(),
            what: what.into(),
            count: count.replace(',', "").parse().ok(),
            date: date.into(),
            commit: commit.into(),
        };
        let is_run = is_date && is_commit && row.count.is_some() && !what.is_empty();
        (is_run || row == Row::not_run(suite)).then_some(row)
    }

    fn print(&self) -> String {
        let count = self.count.map(grouped).unwrap_or_default();
        let Row {
            suite,
            what,
            date,
            commit,
            ..
        } = self;
        format!("| {suite} | {what} | {count} | {date} | {commit} |\n")
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.into_iter().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// What stands before the table, its rows, and what follows.
fn parse(page: &str) -> Result<(&str, Vec<Row>, &str), String> {
    let (before, rest) = page.split_once(BEGIN).ok_or("no mark before the table")?;
    let (table, after) = rest.split_once(END).ok_or("no mark after the table")?;
    let lines = table
        .strip_prefix(HEAD)
        .ok_or("another head of the table")?;
    let row = |line: &str| Row::parse(line).ok_or(format!("no row: {line}"));
    let rows: Result<Vec<_>, _> = lines.lines().map(row).collect();
    Ok((before, rows?, after))
}

fn print(before: &str, rows: &[Row], after: &str) -> String {
    let mut page = format!("{before}{BEGIN}{HEAD}");
    for row in rows {
        page.push_str(&row.print());
    }
    let _ = write!(page, "{END}{after}");
    page
}

/// Puts new rows in the place of all that their suites had, in the order of the suites; adds those
/// of `suites` that have none.
fn fold(rows: Vec<Row>, new: Vec<Row>, suites: &BTreeSet<String>) -> Vec<Row> {
    let renewed: BTreeSet<_> = new.iter().map(|row| row.suite.clone()).collect();
    let kept = rows
        .into_iter()
        .filter(|row| !renewed.contains(&row.suite) && suites.contains(&row.suite));
    let mut rows: Vec<_> = kept.chain(new).collect();
    for suite in suites {
        if !rows.iter().any(|row| row.suite == *suite) {
            rows.push(Row::not_run(suite));
        }
    }
    // Within a suite in the order in which it tells them.
    rows.sort_by(|a, b| a.suite.cmp(&b.suite));
    rows
}

/// What suites have left in a folder.
fn reports(folder: &Path, date: &str, commit: &str) -> Vec<Row> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("tsv".as_ref()))
        .collect();
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        for line in fs::read_to_string(&file).unwrap().lines() {
            let [suite, what, count] = *line.split('\t').collect::<Vec<_>>() else {
                panic!("{}: {line}", file.display());
            };
            rows.push(Row {
                suite: suite.into(),
                what: what.into(),
                count: Some(count.parse().unwrap()),
                date: date.into(),
                commit: commit.into(),
            });
        }
    }
    rows
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The names under which suites report, as their sources have them; and the fuzzers.
fn suites() -> BTreeSet<String> {
    let mut suites: BTreeSet<_> = TARGETS.iter().map(|(name, _)| fuzzer(name)).collect();
    for entry in ignore::Walk::new(top().join("tests/trials")) {
        let path = entry.unwrap().into_path();
        if path.extension() != Some("rs".as_ref()) {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        for (at, call) in text.match_indices(concat!("report", "(")) {
            let rest = text[at + call.len()..].trim_start();
            let name = rest
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next());
            suites.extend(name.map(str::to_owned));
        }
    }
    suites
}

/// The name of the suite that is the fuzzer of a target.
fn fuzzer(target: &str) -> String {
    format!("fuzzer {target}")
}

#[test]
fn the_page_shows_every_suite() {
    let path = top().join("docs/reliability.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rows, after) = parse(&page).unwrap();
    let mut folded = Vec::new();
    if let Some(folder) = std::env::var_os("LOB_UPDATE_FIGURES") {
        if !folder.is_empty() {
            let told = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
            let (date, commit) = (told("LOB_TIER_DATE"), told("LOB_TIER_COMMIT"));
            folded = reports(Path::new(&folder), &date, &commit);
        }
        let rows = fold(rows, folded, &suites());
        let page = print(before, &rows, after);
        parse(&page).unwrap();
        fs::write(&path, page).unwrap();
        return;
    }
    let shown: BTreeSet<_> = rows.iter().map(|row| row.suite.clone()).collect();
    assert_eq!(
        shown,
        suites(),
        "run: LOB_UPDATE_FIGURES= cargo test --test integration trials::figures"
    );
    assert_eq!(fold(rows.clone(), Vec::new(), &suites()), rows);
}

#[test]
fn new_figures_take_the_place_of_those_of_their_suite() {
    let row = |suite: &str, what: &str, count| Row {
        suite: suite.into(),
        what: what.into(),
        count: Some(count),
        date: "2026-01-02".into(),
        commit: "0123abc".into(),
    };
    let suites = ["a", "b", "c"].map(String::from).into();
    let old = vec![
        row("a", "x", 1),
        row("a", "y", 2),
        row("b", "x", 3),
        row("gone", "x", 4),
    ];
    let new = vec![row("a", "z", 1_234_567)];
    let folded = fold(old, new, &suites);
    let expected = [
        row("a", "z", 1_234_567),
        row("b", "x", 3),
        Row::not_run("c"),
    ];
    assert_eq!(folded, expected);
    let page = print("before\n", &folded, "after\n");
    assert!(
        page.contains("| a | z | 1,234,567 | 2026-01-02 | 0123abc |\n"),
        "{page}"
    );
    assert!(page.contains("| c | not run |  |  |  |\n"), "{page}");
    assert_eq!(parse(&page), Ok(("before\n", folded, "after\n")));
    for bad in [
        "| a | z | | 2026-01-02 | 0123abc |",
        "| a | z | 1 | soon | 0123abc |",
        "| a |",
    ] {
        assert_eq!(Row::parse(bad), None, "{bad}");
    }
}

#[test]
fn what_suites_leave_is_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.tsv"), "a\tx\t1\na\ty\t2\n").unwrap();
    fs::write(dir.path().join("other"), "x").unwrap();
    let rows = reports(dir.path(), "2026-01-02", "0123abc");
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.what.as_str(), row.count))
        .collect();
    assert_eq!(told, [("x", Some(1)), ("y", Some(2))]);
}

//! What the documents say must be so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::hold;
use super::source::{Source, rust, sources, top};

#[test]
fn links_between_documents_hold() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.path.ends_with(".md"))
    {
        let place = top().join(&source.path);
        let folder = place.parent().unwrap_or(Path::new("."));
        for (at, _) in source.text.match_indices("](") {
            let link: String = source.text[at + 2..]
                .chars()
                .take_while(|c| *c != ')')
                .collect();
            let target = link.split('#').next().unwrap_or_default();
            let is_ours = !target.is_empty() && !target.contains("://");
            if is_ours && !folder.join(target).exists() {
                found.push(format!("{}: {link}", source.path));
            }
        }
    }
    hold("links between documents hold", &found);
}

/// Whether a source has this test or module, named by the end of its path.
fn is_there(source: &Source, name: &str) -> bool {
    let path = source.path.trim_end_matches(".rs");
    let place: BTreeSet<_> = path.split('/').collect();
    let mut words: Vec<_> = name.split("::").collect();
    let last = words.pop().unwrap_or_default();
    let is_function = source.tests().contains(&format!("fn {last}("));
    words.iter().all(|word| place.contains(word)) && (is_function || path.ends_with(last))
}

#[test]
fn tests_that_the_pages_name_are_there() {
    let sources = rust();
    let mut found = Vec::new();
    let mut count = 0;
    for page in ["docs/reliability.md", "docs/security.md"] {
        let text = fs::read_to_string(top().join(page)).unwrap();
        let names = text
            .split('`')
            .filter(|word| word.contains("::") && !word.contains(char::is_whitespace));
        for name in names {
            count += 1;
            if !sources.iter().any(|source| is_there(source, name)) {
                found.push(format!("{page}: {name}"));
            }
        }
    }
    hold("tests that the pages name are there", &found);
    assert!(count > 20, "only {count} tests are named");
}

/// The promises as docs/architecture.md lists them, and whether each is marked as not yet built.
fn promises() -> Vec<(String, bool)> {
    let page = fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix("- **P"));
    lines
        .map(|line| {
            let number: String = line.chars().take_while(char::is_ascii_digit).collect();
            (format!("P{number}"), line.contains("(not yet built)"))
        })
        .collect()
}

/// The numbers with which the name of a function begins: `P2 P5`.
fn numbers(function: &str) -> String {
    let is_number = |word: &&str| {
        let digits = word.strip_prefix('p').unwrap_or_default();
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
    };
    let words = function.split('_').take_while(is_number);
    words.collect::<Vec<_>>().join(" ").to_ascii_uppercase()
}

#[test]
fn every_promise_is_named_by_a_test() {
    let tests: String = rust()
        .iter()
        .filter(|source| !source.path.starts_with("tests/tidy"))
        .map(Source::tests)
        .collect();
    let mut named: BTreeSet<&str> = tests
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.starts_with('P'))
        .collect();
    // `fn p2_p5_killed_at_any_point` carries two.
    let functions: Vec<String> = tests.split("fn ").skip(1).map(numbers).collect();
    named.extend(functions.iter().flat_map(|numbers| numbers.split(' ')));
    let promises = promises();
    let numbers: Vec<_> = promises.iter().map(|(name, _)| name.clone()).collect();
    let expected: Vec<_> = (1..=12).map(|n| format!("P{n}")).collect();
    assert_eq!(
        numbers, expected,
        "docs/architecture.md lists the promises in order"
    );
    let mut found = Vec::new();
    for (name, later) in promises {
        match (named.contains(name.as_str()), later) {
            (false, false) => found.push(format!("{name}: no test names it")),
            (true, true) => found.push(format!(
                "{name}: tests name it; the page says it is not yet built"
            )),
            _ => {}
        }
    }
    hold("every promise is named by a test", &found);
}

#[test]
fn the_map_shows_every_module() {
    let page = fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.is_shipped()) {
        let is_top =
            source.path.matches('/').count() == 1 + usize::from(source.path.starts_with("store/"));
        let name = source.path.rsplit('/').next().unwrap_or_default();
        if is_top && !page.contains(&format!("`{name}`")) {
            found.push(source.path.clone());
        }
    }
    hold("docs/architecture.md shows every module", &found);
}

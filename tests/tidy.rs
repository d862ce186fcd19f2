//! The rules of the house, held by a test each.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of crate `lob` each of them may use, from DESIGN's arrow
/// `main -> cli -> {sync, serve, git, ui, remote} -> store`; `sync -> {remote, git}`.
const LOB_MAY_USE: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("bin", &[]),
    ("lib", &["cli"]),
    ("cli", &["sync", "serve", "git", "ui", "remote"]),
    ("sync", &["remote", "git"]),
    ("serve", &["remote", "git"]),
    ("remote", &["git"]),
    ("git", &[]),
    ("ui", &[]),
];

/// The modules of the engine, lowest first: a line may use itself and those above it.
const STORE_LAYERS: &[&[&str]] = &[
    &["disk"],
    &["id", "limits", "error", "decode", "progress"],
    &["chunk"],
    &["frame", "delta"],
    &["manifest"],
    &["pack"],
    &["roots"],
    &["index"],
    &["view"],
    &[
        "store", "stage", "read", "prune", "fsck", "repair", "repack",
    ],
    &["reconcile"],
    &["lib"],
];

const FILE_LINES_MAX: usize = 500;
const MEDIAN_FILE_LINES: usize = 200;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "types", "manager", "misc",
];

/// A file of the project that is text.
struct Source {
    /// Relative to the top, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is part of what is shipped, and not of its tests.
    fn is_shipped(&self) -> bool {
        self.is_rust()
            && ["src/", "store/src/"]
                .iter()
                .any(|top| self.path.starts_with(top))
            && !is_test_module(&self.path)
    }

    /// The lines of code with their numbers, without the unit tests at the end and without
    /// comments that have a line of their own.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.test_start();
        let lines = self.text.lines().enumerate().take(end);
        lines
            .map(|(at, line)| (at + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The part of the text that is tests.
    fn tests(&self) -> String {
        let start = if self.is_shipped() {
            self.test_start()
        } else {
            0
        };
        self.text
            .lines()
            .skip(start)
            .fold(String::new(), |all, line| all + line + "\n")
    }

    /// The index of the line at which the unit tests begin, or the number of lines.
    fn test_start(&self) -> usize {
        let lines: Vec<_> = self.text.lines().collect();
        let starts = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{');
        lines.windows(2).position(starts).unwrap_or(lines.len())
    }
}

/// Whether a file below `src` is compiled for tests only, by its name.
fn is_test_module(path: &str) -> bool {
    let stem = path
        .trim_end_matches(".rs")
        .rsplit('/')
        .next()
        .unwrap_or_default();
    matches!(stem, "tests" | "fixture") || stem.ends_with("_tests") || path.contains("/tests/")
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project that git would track, with its length.
fn files() -> Vec<(String, PathBuf, u64)> {
    let mut files = Vec::new();
    let walk = ignore::WalkBuilder::new(top())
        .hidden(false)
        .require_git(false)
        .build();
    for entry in walk {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(top()).unwrap();
        let name = path
            .to_str()
            .expect("our own file names are UTF-8")
            .replace('\\', "/");
        if entry.file_type().is_some_and(|kind| kind.is_file()) && !name.starts_with(".git/") {
            files.push((
                name,
                entry.path().to_path_buf(),
                entry.metadata().unwrap().len(),
            ));
        }
    }
    files.sort();
    assert!(
        files.iter().any(|(name, ..)| name == "src/lib.rs"),
        "the walk finds the sources"
    );
    files
}

fn sources() -> Vec<Source> {
    let is_text = |name: &str| {
        ["rs", "md", "toml", "sh", "py"]
            .iter()
            .any(|end| name.ends_with(&format!(".{end}")))
            || name == ".ci/run"
    };
    let files = files().into_iter().filter(|(name, ..)| is_text(name));
    files
        .map(|(path, file, _)| Source {
            path,
            text: fs::read_to_string(file).unwrap(),
        })
        .collect()
}

fn rust() -> Vec<Source> {
    sources().into_iter().filter(Source::is_rust).collect()
}

/// Fails with all that was found, one a line.
fn hold(rule: &str, found: &[String]) {
    let mut all = String::new();
    for one in found {
        writeln!(all, "  {one}").unwrap();
    }
    assert!(found.is_empty(), "{rule}:\n{all}");
}

/// The modules at the top of the crate that a line of code names: `crate::a`, `crate::{a, b::c}`.
fn used_modules(code: &str) -> BTreeSet<String> {
    let ident = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(ident(rest));
            continue;
        };
        let mut depth = 0;
        let mut expects_name = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expects_name = true,
                c if expects_name && c.is_alphabetic() => {
                    found.insert(ident(&group[at..]));
                    expects_name = false;
                }
                _ => {}
            }
        }
    }
    // Names of items at the root, such as `crate::Error` or `crate::run`, are no modules.
    found.retain(|name| name.starts_with(|c: char| c.is_lowercase()));
    found
}

/// The module at the top of its crate that a file belongs to.
fn module_of(path: &str) -> Option<(&'static str, String)> {
    let (krate, rest) = match path.strip_prefix("store/src/") {
        Some(rest) => ("store", rest),
        None => ("lob", path.strip_prefix("src/")?),
    };
    let first = rest.split('/').next()?;
    Some((krate, first.trim_end_matches(".rs").to_owned()))
}

/// Why `from` may not use `to`.
fn forbidden(krate: &str, from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    if krate == "lob" {
        return match LOB_MAY_USE.iter().find(|(name, _)| *name == from) {
            Some((_, may)) if may.contains(&to) => None,
            Some((_, may)) => Some(format!("{from} uses {to}; it may use {may:?} only")),
            None => Some(format!("{from} has no place in LOB_MAY_USE")),
        };
    }
    let layer = |name| STORE_LAYERS.iter().position(|layer| layer.contains(&name));
    match (layer(from), layer(to)) {
        (Some(from), Some(to)) if from >= to => None,
        (Some(_), Some(_)) => Some(format!("{from} uses {to}, which is above it")),
        _ => Some(format!("{from} or {to} has no place in STORE_LAYERS")),
    }
}

#[test]
fn imports_run_one_way() {
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.is_shipped()) {
        let Some((krate, module)) = module_of(&source.path) else {
            continue;
        };
        let lines: Vec<_> = source.code().map(|(_, line)| line).collect();
        let code = lines.join("\n");
        for used in used_modules(&code) {
            let why = forbidden(krate, &module, &used);
            found.extend(why.map(|why| format!("{}: {why}", source.path)));
        }
        let is_top = source.path.matches('/').count() == if krate == "lob" { 1 } else { 2 };
        if code.contains("super::super::") || is_top && code.contains("super::") {
            found.push(format!(
                "{}: say crate:: where super:: leaves the module",
                source.path
            ));
        }
    }
    hold("imports run one way", &found);
}

#[test]
fn the_reader_of_imports_sees_every_form() {
    let names = |code| used_modules(code).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(
        names("use crate::git::Repo; crate::ui::say(crate::Error)"),
        "git ui"
    );
    assert_eq!(
        names("use crate::{\n    git::{Repo, scan},\n    sync,\n    ui::{self},\n};"),
        "git sync ui"
    );
    assert!(forbidden("lob", "git", "ui").is_some());
    assert!(forbidden("lob", "cli", "ui").is_none());
    assert!(forbidden("store", "disk", "pack").is_some());
    assert!(forbidden("store", "pack", "disk").is_none());
    assert!(forbidden("store", "pack", "nonsense").is_some());
}

#[test]
fn each_layer_keeps_to_its_own_means() {
    // What only some files may say. Written in two parts, or this file would break its own rule.
    let rules: &[(&str, &str, &[&str])] = &[
        ("src/", concat!("Command::new(\"", "git\")"), &["src/git"]),
        ("src/", concat!(" print", "ln!("), &[]),
        (
            "src/",
            concat!(" eprint", "ln!("),
            &["src/ui", "src/cli.rs"],
        ),
        ("src/", concat!("uns", "afe "), &[]),
        (
            "store/src/",
            concat!("uns", "afe "),
            &["store/src/disk/map.rs"],
        ),
        ("store/src/", "fs::", &["store/src/disk"]),
        ("store/src/", "std::env", &[]),
        ("store/src/", "std::net", &[]),
        ("store/src/", "std::process", &[]),
        ("store/src/", "println!(", &[]),
    ];
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.is_shipped()) {
        for (at, line) in source.code() {
            for (tree, words, except) in rules {
                let applies = source.path.starts_with(tree)
                    && !except.iter().any(|place| source.path.starts_with(place));
                if applies && line.contains(words) {
                    found.push(format!("{}:{at}: {words}", source.path));
                }
            }
        }
    }
    hold("each layer keeps to its own means", &found);
}

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for source in rust() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{}: {lines} lines", source.path));
        }
        if source.is_shipped() {
            lengths.push(lines);
        }
    }
    hold("no file is over 500 lines", &found);
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(
        median < MEDIAN_FILE_LINES,
        "the median file has {median} lines"
    );
}

/// The functions of a formatted file as (line, name, lines).
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let Some((before, rest)) = code.split_once("fn ") else {
            continue;
        };
        let words = [
            "pub",
            "const",
            "async",
            "extern",
            "\"C\"",
            concat!("uns", "afe"),
        ];
        if !before
            .split_whitespace()
            .all(|word| words.contains(&word) || word.starts_with("pub("))
        {
            continue;
        }
        let name = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let close = format!("{indent}}}");
        let ends = |line: &&str| {
            **line == close || line.ends_with(';') && !line.starts_with(&format!("{indent} "))
        };
        if line.ends_with('}') || line.ends_with(';') {
            found.push((at + 1, name, 1));
        } else if let Some(length) = lines[at + 1..].iter().position(ends) {
            found.push((at + 1, name, length + 2));
        }
    }
    found
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in rust() {
        for (at, name, lines) in functions(&source.text) {
            if lines > FUNCTION_LINES_MAX {
                found.push(format!("{}:{at}: {name} has {lines} lines", source.path));
            }
        }
    }
    hold("no function is over 70 lines", &found);
}

#[test]
fn the_measure_of_functions_is_right() {
    let text = "fn a() {}\nimpl X {\n    pub(super) const fn b(\n        x: u8,\n    ) -> u8 {\n        x\n    }\n}\ntrait T {\n    fn c(\n        &self,\n    );\n}\nlet x = y.fn_;\n";
    let expected = [(1, "a", 1), (3, "b", 5), (10, "c", 3)];
    let expected: Vec<_> = expected
        .map(|(at, name, lines)| (at, name.to_owned(), lines))
        .into();
    assert_eq!(functions(text), expected);
}

#[test]
fn source_is_ascii() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.path.ends_with(".md"))
    {
        for (at, line) in source.text.lines().enumerate() {
            if let Some(c) = line.chars().find(|c| !(' '..='~').contains(c)) {
                found.push(format!(
                    "{}:{}: {}",
                    source.path,
                    at + 1,
                    c.escape_unicode()
                ));
            }
        }
    }
    hold("source is ASCII, without tabs", &found);
}

#[test]
fn only_tests_unwrap() {
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.is_shipped()) {
        let lines = source.code().filter(|(_, line)| line.contains(".unwrap()"));
        found.extend(lines.map(|(at, _)| format!("{}:{at}", source.path)));
    }
    hold("only tests unwrap", &found);
}

#[test]
fn modules_have_names_that_say_something() {
    let mut found = Vec::new();
    for source in rust() {
        let parts = source.path.trim_end_matches(".rs").split('/');
        if parts.into_iter().any(|part| EMPTY_NAMES.contains(&part)) {
            found.push(source.path);
        }
    }
    hold("modules have names that say something", &found);
}

#[test]
fn no_file_is_large() {
    let large = files()
        .into_iter()
        .filter(|(_, _, len)| *len > FILE_BYTES_MAX);
    let found: Vec<_> = large
        .map(|(name, _, len)| format!("{name}: {len} bytes"))
        .collect();
    hold("no file is over 1 MiB", &found);
}

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

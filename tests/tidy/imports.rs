//! Which module may use which.

use std::collections::BTreeSet;

use super::hold;
use super::source::rust;

/// Which modules of crate `lob` each of them may use, from DESIGN's arrow
/// `main -> cli -> {sync, serve, git, ui, remote} -> store`; `sync -> {remote, git}`;
/// `{serve, remote} -> wire`.
const LOB_MAY_USE: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("bin", &[]),
    ("lib", &["cli"]),
    ("cli", &["sync", "serve", "git", "ui", "remote"]),
    ("sync", &["remote", "git"]),
    ("serve", &["remote", "git", "wire"]),
    ("remote", &["git", "wire"]),
    ("wire", &[]),
    ("git", &[]),
    ("ui", &[]),
];

/// The modules of the engine, lowest first: a line may use itself and those above it.
const STORE_LAYERS: &[&[&str]] = &[
    &["disk"],
    &["id", "limits", "error", "decode", "progress", "buffer"],
    &["chunk"],
    &["frame", "delta"],
    &["manifest"],
    &["pack"],
    &["roots", "epoch"],
    &["index"],
    &["view"],
    &[
        "store", "stage", "reach", "read", "against", "cost", "prune", "fsck", "repair", "repack",
    ],
    &["reconcile"],
    &["lib"],
];

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

//! A git that is older than lob needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{pair, says};
use crate::support::{Run, World, run};

/// What git 2.20 does where lob asks for what came later: it prints an option of `rev-parse` back
/// that it does not know.
const OLD: &str = r#"#!/bin/sh
case $1 in
--version) echo "git version 2.20.1"; exit ;;
rev-parse)
    for word; do
        shift
        case $word in
        --path-format=* | --show-object-format | --end-of-options) word=--old$word ;;
        esac
        set -- "$@" "$word"
    done ;;
esac
PATH=${PATH#*:}
exec git "$@"
"#;

#[test]
fn an_old_git_is_named_whatever_it_fails_at() {
    let world = World::new();
    let (_, work) = pair(&world);
    let git = world.path().join("old/git");
    fs::create_dir(git.parent().unwrap()).unwrap();
    fs::write(&git, OLD).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let with_old = |program: &str, args: &[&str]| -> Run {
        let mut command = work.command(program);
        let known = command.get_envs().find(|(name, _)| *name == "PATH");
        let path = known.and_then(|(_, value)| value).unwrap().to_owned();
        let dirs = [git.parent().unwrap().to_path_buf()];
        let dirs = dirs.into_iter().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(dirs).unwrap());
        run(command.args(args), b"")
    };
    let words = ["git 2.20.1 is too old: lob needs git 2.30.0 or later"];
    for verb in [
        "status", "ls-files", "init", "track", "fetch", "pull", "push", "sync", "checkout",
        "prefetch",
    ] {
        says(&with_old("lob", &[verb]).fails(1), &words);
    }
    let doctor = with_old("lob", &["doctor"]);
    says(&String::from_utf8_lossy(&doctor.stdout), &words);
    // What git itself runs.
    for verb in [&["filter-process"][..], &["clean"], &["smudge"]] {
        says(&with_old("lob", verb).fails(1), &words);
    }
    let push = with_old("lob", &["hook", "pre-push", "origin", "/x"]);
    says(&push.fails(1), &words);
}

//! Git, plain and with what extends it: `git clone` brings everything back.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Tool;
use crate::failure::Failure;
use crate::world::{World, text};

/// A pointer is smaller than this, and no file of a workload is.
const POINTER: u64 = 1024;

/// Which extension keeps the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repository {
    /// None.
    Git,
    /// Git LFS.
    Lfs,
    /// git-annex.
    Annex,
    /// lob.
    Lob,
}

impl Repository {
    /// Lets the extension set itself up in the new repository, as its manual says.
    fn extend(self, world: &World, tree: &Path) -> Result<(), Failure> {
        let run =
            |dir: &Path, program: &str, args: &[&str]| world.run(dir, program, args).map(drop);
        match self {
            Repository::Git => {}
            Repository::Lfs => {
                run(tree, "git", &["lfs", "install", "--skip-repo"])?;
                run(tree, "git", &["lfs", "install", "--local"])?;
                run(tree, "git", &["lfs", "track", "*.bin"])?;
            }
            Repository::Annex => {
                run(tree, "git", &["annex", "init", "-q", "tree"])?;
                run(&world.remote(), "git", &["annex", "init", "-q", "remote"])?;
            }
            Repository::Lob => {
                run(tree, "lob", &["install"])?;
                run(tree, "lob", &["init"])?;
                run(tree, "lob", &["track", "*.bin"])?;
            }
        }
        Ok(())
    }

    fn git(world: &World, args: &[&str]) -> Command {
        world.command(&world.tree(), "git", args)
    }
}

impl Tool for Repository {
    fn name(&self) -> &'static str {
        match self {
            Repository::Git => "git",
            Repository::Lfs => "git-lfs",
            Repository::Annex => "git-annex",
            Repository::Lob => "lob",
        }
    }

    fn version(&self) -> &'static [&'static str] {
        match self {
            Repository::Git => &["git", "--version"],
            Repository::Lfs => &["git", "lfs", "version"],
            Repository::Annex => &["git", "annex", "version"],
            Repository::Lob => &["lob", "--version"],
        }
    }

    fn programs(&self) -> &'static [&'static str] {
        match self {
            Repository::Git => &["git"],
            Repository::Lfs => &["git-lfs"],
            Repository::Annex => &["git-annex"],
            Repository::Lob => &["lob", "git-lob"],
        }
    }

    fn set_up(&self, world: &World) -> Result<(), Failure> {
        let (tree, remote) = (world.tree(), world.remote());
        world.run(&tree, "git", &["init", "-q", "--bare", &text(&remote)])?;
        world.run(&tree, "git", &["init", "-q", "."])?;
        world.run(&tree, "git", &["remote", "add", "origin", &url(&remote)])?;
        self.extend(world, &tree)
    }

    fn add(&self, world: &World, nth: usize) -> Vec<Command> {
        let add: &[&str] = match self {
            Repository::Annex => &["annex", "add", "-q", "."],
            _ => &["add", "-A"],
        };
        let message = format!("Version {nth}");
        vec![
            Repository::git(world, add),
            Repository::git(world, &["commit", "-q", "-m", &message]),
        ]
    }

    fn push(&self, world: &World, _: usize) -> Vec<Command> {
        match self {
            Repository::Annex => vec![
                Repository::git(world, &["annex", "copy", "-q", "--to", "origin"]),
                Repository::git(world, &["annex", "sync", "-q", "--no-content", "origin"]),
            ],
            _ => vec![Repository::git(world, &["push", "-q", "origin", "main"])],
        }
    }

    fn status(&self, world: &World) -> Vec<Command> {
        vec![Repository::git(world, &["status", "--porcelain"])]
    }

    fn clone(&self, world: &World, _: usize) -> Vec<Command> {
        let to = world.clone();
        let mut commands = vec![Repository::git(
            world,
            &["clone", "-q", &url(&world.remote()), &text(&to)],
        )];
        if *self == Repository::Annex {
            commands.push(world.command(&to, "git", &["annex", "init", "-q", "clone"]));
            commands.push(world.command(&to, "git", &["annex", "get", "-q", "."]));
        }
        commands
    }

    fn local(&self, world: &World) -> PathBuf {
        world.tree().join(".git")
    }

    fn check(&self, world: &World, file: &str) -> Result<(), Failure> {
        for dir in [world.tree(), world.clone()] {
            let changes = world.run(&dir, "git", &["status", "--porcelain"])?;
            if !changes.is_empty() {
                return Err(Failure::Wrong(format!(
                    "git status is not empty in {}:\n{changes}",
                    dir.display()
                )));
            }
        }
        // Otherwise plain git would be measured under the name of an extension that did nothing.
        let kept = world.run(
            &world.tree(),
            "git",
            &["cat-file", "-s", &format!("HEAD:{file}")],
        )?;
        let is_pointer = kept.trim().parse().is_ok_and(|len: u64| len < POINTER);
        match is_pointer == (*self != Repository::Git) {
            true => Ok(()),
            false => Err(Failure::Wrong(format!(
                "{file} is in git with {} bytes",
                kept.trim()
            ))),
        }
    }
}

/// A URL, since git copies between plain paths by linking files.
fn url(path: &Path) -> String {
    format!("file://{}", text(path))
}

//! Programs that know no git: each version is one backup, and the remote is their store.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Tool;
use crate::failure::{Explain, Failure};
use crate::world::{World, text};

/// Which program.
#[derive(Debug, Clone, Copy)]
pub enum Backup {
    /// restic.
    Restic,
    /// BorgBackup, with the compression that comes closest to the others'.
    Borg,
    /// casync.
    Casync,
    /// rsync: the remote is a mirror, and holds the last version only.
    Rsync,
}

impl Tool for Backup {
    fn name(&self) -> &'static str {
        match self {
            Backup::Restic => "restic",
            Backup::Borg => "borg",
            Backup::Casync => "casync",
            Backup::Rsync => "rsync",
        }
    }

    fn version(&self) -> &'static [&'static str] {
        match self {
            Backup::Restic => &["restic", "version"],
            Backup::Borg => &["borg", "--version"],
            Backup::Casync => &["casync", "--version"],
            Backup::Rsync => &["rsync", "--version"],
        }
    }

    fn programs(&self) -> &'static [&'static str] {
        match self {
            Backup::Restic => &["restic"],
            Backup::Borg => &["borg"],
            Backup::Casync => &["casync"],
            Backup::Rsync => &["rsync"],
        }
    }

    fn set_up(&self, world: &World) -> Result<(), Failure> {
        let (tree, store) = (world.tree(), text(&world.remote()));
        match self {
            Backup::Restic => world.run(&tree, "restic", &["init", "-q", "-r", &store])?,
            Backup::Borg => world.run(&tree, "borg", &["init", "-e", "none", &store])?,
            Backup::Casync | Backup::Rsync => {
                fs::create_dir(&store).because(format_args!("cannot make {store}"))?;
                String::new()
            }
        };
        Ok(())
    }

    fn add(&self, _: &World, _: usize) -> Vec<Command> {
        Vec::new()
    }

    fn push(&self, world: &World, nth: usize) -> Vec<Command> {
        let (tree, store) = (world.tree(), text(&world.remote()));
        let command = |args: &[&str]| world.command(&tree, self.name(), args);
        vec![match self {
            Backup::Restic => command(&["backup", "-q", "-r", &store, "."]),
            Backup::Borg => command(&[
                "create",
                "--compression",
                "zstd,3",
                &format!("{store}::v{nth}"),
                ".",
            ]),
            Backup::Casync => command(&[
                "make",
                &format!("--store={store}/chunks.castr"),
                &format!("{store}/v{nth}.caidx"),
                ".",
            ]),
            Backup::Rsync => command(&["-a", "--delete", "./", &format!("{store}/")]),
        }]
    }

    fn status(&self, _: &World) -> Vec<Command> {
        Vec::new()
    }

    fn clone(&self, world: &World, nth: usize) -> Vec<Command> {
        let (to, store) = (text(&world.clone()), text(&world.remote()));
        let command = |args: &[&str]| world.command(&world.clone(), self.name(), args);
        vec![match self {
            Backup::Restic => command(&["restore", "-q", "-r", &store, "latest", "--target", &to]),
            Backup::Borg => command(&["extract", &format!("{store}::v{nth}")]),
            Backup::Casync => command(&[
                "extract",
                &format!("--store={store}/chunks.castr"),
                &format!("{store}/v{nth}.caidx"),
                &to,
            ]),
            Backup::Rsync => command(&["-a", &format!("{store}/"), "./"]),
        }]
    }

    /// Their caches.
    fn local(&self, world: &World) -> PathBuf {
        world.home().join(".cache")
    }

    fn check(&self, _: &World, _: &str) -> Result<(), Failure> {
        Ok(())
    }
}

//! What every tool can do, and which there are.

mod backup;
mod repository;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Explain, Failure};
use crate::world::World;

/// A tool as the command line names it.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Name {
    /// Plain git: what one has without any tool for large files.
    Git,
    /// Git LFS.
    GitLfs,
    /// git-annex.
    GitAnnex,
    /// restic, a backup.
    Restic,
    /// BorgBackup.
    Borg,
    /// casync, which distributes images.
    Casync,
    /// rsync, which keeps one version.
    Rsync,
    /// The program of this project.
    Lob,
}

/// A way to keep versions of a work tree somewhere else. Each step is given as the programs to run
/// one after the other; no programs means that the tool has no such step.
pub trait Tool {
    /// Its name in the tables.
    fn name(&self) -> &'static str;

    /// The program and its arguments that print the version.
    fn version(&self) -> &'static [&'static str];

    /// The names of the processes whose memory is the tool's.
    fn programs(&self) -> &'static [&'static str];

    /// Makes the remote, and makes the work tree known to the tool.
    fn set_up(&self, world: &World) -> Result<(), Failure>;

    /// Takes version `nth` of the work tree into the history on this machine.
    fn add(&self, world: &World, nth: usize) -> Vec<Command>;

    /// Sends version `nth` to the remote.
    fn push(&self, world: &World, nth: usize) -> Vec<Command>;

    /// Tells what has changed in the work tree.
    fn status(&self, world: &World) -> Vec<Command>;

    /// Brings version `nth` and its files from the remote to an empty directory.
    fn clone(&self, world: &World, nth: usize) -> Vec<Command>;

    /// What it keeps on this machine beside the work tree.
    fn local(&self, world: &World) -> PathBuf;

    /// Fails where the tool did not do its work on `file`, or where the work tree or the clone has
    /// changes that nobody made.
    fn check(&self, world: &World, file: &str) -> Result<(), Failure>;
}

/// A tool that is there.
pub struct Installed {
    /// What it can do.
    pub tool: Box<dyn Tool>,
    /// What it says of its version.
    pub version: String,
}

/// The tool of this name.
pub fn named(name: Name) -> Box<dyn Tool> {
    use backup::Backup;
    use repository::Repository;
    match name {
        Name::Git => Box::new(Repository::Git),
        Name::GitLfs => Box::new(Repository::Lfs),
        Name::GitAnnex => Box::new(Repository::Annex),
        Name::Lob => Box::new(Repository::Lob),
        Name::Restic => Box::new(Backup::Restic),
        Name::Borg => Box::new(Backup::Borg),
        Name::Casync => Box::new(Backup::Casync),
        Name::Rsync => Box::new(Backup::Rsync),
    }
}

/// The first line of what the tool says of its version; none where it is not installed.
pub fn version(tool: &dyn Tool, dir: &Path) -> Result<Option<String>, Failure> {
    let dir = dir.join("version");
    let world = World::new(&dir, &dir.join("remote"))?;
    let said = match tool.version() {
        [program, args @ ..] => world.run(&dir, program, args).ok(),
        [] => None,
    };
    fs::remove_dir_all(&dir).because("cannot remove a directory")?;
    let line = said.and_then(|said| said.lines().next().map(str::to_owned));
    Ok(line.filter(|line| !line.is_empty()))
}

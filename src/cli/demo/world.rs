//! The temporary directory of the demo, with a home and a configuration of its own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lob_store::Store;
use lob_store::disk::OsDisk;

use crate::git::Git;
use crate::ui::{Explain, Failure};

/// Variables that keep the demo apart from the user's own configuration.
const NAMES: [&str; 10] = [
    "HOME",
    "XDG_CONFIG_HOME",
    "PATH",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_GLOBAL",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "LOB_PROGRESS",
];

/// Where the demo happens. It is removed with this value.
#[derive(Debug)]
pub(super) struct World {
    root: tempfile::TempDir,
    lob: PathBuf,
    git: Git,
    env: Vec<(&'static str, OsString)>,
}

impl World {
    pub(super) fn new() -> Result<World, Failure> {
        let root = tempfile::Builder::new()
            .prefix("lob-demo-")
            .tempdir()
            .because("cannot make a temporary directory")?;
        let lob = std::env::current_exe().because("cannot tell where lob itself is")?;
        let env = environment(root.path(), &lob)?;
        let git = Git::elsewhere(root.path())?;
        let git = env
            .iter()
            .fold(git, |git, (name, value)| git.with_env(name, value));
        let settings = "[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n";
        let home = root.path().join("home");
        fs::create_dir(&home)
            .and_then(|()| fs::write(home.join("gitconfig"), settings))
            .because("cannot fill the temporary directory")?;
        Ok(World {
            root,
            lob,
            git,
            env,
        })
    }

    /// The temporary directory.
    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    /// This program.
    pub(super) fn lob(&self) -> &Path {
        &self.lob
    }

    /// A directory in it.
    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Runs git.
    pub(super) fn git(&self, dir: &Path, args: &[&str]) -> Result<(), Failure> {
        self.git_output(dir, args).map(drop)
    }

    /// Runs git, and returns what it prints.
    pub(super) fn git_output(&self, dir: &Path, args: &[&str]) -> Result<Vec<u8>, Failure> {
        Ok(self.git.clone().in_dir(dir).output(args)?)
    }

    /// Runs lob as a user would.
    pub(super) fn lob_run(&self, dir: &Path, args: &[&str]) -> Result<(), Failure> {
        let output = Command::new(&self.lob)
            .args(args)
            .current_dir(dir)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .output()
            .because("cannot run lob")?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format_args!(
            "lob {} failed: {}",
            args.join(" "),
            said.trim()
        )))
    }

    /// Bytes in the packs and tables of the store in a directory.
    pub(super) fn stored(&self, dir: &str) -> Result<u64, Failure> {
        let store = Store::open(Arc::new(OsDisk), &self.dir(dir))?;
        Ok(store.stored_bytes()?)
    }

    /// Fails unless both work trees hold the same files with the same bytes.
    pub(super) fn same_files(&self, a: &Path, b: &Path) -> Result<(), Failure> {
        let (left, right) = (files(a)?, files(b)?);
        if left != right {
            return Err(Failure::new(format_args!(
                "{} and {} hold different files",
                a.display(),
                b.display()
            )));
        }
        for name in left {
            let read = |dir: &Path| fs::read(dir.join(&name)).because("cannot compare files");
            if read(a)? != read(b)? {
                return Err(Failure::new(format_args!("{} differs", name.display())));
            }
        }
        Ok(())
    }

    /// Fails unless git finds nothing changed.
    pub(super) fn clean(&self, dir: &Path) -> Result<(), Failure> {
        match self.git_output(dir, &["status", "--porcelain"])?.as_slice() {
            b"" => Ok(()),
            changes => Err(Failure::new(format_args!(
                "git finds changes where there are none: {}",
                String::from_utf8_lossy(changes)
            ))),
        }
    }

    /// Removes the directory, and says so if that fails.
    pub(super) fn remove(self) -> Result<(), Failure> {
        let path = self.root().to_path_buf();
        self.root
            .close()
            .because(format_args!("cannot remove {}", path.display()))
    }
}

fn environment(root: &Path, lob: &Path) -> Result<Vec<(&'static str, OsString)>, Failure> {
    let home = root.join("home");
    let beside = lob.parent().map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(beside.into_iter().chain(std::env::split_paths(&path)))
        .because("cannot put lob on the PATH")?;
    let values: [OsString; 10] = [
        home.clone().into(),
        home.clone().into(),
        path,
        "1".into(),
        home.join("gitconfig").into(),
        "lob demo".into(),
        "demo@localhost".into(),
        "lob demo".into(),
        "demo@localhost".into(),
        "off".into(),
    ];
    Ok(NAMES.into_iter().zip(values).collect())
}

fn files(dir: &Path) -> Result<Vec<OsString>, Failure> {
    let entries = fs::read_dir(dir).because(format_args!("cannot list {}", dir.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry
            .because(format_args!("cannot list {}", dir.display()))?
            .file_name();
        if name != ".git" {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

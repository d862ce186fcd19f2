//! What the tools are given: versions of a work tree, the same bytes for all.

mod series;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::content::{self, Noise};
use crate::failure::{Explain, Failure};

const GIB: f64 = (1u64 << 30) as f64;
const INSERTED: usize = 4096;
const MANY: f64 = 10_000.0;
const SMALL: u64 = 20 << 10;
/// Of many files, one in so many changes in the second version.
const CHANGED: usize = 100;

/// A workload as the command line names it.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Name {
    /// One file of 1 GiB, then 4 KiB inserted in its middle.
    Big,
    /// 10,000 files of 20 KiB, then one in a hundred written anew.
    Many,
    /// Consecutive versions of one program.
    Series,
}

/// The files that a version adds or replaces: the path in the work tree, and where its content is.
#[derive(Debug, Default)]
pub struct Version {
    /// In the order of their paths.
    pub files: Vec<(PathBuf, PathBuf)>,
}

/// Versions of a work tree, one after the other.
#[derive(Debug)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// What it is, with its real sizes.
    pub about: String,
    /// The first holds all files, each later one what changes.
    pub versions: Vec<Version>,
    bytes: u64,
}

impl Workload {
    /// Makes the content in `dir`, which is made too.
    pub fn make(name: Name, dir: &Path, scale: f64) -> Result<Workload, Failure> {
        fs::create_dir_all(dir).because(format_args!("cannot make {}", dir.display()))?;
        let (name, about, versions) = match name {
            Name::Big => big(dir, scale)?,
            Name::Many => many(dir, scale)?,
            Name::Series => series::find(dir, scale)?,
        };
        let mut bytes = 0;
        for (_, source) in versions.iter().flat_map(|version| &version.files) {
            let meta = fs::metadata(source)
                .because(format_args!("cannot look at {}", source.display()))?;
            bytes += meta.len();
        }
        Ok(Workload {
            name,
            about,
            versions,
            bytes,
        })
    }

    /// The bytes of all versions together, each file counted where it changes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The work tree after the last version.
    pub fn last(&self) -> BTreeMap<&PathBuf, &PathBuf> {
        let files = self.versions.iter().flat_map(|version| &version.files);
        files.map(|(path, source)| (path, source)).collect()
    }

    /// The path of a file that is in all versions.
    pub fn example(&self) -> Result<&str, Failure> {
        let first = self
            .versions
            .first()
            .and_then(|version| version.files.first());
        first
            .and_then(|(path, _)| path.to_str())
            .ok_or_else(|| Failure::Wrong(format!("{} has no file", self.name)))
    }
}

/// A workload on its way: name, description, versions.
type Made = (&'static str, String, Vec<Version>);

fn big(dir: &Path, scale: f64) -> Result<Made, Failure> {
    let len = (GIB * scale) as u64;
    let (old, new) = (dir.join("old"), dir.join("new"));
    content::write_noise(&old, 1, len)?;
    let inserted = Noise::new(2).bytes(INSERTED);
    content::write_inserted(&old, &new, len / 2, &inserted)?;
    let version = |source| Version {
        files: vec![(PathBuf::from("big.bin"), source)],
    };
    let about = format!("one file of {len} random bytes; then {INSERTED} inserted in its middle");
    Ok(("big", about, vec![version(old), version(new)]))
}

fn many(dir: &Path, scale: f64) -> Result<Made, Failure> {
    let count = (MANY * scale) as usize;
    let (mut first, mut second) = (Version::default(), Version::default());
    for nth in 0..count {
        let path = PathBuf::from(format!("d{:02}/f{:04}.bin", nth % 100, nth / 100));
        let old = dir.join(format!("old-{nth}"));
        content::write_noise(&old, nth as u64, SMALL)?;
        first.files.push((path.clone(), old));
        if nth % CHANGED == 0 {
            let new = dir.join(format!("new-{nth}"));
            content::write_noise(&new, (count + nth) as u64, SMALL)?;
            second.files.push((path, new));
        }
    }
    let about = format!(
        "{count} files of {SMALL} random bytes; then {} of them written anew",
        second.files.len()
    );
    Ok(("many", about, vec![first, second]))
}

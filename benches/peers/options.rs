//! The command line.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failure::{Explain, Failure};
use crate::tool;
use crate::workload;

/// Run the same real work through lob and its peers
///
/// Peers that are not installed are skipped. LOB_BENCH_SERIES names a directory with consecutive
/// versions of one program, a file each, for the workload `series`.
#[derive(Debug, clap::Parser)]
#[command(name = "peers")]
pub struct Options {
    /// The tools, in the order of the columns
    #[arg(long, value_delimiter = ',', value_enum, default_value = DEFAULT_TOOLS)]
    pub tools: Vec<tool::Name>,
    /// The workloads
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "big,many,series"
    )]
    pub workloads: Vec<workload::Name>,
    /// Times that every tool does every workload; the medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// The size of the workloads, relative to the full one
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    pub scale: f64,
    /// Also writes everything that was measured to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where to work, on the disk that is to be measured; the temporary directory if not given
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Where the remotes are, if elsewhere: on another file system no tool can link files instead of
    /// copying them
    #[arg(long, value_name = "DIR")]
    pub remotes: Option<PathBuf>,
    /// Cargo gives this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

const DEFAULT_TOOLS: &str = "git,git-lfs,git-annex,restic,borg,casync,rsync,lob";

impl Options {
    /// A new directory to work in.
    pub fn make_dir(&self) -> Result<TempDir, Failure> {
        make_in(&self.dir.clone().unwrap_or_else(std::env::temp_dir))
    }

    /// A new directory for the remotes, if they are not beside the rest.
    pub fn make_remotes(&self) -> Result<Option<TempDir>, Failure> {
        self.remotes.as_deref().map(make_in).transpose()
    }
}

/// A directory with an absolute path that is removed with the value.
fn make_in(place: &Path) -> Result<TempDir, Failure> {
    let what = format!("cannot work in {}", place.display());
    let place = place.canonicalize().because(&what)?;
    tempfile::Builder::new()
        .prefix("lob-peers-")
        .tempdir_in(place)
        .because(&what)
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if (0.001..=16.0).contains(&scale) => Ok(scale),
        _ => Err("a number between 0.001 and 16".to_owned()),
    }
}

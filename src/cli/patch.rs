//! `lob patch`: a file from another and the difference.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use lob_store::delta::{Base, Patch};
use lob_store::disk::OsDisk;
use serde::Serialize;

use super::Outcome;
use super::output::Place;
use crate::git::pipes;
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui};

/// Make a file from another one and a difference that 'lob delta' wrote
///
/// The base must be exactly the file that the difference was made for. The result is verified by its
/// hash, and has no name before. A difference may come from anywhere: it can write nothing but the file
/// that is named here, and no more bytes than it says at its begin. On stdout, only exit code 0 says
/// that what was written is right. With --json and -o the end is the event "patch" with "oid" and
/// "size".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob patch game-1.0.pak update.lobdelta -o game-1.1.pak
  lob patch old.iso < update.lobdelta > new.iso")]
pub(super) struct Args {
    /// The file that the difference was made for
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The difference; stdin without it
    #[arg(value_name = "DELTA")]
    delta: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// The event `patch`.
#[derive(Serialize)]
struct Done {
    oid: String,
    size: u64,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let base = Base::open(&OsDisk, &args.base)?;
    let delta: Box<dyn BufRead> = match &args.delta {
        Some(path) => {
            Box::new(BufReader::new(File::open(path).map_err(|error| {
                Failure::new(format_args!("{}: {error}", path.display()))
            })?))
        }
        None => Box::new(BufReader::new(pipes::input()?)),
    };
    let to_stdout = args.place.is_stdout();
    let patch = Patch::open(delta)?;
    let size = patch.header().size;
    let mut out = args.place.begin()?;
    let bar = ui.bar("Making", Some(size), None);
    let id = patch.apply(&base, &mut out, &bar)?;
    bar.finish();
    out.publish()?;
    if ui.is_json() && !to_stdout {
        let oid = format!("blake3:{id}");
        ui.event("patch", Done { oid, size })?;
    } else {
        ui.say(format_args!("{} made, verified", Size(size)));
    }
    Ok(Exit::Done)
}

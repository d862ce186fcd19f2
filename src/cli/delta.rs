//! `lob delta`: what is new in a file, in terms of another.

use std::fs::File;
use std::path::PathBuf;

use lob_store::delta::{Base, make};
use lob_store::disk::OsDisk;
use serde::Serialize;

use super::Outcome;
use super::output::Place;
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui};

/// Write the difference between two files, to make the new one from the old one elsewhere
///
/// 'lob patch' applies it. Needs no repository. What moved or stayed is copied, and what changed is
/// compressed with what stood in its place before. Both ends are verified by their hashes. With --json
/// and -o the end is the event "delta" with "base" and "oid", the hashes of both files, "size", "copied" and
/// "stored", all in bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob delta game-1.0.pak game-1.1.pak -o update.lobdelta
  lob delta old.iso new.iso | ssh host 'lob patch old.iso -o new.iso'")]
pub(super) struct Args {
    /// The file that the other side has
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The file that it is to get
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// The event `delta`.
#[derive(Serialize)]
struct Done {
    base: String,
    oid: String,
    size: u64,
    copied: u64,
    stored: u64,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let base = Base::open(&OsDisk, &args.base)?;
    let at = |error: std::io::Error| Failure::new(format_args!("{}: {error}", args.new.display()));
    let mut new = File::open(&args.new).map_err(at)?;
    let about = new.metadata().map_err(at)?;
    if !about.is_file() {
        let failure = format!("{} is no regular file", args.new.display());
        return Err(Failure::usage(failure));
    }
    let to_stdout = args.place.is_stdout();
    let mut out = args.place.begin()?;
    let bar = ui.bar("Comparing", Some(base.len() + about.len()), None);
    let made = make(&base, &mut new, about.len(), &mut out, &bar)?;
    bar.finish();
    out.publish()?;
    let done = Done {
        base: format!("blake3:{}", made.base),
        oid: format!("blake3:{}", made.id),
        size: made.size,
        copied: made.copied,
        stored: made.stored,
    };
    if ui.is_json() && !to_stdout {
        ui.event("delta", done)?;
    } else {
        ui.say(format_args!(
            "{} for {}, of which {} stand in the base as they are",
            Size(made.stored),
            Size(made.size),
            Size(made.copied)
        ));
    }
    Ok(Exit::Done)
}

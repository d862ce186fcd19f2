//! `lob delta`: what is new in a file, in terms of another.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use lob_store::delta::{Base, Delta, Signature, make, make_from, worth};
use lob_store::disk::OsDisk;
use serde::Serialize;

use super::Outcome;
use super::output::{Output, Place};
use crate::git::pipes;
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui};

/// Write the difference between two files, to make the new one from the old one elsewhere
///
/// 'lob patch' applies it. Needs no repository. What moved or stayed is copied, and what changed is
/// compressed with what stood in its place before. Where the old file is elsewhere, a signature that 'lob
/// signature' made of it takes its place: then what changed is compressed for itself, and nothing is
/// looked for where samples share no block with the old file. Both ends are verified by their hashes.
/// With --json and -o the end is the event "delta" with "base" and "oid", the hashes of both files,
/// "size", "copied" and "stored", all in bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob delta game-1.0.pak game-1.1.pak -o update.lobdelta
  lob delta old.iso new.iso | ssh host 'lob patch old.iso -o new.iso'
  ssh host lob signature old.iso | lob delta - new.iso -o update.lobdelta")]
pub(super) struct Args {
    /// The file that the other side has, or its signature; '-' is a signature from stdin
    #[arg(value_name = "BASE-OR-SIGNATURE")]
    base: PathBuf,
    /// The file that it is to get
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The other side has the first file itself, even if it looks like a signature
    #[arg(long)]
    no_signature: bool,
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

/// What is known of the old file.
enum Old {
    File(Base<'static>),
    Signature(Signature),
}

/// A regular file, and its length in bytes: it is read more than once, or its length is needed first.
pub(super) fn regular(path: &Path) -> Result<(File, u64), Failure> {
    let at = |error: std::io::Error| Failure::new(format_args!("{}: {error}", path.display()));
    let file = File::open(path).map_err(at)?;
    let about = file.metadata().map_err(at)?;
    match about.is_file() {
        true => Ok((file, about.len())),
        false => Err(Failure::usage(format!(
            "{} is no regular file: copy what it gives into one first",
            path.display()
        ))),
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let old = Old::find(&args.base, args.no_signature)?;
    let (mut new, size) = regular(&args.new)?;
    let to_stdout = args.place.is_stdout();
    let mut out = args.place.begin()?;
    let made = old.compare(&mut new, size, &mut out, ui)?;
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

impl Old {
    /// The file at this path, or the signature that it is.
    fn find(path: &Path, is_file: bool) -> Result<Old, Failure> {
        if path == Path::new("-") {
            let mut input = BufReader::new(pipes::input()?);
            return Ok(Old::Signature(Signature::read(&mut input)?));
        }
        let at = |error: std::io::Error| Failure::new(format_args!("{}: {error}", path.display()));
        let file = File::open(path).map_err(at)?;
        let is_regular = file.metadata().map_err(at)?.is_file();
        let mut head = Vec::new();
        if !is_file {
            let _ = (&file).take(8).read_to_end(&mut head).map_err(at)?;
        }
        if Signature::is_begun(&head) {
            // A pipe has no begin to go back to.
            let mut all = BufReader::new(head.chain(file));
            return Ok(Old::Signature(Signature::read(&mut all)?));
        }
        if !is_regular {
            let failure = format!("{} is no regular file and no signature", path.display());
            return Err(Failure::usage(failure));
        }
        Ok(Old::File(Base::open(&OsDisk, path)?))
    }

    fn compare(
        &self,
        new: &mut (impl Read + Seek),
        size: u64,
        out: &mut Output,
        ui: &Ui,
    ) -> Result<Delta, Failure> {
        let known = match self {
            Old::File(base) => base.len(),
            Old::Signature(_) => 0,
        };
        let bar = ui.bar("Comparing", Some(known + size), None);
        let made = match self {
            Old::File(base) => make(base, new, size, out, &bar)?,
            Old::Signature(signature) => {
                let is_alike = worth(signature, new, size)?;
                make_from(signature, new, size, is_alike, out, &bar)?
            }
        };
        bar.finish();
        Ok(made)
    }
}

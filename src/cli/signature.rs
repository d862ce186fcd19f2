//! `lob signature`: what somebody else needs to know of a file to make a difference for it.

use std::io::Write;
use std::path::PathBuf;

use lob_store::delta::Signature;
use serde::Serialize;

use super::Outcome;
use super::delta::regular;
use super::output::Place;
use crate::ui::bytes::Size;
use crate::ui::{Exit, Ui};

/// Write the hashes of a file's blocks, for which 'lob delta' elsewhere makes a difference
///
/// For when the old file is here and the new one elsewhere: the signature goes there, a difference comes
/// back, and 'lob patch' applies it. A signature takes 150 KB for a file of 25 MB and 0.8 MB for one of
/// a GiB, and says nothing of the content but whether some block is in another file too. Needs no
/// repository. With --json and -o the end is the event "signature" with "oid", the hash of the file, its
/// "size", the length of a "block", and "stored", all in bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob signature old.iso -o old.lobsignature
  lob signature old.iso | ssh host 'lob delta - new.iso' | lob patch old.iso -o new.iso")]
pub(super) struct Args {
    /// The file that is here
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// The event `signature`.
#[derive(Serialize)]
struct Done {
    oid: String,
    size: u64,
    block: usize,
    stored: usize,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let (mut file, len) = regular(&args.file)?;
    let to_stdout = args.place.is_stdout();
    let mut out = args.place.begin()?;
    let bar = ui.bar("Hashing", Some(len), None);
    let signature = Signature::of(&mut file, len, &bar)?;
    bar.finish();
    let bytes = signature.to_bytes();
    out.write_all(&bytes).map_err(lob_store::Error::Sink)?;
    out.publish()?;
    let done = Done {
        oid: format!("blake3:{}", signature.base()),
        size: signature.base_len(),
        block: signature.block_len(),
        stored: bytes.len(),
    };
    if ui.is_json() && !to_stdout {
        ui.event("signature", done)?;
    } else {
        let (stored, size) = (Size(done.stored as u64), Size(done.size));
        ui.say(format_args!("{stored} for {size}"));
    }
    Ok(Exit::Done)
}

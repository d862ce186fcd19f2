//! `lob clean`: one content in, its pointer out.

use std::ffi::OsString;
use std::io::Write;

use super::Outcome;
use super::filter_process::{Around, here, tell, unpublished};
use crate::git::filter::Handler;
use crate::git::path::bytes;
use crate::git::pipes;
use crate::sync::convert::{Converter, said};
use crate::ui::{Exit, Failure, Ui};

/// Keep the content on stdin and print its pointer (git runs this)
///
/// What is a pointer already is printed unchanged, and so is nothing at all. The content is in the
/// store, synced to disk, when the pointer is printed.
#[derive(Debug, clap::Args)]
#[command(
    hide = true,
    after_help = "\
Example:
  lob clean < movie.mov"
)]
pub(super) struct Args {
    /// The path of the file, for messages
    #[arg(value_name = "PATH")]
    path: Option<OsString>,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = here()?;
    let around = Around { ui };
    let mut converter = Converter::new(&local, &around);
    let path = bytes(&args.path.unwrap_or_default());
    let pointer = converter
        .clean(&path, &mut pipes::input()?)
        .map_err(|error| Failure::new(said(error.as_ref())))?;
    let summary = converter.finish().map_err(|error| unpublished(&error))?;
    tell(&summary, ui);
    let mut output = pipes::output()?;
    output.write_all(&pointer).map_err(Failure::stdout)?;
    Ok(Exit::Done)
}

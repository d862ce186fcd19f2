//! `lob smudge`: one pointer in, its content out.

use std::ffi::OsString;
use std::io::Write;

use super::Outcome;
use super::filter_process::{Around, here, tell, unpublished};
use crate::git::filter::{self, Handler, Reply};
use crate::git::path::bytes;
use crate::git::pipes;
use crate::sync::convert::{Converter, said};
use crate::ui::{Exit, Failure, Ui};

/// Print the content of the pointer on stdin (git runs this)
///
/// What is no pointer is printed unchanged. So is the pointer itself where its content can't be had;
/// a message says so.
#[derive(Debug, clap::Args)]
#[command(
    hide = true,
    after_help = "\
Example:
  git cat-file blob HEAD:movie.mov | lob smudge > movie.mov"
)]
pub(super) struct Args {
    /// The path of the file, which the patterns of lob.fetchInclude and lob.fetchExclude see
    #[arg(value_name = "PATH")]
    path: Option<OsString>,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = here()?;
    let around = Around { ui };
    let mut converter = Converter::new(&local, &around);
    let request = filter::Smudge {
        path: bytes(&args.path.unwrap_or_default()),
        ..filter::Smudge::default()
    };
    let failed = |error: filter::Failure| Failure::new(said(error.as_ref()));
    let mut output = pipes::output()?;
    match converter
        .smudge(&request, &mut pipes::input()?)
        .map_err(failed)?
    {
        Reply::Whole(content) => output.write_all(&content).map_err(Failure::stdout)?,
        Reply::Stream(write) => write(&mut output).map_err(failed)?,
        Reply::Delayed => return Err(Failure::new("there is no later for one file")),
    }
    let summary = converter.finish().map_err(|error| unpublished(&error))?;
    tell(&summary, ui);
    Ok(Exit::Done)
}

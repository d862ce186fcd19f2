//! `lob man`: the manual pages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::{Cli, Outcome};
use crate::ui::{Exit, Explain, Failure, Ui};

/// Write the manual pages into a directory
///
/// One page for lob and one for each verb: lob.1, lob-init.1 and so on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lob man ~/.local/share/man/man1 && man lob-sync")]
pub(super) struct Args {
    /// Where to write them; made if it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let directory = &args.directory;
    fs::create_dir_all(directory).because(format_args!("cannot make {}", directory.display()))?;
    let mut lob = Cli::command();
    lob.build();
    let mut pages = write(lob.clone(), "lob".to_owned(), directory)?;
    for verb in lob.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages += write(verb.clone(), format!("lob-{}", verb.get_name()), directory)?;
    }
    ui.say(format_args!(
        "wrote {pages} pages to {}",
        directory.display()
    ));
    Ok(Exit::Done)
}

fn write(verb: clap::Command, name: String, directory: &Path) -> Result<usize, Failure> {
    let mut page = Vec::new();
    let file = directory.join(format!("{name}.1"));
    clap_mangen::Man::new(verb.display_name(name)).render(&mut page)?;
    fs::write(&file, page).because(format_args!("cannot write {}", file.display()))?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_that_help_shows_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let (ui, _) = Ui::captured(crate::ui::Options::default());
        let args = Args {
            directory: dir.path().join("man1"),
        };
        assert_eq!(run(args, &ui).unwrap(), Exit::Done);
        for verb in Cli::command()
            .get_subcommands()
            .filter(|v| !v.is_hide_set())
        {
            let file = dir.path().join(format!("man1/lob-{}.1", verb.get_name()));
            let page = fs::read_to_string(&file).unwrap();
            assert!(page.contains("Example"), "{}", file.display());
        }
    }
}

//! `lob completions`: what a shell needs to complete lob's arguments.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome};
use crate::ui::{Exit, Ui};

/// Print the completions for a shell
///
/// Completes verbs and options; put the output where your shell looks for completions.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob completions bash > ~/.local/share/bash-completion/completions/lob
  lob completions zsh > ~/.zfunc/_lob
  lob completions fish > ~/.config/fish/completions/lob.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lob", &mut script);
    ui.raw(&script)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_verbs() {
        for shell in Shell::value_variants() {
            let (ui, captured) = Ui::captured(crate::ui::Options::default());
            let args = Args { shell: *shell };
            assert_eq!(run(args, &ui).unwrap(), Exit::Done);
            assert!(captured.stdout().contains("completions"), "{shell}");
        }
    }
}

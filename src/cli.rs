//! The command line: one verb a file, each with its arguments, its help and its run.
//!
//! A verb is three lines here: its `mod`, its variant of [`Command`], its arm in [`Command::run`].

mod background;
mod checkout;
mod clean;
mod completions;
mod delta;
mod demo;
mod doctor;
mod env;
mod estimate;
mod fetch;
mod filter_process;
mod fsck;
mod gc;
mod grace;
mod guard;
mod hook;
mod init;
mod install;
mod ls_files;
mod man;
mod output;
mod patch;
mod pre_push;
mod prefetch;
mod prune;
mod pull;
mod push;
#[cfg(test)]
mod reference;
mod remedy;
mod repack;
mod repair;
mod serve;
mod signature;
mod smudge;
mod status;
mod stored;
mod sync;
mod track;
mod transfer;
mod uninstall;
mod untrack;

use std::ffi::OsString;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};
use lob_store::Store;

use crate::git::Repo;
use crate::git::index_file::guard_with;
use crate::sync::Home;
use crate::ui::{Exit, Explain, Failure, Options, Ui};

/// How a verb ends.
type Outcome = Result<Exit, Failure>;

/// Keeps large files out of git, in a deduplicating store that replicates anywhere.
///
/// Git stores a small pointer in place of each tracked file; its content is a lob, which is cut
/// into chunks and kept once, in .git/lob. 'git add', 'git checkout' and 'git push' work as ever.
#[derive(Debug, Parser)]
#[command(name = "lob", version, propagate_version = false)]
#[command(
    disable_help_subcommand = true,
    infer_long_args = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  lob init                 set this repository up
  lob track '*.psd'        keep these files out of git
  git add . && git commit && git push
  lob status               what is staged, unpushed or missing")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that every verb takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Run as if started in this directory
    #[arg(short = 'C', value_name = "DIR", global = true)]
    start_in: Option<PathBuf>,
    /// Print only errors and warnings
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more about what is done
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Print events as JSON, one a line
    #[arg(long, global = true)]
    json: bool,
    /// Show no progress; LOB_PROGRESS=off|bar|lines says it for every run
    #[arg(long, global = true)]
    no_progress: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Track(track::Args),
    Untrack(untrack::Args),
    Status(status::Args),
    LsFiles(ls_files::Args),
    Sync(sync::Args),
    Push(push::Args),
    Fetch(fetch::Args),
    Pull(pull::Args),
    Prefetch(prefetch::Args),
    Prune(prune::Args),
    Gc(gc::Args),
    Repack(repack::Args),
    Fsck(fsck::Args),
    Repair(repair::Args),
    Checkout(checkout::Args),
    Serve(Box<serve::Args>),
    Signature(signature::Args),
    Delta(delta::Args),
    Patch(patch::Args),
    Install(install::Args),
    Uninstall(uninstall::Args),
    Estimate(estimate::Args),
    Env(env::Args),
    Doctor(doctor::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    Man(man::Args),
    FilterProcess(filter_process::Args),
    Clean(clean::Args),
    Smudge(smudge::Args),
    Hook(hook::Args),
    Guard(guard::Args),
}

impl Command {
    fn run(self, ui: &Ui) -> Outcome {
        match self {
            Command::Init(args) => init::run(args, ui),
            Command::Track(args) => track::run(args, ui),
            Command::Untrack(args) => untrack::run(args, ui),
            Command::Status(args) => status::run(args, ui),
            Command::LsFiles(args) => ls_files::run(args, ui),
            Command::Sync(args) => sync::run(args, ui),
            Command::Push(args) => push::run(args, ui),
            Command::Fetch(args) => fetch::run(args, ui),
            Command::Pull(args) => pull::run(args, ui),
            Command::Prefetch(args) => prefetch::run(args, ui),
            Command::Prune(args) => prune::run(args, ui),
            Command::Gc(args) => gc::run(args, ui),
            Command::Repack(args) => repack::run(args, ui),
            Command::Fsck(args) => fsck::run(args, ui),
            Command::Repair(args) => repair::run(args, ui),
            Command::Checkout(args) => checkout::run(args, ui),
            Command::Serve(args) => serve::run(*args, ui),
            Command::Signature(args) => signature::run(args, ui),
            Command::Delta(args) => delta::run(args, ui),
            Command::Patch(args) => patch::run(args, ui),
            Command::Install(args) => install::run(args, ui),
            Command::Uninstall(args) => uninstall::run(args, ui),
            Command::Estimate(args) => estimate::run(args, ui),
            Command::Env(args) => env::run(args, ui),
            Command::Doctor(args) => doctor::run(args, ui),
            Command::Demo(args) => demo::run(args, ui),
            Command::Completions(args) => completions::run(args, ui),
            Command::Man(args) => man::run(args, ui),
            Command::FilterProcess(args) => filter_process::run(args, ui),
            Command::Clean(args) => clean::run(args, ui),
            Command::Smudge(args) => smudge::run(args, ui),
            Command::Hook(args) => hook::run(args, ui),
            Command::Guard(args) => guard::run(args),
        }
    }
}

/// Runs the program: parses the arguments, runs the verb, prints its one error.
pub(crate) fn main() -> ExitCode {
    panic::set_hook(Box::new(report_bug));
    outlive_file_limit();
    // Where that is not known git's lock can outlive this process, as it can outlive git.
    let _ = std::env::current_exe().map(guard_with);
    // The hook has said it all; git and scripts need an exit code that they know.
    panic::catch_unwind(|| dispatch(std::env::args_os())).unwrap_or(ExitCode::FAILURE)
}

/// Lets a write beyond the user's limit on the size of files (`ulimit -f`) fail as on a full disk does:
/// the signal would end the process in the midst of a checkout.
fn outlive_file_limit() {
    #[cfg(unix)]
    {
        use signal_hook::{consts::SIGXFSZ, flag};
        // Nobody looks whether it came: the write says so. Without this it ends the process, and what
        // was kept stays kept.
        let _ = flag::register(SIGXFSZ, Arc::default());
    }
}

fn dispatch(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help for a reader that has gone is no failure, and for an error there is no other way.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let ui = Ui::new(Options {
        quiet: cli.global.quiet,
        json: cli.global.json,
        verbose: cli.global.verbose,
        no_progress: cli.global.no_progress,
    });
    let outcome = run(cli, &ui).and_then(|exit| ui.flush().map(|()| exit));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let failure = remedy::advise(failure);
            ui.fail(&failure);
            failure.into()
        }
    }
}

fn run(cli: Cli, ui: &Ui) -> Outcome {
    if let Some(directory) = &cli.global.start_in {
        std::env::set_current_dir(directory)
            .because(format_args!("cannot go to {}", directory.display()))?;
    }
    match cli.command {
        Some(command) => command.run(ui),
        None => {
            ui.line(Cli::command().render_help())?;
            Ok(Exit::Done)
        }
    }
}

/// The store of this repository; `None` where there is none yet, as looking must not make one.
fn store_of(repo: &Repo) -> crate::sync::Result<Option<Store>> {
    Home::of(repo)?.look()
}

fn report_bug(info: &panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let message = text.unwrap_or("no message");
    let place = info
        .location()
        .map(|l| format!(" at {}:{}", l.file(), l.line()));
    eprintln!(
        "lob: error: {}{}\nhint: this is a bug in lob {}; nothing that it acknowledged is lost. \
         Please report it with this message",
        crate::ui::escape::text(message),
        place.unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_teaches_with_an_example() {
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            assert!(verb.get_about().is_some(), "{name} says what it does");
            let after = verb.get_after_help().map(ToString::to_string);
            let shown = after.is_some_and(|text| text.contains(&format!("lob {name}")));
            assert!(
                shown || verb.is_hide_set(),
                "the help of {name} has an example"
            );
        }
    }

    #[test]
    fn no_verb_hides_a_global_option() {
        let lob = Cli::command();
        let globals: Vec<_> = lob.get_arguments().map(clap::Arg::get_id).collect();
        for verb in lob.get_subcommands() {
            for arg in verb.get_arguments() {
                assert!(
                    !globals.contains(&arg.get_id()),
                    "{} {}",
                    verb.get_name(),
                    arg.get_id()
                );
            }
        }
    }

    #[test]
    fn every_argument_is_explained() {
        for verb in Cli::command().get_subcommands() {
            for arg in verb.get_arguments() {
                let place = format!("{} {}", verb.get_name(), arg.get_id());
                assert!(arg.get_help().is_some(), "{place} has a help text");
            }
        }
    }
}

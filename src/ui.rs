//! How the program speaks: data to stdout, talk to stderr.
//!
//! A [`Ui`] is made once from the global options and the environment and handed to every verb.
//! With `--json` stdout carries one event a line (see [`json`]) and the small talk is left out;
//! with `--quiet` only errors and warnings are printed. Whatever is printed here as talk has its
//! control characters escaped, so that no path and no server can drive the terminal.

pub mod bytes;
pub mod escape;
mod failure;
pub mod json;
mod progress;
mod sink;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub use failure::{Exit, Explain, Failure, Kind};
pub use progress::{Bar, Reporting};
pub use sink::Captured;

/// What the user asked of the output; see [`Ui::new`] for what the environment adds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Print only errors and warnings.
    pub quiet: bool,
    /// Print events as JSON lines on stdout.
    pub json: bool,
    /// How much detail is wanted: 0, 1 or more.
    pub verbose: u8,
    /// Show no progress.
    pub no_progress: bool,
}

/// The program's output. Shared by reference; every method may be called from any thread.
pub struct Ui {
    options: Options,
    reporting: Reporting,
    colour: bool,
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    bars: indicatif::MultiProgress,
}

impl Ui {
    /// The output of this process: colours where stderr is a terminal, unless `NO_COLOR` is set or
    /// `CLICOLOR` is `0` (`CLICOLOR_FORCE` forces them); progress as `LOB_PROGRESS` says.
    pub fn new(options: Options) -> Ui {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is = |name, what: &str| std::env::var_os(name).is_some_and(|value| value == what);
        let terminal = io::stderr().is_terminal() && !is("TERM", "dumb");
        let colour = match () {
            () if set("NO_COLOR") => false,
            () if set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") => true,
            () => terminal && !is("CLICOLOR", "0"),
        };
        let wish = std::env::var("LOB_PROGRESS").ok();
        Ui {
            options,
            reporting: Reporting::choose(&options, wish.as_deref(), terminal),
            colour,
            // Stdout of the standard library flushes at every line; lists are long.
            out: Mutex::new(Box::new(io::BufWriter::with_capacity(
                1 << 16,
                io::stdout(),
            ))),
            err: Mutex::new(Box::new(io::stderr())),
            bars: indicatif::MultiProgress::new(),
        }
    }

    /// An output that is kept in memory, without colours and bars: for tests.
    pub fn captured(options: Options) -> (Ui, Captured) {
        let captured = Captured::default();
        let ui = Ui {
            options,
            reporting: Reporting::choose(&options, None, false),
            colour: false,
            out: Mutex::new(captured.out()),
            err: Mutex::new(captured.err()),
            bars: indicatif::MultiProgress::with_draw_target(
                indicatif::ProgressDrawTarget::hidden(),
            ),
        };
        (ui, captured)
    }

    /// Whether events are wanted on stdout instead of text.
    pub fn is_json(&self) -> bool {
        self.options.json
    }

    /// Whether only errors and warnings are wanted.
    pub fn is_quiet(&self) -> bool {
        self.options.quiet
    }

    /// How much detail is wanted: 0, 1 or more.
    pub fn verbosity(&self) -> u8 {
        self.options.verbose
    }

    /// Prints one line of data. Paths in it must be quoted by [`escape::path`].
    pub fn line(&self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.out(), "{text}").map_err(Failure::stdout)
    }

    /// Prints bytes of data as they are.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.out().write_all(bytes).map_err(Failure::stdout)
    }

    /// Prints an event of the documented schema, with the fields of `body` (a struct or a map),
    /// and lets it be seen at once. Does nothing without `--json`.
    pub fn event(&self, name: &str, body: impl Serialize) -> Result<(), Failure> {
        self.record(name, body)?;
        self.flush()
    }

    /// Like [`Ui::event`] for one of many: it may be seen later, with those that follow.
    pub fn record(&self, name: &str, body: impl Serialize) -> Result<(), Failure> {
        if !self.options.json {
            return Ok(());
        }
        let line = json::line(name, body)?;
        self.raw(&line)
    }

    /// Lets all data be seen.
    pub fn flush(&self) -> Result<(), Failure> {
        self.out().flush().map_err(Failure::stdout)
    }

    /// Says something to the user: neither with `--quiet` nor with `--json`.
    pub fn say(&self, text: impl Display) {
        if !self.options.quiet && !self.options.json {
            self.talk("", "", &text);
        }
    }

    /// Says a detail that is of interest with `--verbose` only.
    pub fn detail(&self, text: impl Display) {
        if self.options.verbose > 0 && !self.options.quiet {
            self.talk("", "", &text);
        }
    }

    /// Warns the user: something needs attention, the work goes on.
    pub fn warn(&self, text: impl Display) {
        self.talk("33", "lob: warning: ", &text);
        // The warning went out on stderr; a reader of events that is gone must not stop the work.
        let _ = self.event("warning", json::Message::new(&text));
    }

    /// Names a way on. Nothing with `--quiet`.
    pub fn hint(&self, text: impl Display) {
        if !self.options.quiet {
            self.talk("36", "hint: ", &text);
        }
    }

    /// Prints a failure: its message, causes and hints, and with `--json` the event `error`.
    pub fn fail(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        self.talk("31", "lob: error: ", &failure.message());
        for cause in failure.causes() {
            self.talk("", "  caused by: ", cause);
        }
        for hint in failure.hints() {
            self.talk("36", "hint: ", hint);
        }
        // Nobody is left to tell when stdout is gone too.
        let _ = self.event("error", failure);
    }

    /// Starts to report work in progress; see [`Bar`].
    pub fn bar(&self, task: &'static str, bytes: Option<u64>, lobs: Option<u64>) -> Bar<'_> {
        Bar::start(self, self.reporting, task, bytes, lobs)
    }

    /// Writes one message to stderr, under a heading in a colour.
    fn talk(&self, colour: &str, heading: &str, text: &dyn Display) {
        let text = text.to_string();
        let text = escape::talk(text.trim_end_matches('\n'));
        let message = if self.colour && !colour.is_empty() {
            format!("\x1b[{colour}m{heading}\x1b[0m{text}\n")
        } else {
            format!("{heading}{text}\n")
        };
        self.bars.suspend(|| {
            // Data comes before the talk about it where both go to one terminal. Errors to report
            // an error have nowhere to go.
            let _ = self.out().flush();
            let _ = self.err().write_all(message.as_bytes());
        });
    }

    fn bars(&self) -> &indicatif::MultiProgress {
        &self.bars
    }

    fn out(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn err(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.err.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ui(quiet: bool, json: bool) -> (Ui, Captured) {
        Ui::captured(Options {
            quiet,
            json,
            ..Options::default()
        })
    }

    #[test]
    fn talk_goes_to_stderr_and_data_to_stdout() {
        let (ui, captured) = ui(false, false);
        ui.say("made the store");
        ui.line("a.bin").unwrap();
        ui.event("done", json::Message::new("x")).unwrap();
        assert_eq!(captured.stdout(), "a.bin\n");
        assert_eq!(captured.stderr(), "made the store\n");
    }

    #[test]
    fn quiet_leaves_out_all_but_warnings_and_errors() {
        let (ui, captured) = ui(true, false);
        ui.say("a");
        ui.hint("b");
        ui.detail("c");
        ui.warn("d");
        ui.fail(&Failure::new("e").hint("f"));
        assert_eq!(
            captured.stderr(),
            "lob: warning: d\nlob: error: e\nhint: f\n"
        );
    }

    #[test]
    fn json_leaves_only_events_on_stdout() {
        let (ui, captured) = ui(false, true);
        ui.say("small talk");
        ui.warn("careful");
        ui.fail(&Failure::usage("no such mode").hint("try --mode committed"));
        assert_eq!(
            captured.stdout(),
            concat!(
                r#"{"event":"warning","message":"careful"}"#,
                "\n",
                r#"{"event":"error","kind":"usage","code":2,"message":"no such mode","#,
                r#""causes":[],"hints":["try --mode committed"]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn nothing_that_is_said_can_drive_the_terminal() {
        let (ui, captured) = ui(false, false);
        ui.warn("bad \x1b[2Jname \u{202e}txt\rlob: error: spoof");
        ui.fail(&Failure::new("first\nlob: error: spoof\n"));
        assert_eq!(
            captured.stderr(),
            "lob: warning: bad \\x1b[2Jname \\u{202e}txt\\x0dlob: error: spoof\n\
             lob: error: first\n    lob: error: spoof\n"
        );
    }
}

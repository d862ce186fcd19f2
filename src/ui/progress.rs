//! Work in progress: a bar on a terminal, stable lines elsewhere, events for programs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;

use super::bytes::{self, Size};
use super::{Options, Ui};

/// How work in progress is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporting {
    /// Not at all.
    Off,
    /// A bar that is redrawn.
    Bar,
    /// A line at the start, and one every few seconds of longer work.
    Lines,
    /// Events on stdout.
    Events,
}

impl Reporting {
    /// What the options and `LOB_PROGRESS` (`off`, `bar`, `lines`) ask for; on its own a bar where
    /// stderr is a terminal and lines elsewhere.
    pub(super) fn choose(options: &Options, wish: Option<&str>, terminal: bool) -> Reporting {
        match wish {
            _ if options.quiet || options.no_progress => Reporting::Off,
            Some("off" | "0" | "none" | "never") => Reporting::Off,
            _ if options.json => Reporting::Events,
            Some("bar") => Reporting::Bar,
            Some("lines") => Reporting::Lines,
            _ if terminal => Reporting::Bar,
            _ => Reporting::Lines,
        }
    }

    /// Time before the first report, and between two.
    fn rhythm(self) -> (Duration, Duration) {
        match self {
            Reporting::Off => (Duration::MAX, Duration::MAX),
            // Work that is over before the eye sees it needs no bar.
            Reporting::Bar => (Duration::from_millis(250), Duration::from_millis(80)),
            Reporting::Lines => (Duration::from_secs(4), Duration::from_secs(4)),
            Reporting::Events => (Duration::from_millis(500), Duration::from_millis(500)),
        }
    }
}

/// One task in progress, counted in bytes and lobs. Counting is an atomic addition, and one thread
/// at a time reports. Ends with [`Bar::finish`], or without a word when it is dropped.
pub struct Bar<'ui> {
    ui: &'ui Ui,
    reporting: Reporting,
    task: &'static str,
    total_bytes: Option<u64>,
    total_lobs: Option<u64>,
    bytes: AtomicU64,
    lobs: AtomicU64,
    started: Instant,
    /// Milliseconds after the start at which the next report is due.
    due: AtomicU64,
    shown: OnceLock<ProgressBar>,
    told: AtomicU64,
}

/// The event `progress`.
#[derive(Serialize)]
struct Report {
    task: &'static str,
    bytes: u64,
    total_bytes: Option<u64>,
    lobs: u64,
    total_lobs: Option<u64>,
    seconds: f64,
    done: bool,
}

impl<'ui> Bar<'ui> {
    /// Starts a task named by a verb in its `-ing` form ("Sending"), of so many bytes and lobs
    /// where that is known.
    pub(super) fn start(
        ui: &'ui Ui,
        reporting: Reporting,
        task: &'static str,
        total_bytes: Option<u64>,
        total_lobs: Option<u64>,
    ) -> Bar<'ui> {
        let (first, _) = reporting.rhythm();
        let bar = Bar {
            ui,
            reporting,
            task,
            total_bytes,
            total_lobs,
            bytes: AtomicU64::new(0),
            lobs: AtomicU64::new(0),
            started: Instant::now(),
            due: AtomicU64::new(millis(first)),
            shown: OnceLock::new(),
            told: AtomicU64::new(0),
        };
        if reporting == Reporting::Lines {
            ui.say(format_args!("{task} {}", bar.extent()));
        }
        bar
    }

    /// Bytes counted so far.
    pub fn done_bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Lobs counted so far.
    pub fn done_lobs(&self) -> u64 {
        self.lobs.load(Relaxed)
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the report: the bar goes, for the summary that follows; longer work that was reported
    /// in lines gets a last one.
    pub fn finish(self) {
        match self.reporting {
            Reporting::Events => self.send(true),
            Reporting::Lines if self.told.load(Relaxed) > 0 => self.ui.say(format_args!(
                "{}: {} in {}",
                self.task,
                Size(self.done_bytes()),
                bytes::duration(self.elapsed())
            )),
            _ => {}
        }
    }

    fn extent(&self) -> String {
        let lobs = self.total_lobs.map(|n| match n {
            1 => "1 lob".to_owned(),
            n => format!("{n} lobs"),
        });
        let bytes = self.total_bytes.map(|n| Size(n).to_string());
        match (lobs, bytes) {
            (Some(lobs), Some(bytes)) => format!("{lobs}, {bytes}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "...".to_owned(),
        }
    }

    /// Reports if a report is due, unless another thread is at it.
    fn tick(&self) {
        let now = millis(self.started.elapsed());
        let due = self.due.load(Relaxed);
        if now < due {
            return;
        }
        let (_, pause) = self.reporting.rhythm();
        let next = now.saturating_add(millis(pause));
        if self
            .due
            .compare_exchange(due, next, Relaxed, Relaxed)
            .is_ok()
        {
            self.report();
        }
    }

    fn report(&self) {
        match self.reporting {
            Reporting::Off => {}
            Reporting::Bar => {
                let bar = self.shown.get_or_init(|| self.draw());
                bar.set_position(self.done_bytes());
            }
            Reporting::Lines => self.tell(),
            Reporting::Events => self.send(false),
        }
    }

    fn draw(&self) -> ProgressBar {
        let bar = match self.total_bytes {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let template = match self.total_bytes {
            Some(_) => "{msg} [{wide_bar}] {done} of {total}, {rate}, {left}",
            None => "{spinner} {msg} {done}, {rate}",
        };
        type Out<'a> = &'a mut dyn std::fmt::Write;
        // An error of these means that the terminal is gone.
        let style = ProgressStyle::with_template(template)
            .expect("the templates are constants that a test draws")
            .with_key("done", |state: &ProgressState, out: Out<'_>| {
                let _ = write!(out, "{}", Size(state.pos()));
            })
            .with_key("total", |state: &ProgressState, out: Out<'_>| {
                let _ = write!(out, "{}", Size(state.len().unwrap_or_default()));
            })
            .with_key("rate", |state: &ProgressState, out: Out<'_>| {
                let _ = write!(out, "{}", bytes::rate(state.pos(), state.elapsed()));
            })
            .with_key("left", |state: &ProgressState, out: Out<'_>| {
                let left = time_left(state.pos(), state.len(), state.elapsed());
                let _ = write!(out, "{}", bytes::clock(left));
            })
            .progress_chars("=> ");
        let bar = self.ui.bars().add(bar.with_elapsed(self.started.elapsed()));
        bar.set_style(style);
        bar.set_message(self.task);
        // Keeps the clock honest while the work is stalled.
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }

    /// One line: how far, how fast, how long yet.
    fn tell(&self) {
        self.told.fetch_add(1, Relaxed);
        let (done, elapsed) = (self.done_bytes(), self.elapsed());
        let rate = bytes::rate(done, elapsed);
        let Some(total) = self.total_bytes.filter(|total| *total > 0) else {
            let done = Size(done);
            return self.ui.say(format_args!("{}: {done}, {rate}", self.task));
        };
        let part = done as f64 / total as f64;
        let left = time_left(done, Some(total), elapsed);
        self.ui.say(format_args!(
            "{}: {:.0}%, {} of {}, {rate}, {} left",
            self.task,
            (part * 100.0).min(100.0),
            Size(done),
            Size(total),
            bytes::clock(left)
        ));
    }

    fn send(&self, done: bool) {
        let report = Report {
            task: self.task,
            bytes: self.done_bytes(),
            total_bytes: self.total_bytes,
            lobs: self.done_lobs(),
            total_lobs: self.total_lobs,
            seconds: self.elapsed().as_secs_f64(),
            done,
        };
        // A reader that is gone is noticed where the result is printed.
        let _ = self.ui.event("progress", report);
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.shown.get() {
            bar.finish_and_clear();
            self.ui.bars().remove(bar);
        }
    }
}

impl lob_store::Progress for Bar<'_> {
    fn bytes(&self, n: u64) {
        self.bytes.fetch_add(n, Relaxed);
        self.tick();
    }

    fn lob(&self) {
        self.lobs.fetch_add(1, Relaxed);
        self.tick();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// At the rate so far, which a stall makes slower; `None` until something has moved, or where the
/// total is not known.
fn time_left(done: u64, total: Option<u64>, elapsed: Duration) -> Option<Duration> {
    let left = total?.checked_sub(done)?;
    let seconds = elapsed.as_secs_f64() * left as f64 / done as f64;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lob_store::Progress;

    fn options(json: bool) -> Options {
        Options {
            json,
            ..Options::default()
        }
    }

    #[test]
    fn the_wish_of_the_user_comes_before_the_terminal() {
        let plain = options(false);
        let quiet = Options {
            quiet: true,
            ..plain
        };
        let choose = Reporting::choose;
        assert_eq!(choose(&plain, None, true), Reporting::Bar);
        assert_eq!(choose(&plain, None, false), Reporting::Lines);
        assert_eq!(choose(&plain, Some("off"), true), Reporting::Off);
        assert_eq!(choose(&plain, Some("bar"), false), Reporting::Bar);
        assert_eq!(choose(&options(true), Some("bar"), true), Reporting::Events);
        assert_eq!(choose(&quiet, Some("bar"), true), Reporting::Off);
    }

    #[test]
    fn short_work_gets_one_stable_line() {
        let (ui, captured) = Ui::captured(options(false));
        let bar = ui.bar("Sending", Some(3_000_000), Some(2));
        bar.bytes(3_000_000);
        bar.lob();
        bar.finish();
        assert_eq!(captured.stderr(), "Sending 2 lobs, 3.0 MB\n");
        assert_eq!(captured.stdout(), "");
    }

    #[test]
    fn a_late_line_says_how_far_and_how_long() {
        let (ui, captured) = Ui::captured(options(false));
        let mut bar = ui.bar("Sending", Some(4_000_000), None);
        bar.started -= Duration::from_secs(5);
        bar.bytes(1_000_000);
        bar.bytes(1_000_000);
        let stderr = captured.stderr();
        let lines: Vec<_> = stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with("Sending: 25%, 1.0 MB of 4.0 MB, 2"));
        assert!(lines[1].ends_with(" kB/s, 00:15 left"), "{}", lines[1]);
        bar.finish();
        assert!(captured.stderr().contains("Sending: 2.0 MB in 5.0"));
    }

    #[test]
    fn events_end_with_the_totals_even_when_counted_by_many_threads() {
        let (ui, captured) = Ui::captured(options(true));
        let bar = ui.bar("Sending", None, Some(800));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        bar.bytes(10);
                        bar.lob();
                    }
                });
            }
        });
        bar.finish();
        let stdout = captured.stdout();
        let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        assert_eq!(last["event"], "progress");
        assert_eq!(last["bytes"], 8000);
        assert_eq!(last["lobs"], 800);
        assert_eq!(last["total_bytes"], serde_json::Value::Null);
        assert_eq!(last["done"], true);
    }

    #[test]
    fn the_time_left_is_known_once_something_has_moved() {
        let elapsed = Duration::from_secs(10);
        let left = |done, total| time_left(done, total, elapsed);
        assert_eq!(left(25, Some(100)), Some(Duration::from_secs(30)));
        assert_eq!(left(100, Some(100)), Some(Duration::ZERO));
        assert_eq!(left(0, Some(100)), None);
        assert_eq!(left(0, Some(0)), None);
        assert_eq!(left(101, Some(100)), None);
        assert_eq!(left(5, None), None);
    }

    #[test]
    fn a_bar_can_be_drawn_with_and_without_a_total() {
        let (ui, captured) = Ui::captured(options(false));
        for total in [Some(0), Some(100), None] {
            let mut bar = Bar::start(&ui, Reporting::Bar, "Sending", total, None);
            bar.started -= Duration::from_secs(1);
            bar.bytes(60);
            assert!(bar.shown.get().is_some());
            bar.finish();
        }
        assert_eq!(captured.stderr(), "");
    }
}

//! The programme of reliability: suites that try, by the thousand, to make lob lose a byte.
//!
//! The plain test command runs the quick tier. `tests/programme.sh` runs the full one, and writes
//! the figures of both kinds of suites, these and the fuzzers, into docs/reliability.md.

mod concurrency;
mod damage;
#[cfg(target_os = "linux")]
mod errors;
mod figures;
#[cfg(target_os = "linux")]
mod full_disk;
mod fuzz;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod inject;
#[cfg(target_os = "linux")]
mod kills;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod model;
#[cfg(target_os = "linux")]
pub mod network;
mod power;
#[cfg(target_os = "linux")]
mod prune;
#[cfg(target_os = "linux")]
mod scene;
mod service;
#[cfg(target_os = "linux")]
mod task;
#[cfg(target_os = "linux")]
mod version;

use std::fmt::Write;
use std::path::Path;

/// How much of a suite runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Minutes for all suites together: part of the plain test command.
    Quick,
    /// Hours: on demand.
    Full,
}

impl Tier {
    /// The tier that was asked for: `LOB_TIER=full`, else the quick one.
    ///
    /// # Panics
    ///
    /// If the variable says something else: a run that quietly did less would prove nothing.
    pub fn asked() -> Self {
        match std::env::var("LOB_TIER").as_deref() {
            Err(_) | Ok("quick") => Self::Quick,
            Ok("full") => Self::Full,
            Ok(other) => panic!("LOB_TIER is quick or full, not {other:?}"),
        }
    }

    /// The one of two that this tier takes.
    pub fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// Prints what a suite did, and leaves it for the report where `LOB_TIER_REPORT` names a folder.
///
/// A figure is what was counted, and how often: ("states", 20000). Suites assert their figures
/// themselves: a suite that injected nothing has shown nothing.
pub fn report(suite: &str, figures: &[(&str, u64)]) {
    let mut lines = String::new();
    for (what, count) in figures {
        writeln!(lines, "{suite}\t{what}\t{count}").unwrap();
    }
    print!("{lines}");
    if let Some(folder) = std::env::var_os("LOB_TIER_REPORT") {
        let place = Path::new(&folder).join(format!("{suite}.tsv"));
        std::fs::write(place, lines).unwrap();
    }
}

#[test]
fn a_tier_is_asked_for_by_name() {
    assert_eq!(Tier::Quick.pick(1, 2), 1);
    assert_eq!(Tier::Full.pick(1, 2), 2);
    assert!(matches!(Tier::asked(), Tier::Quick | Tier::Full));
    report("tiers", &[("known", 2)]);
}

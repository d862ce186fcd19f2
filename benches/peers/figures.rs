//! What is measured, and the figures of one or more runs.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Time,
    /// Bytes.
    Size,
}

/// One thing that is measured, for all tools alike. The order is that of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    AddFirst,
    PushFirst,
    SaveFirst,
    SyncedFirst,
    AddLater,
    PushLater,
    SaveLater,
    SyncedLater,
    Status,
    Clone,
    Cpu,
    RemoteFirst,
    RemoteGrowth,
    LocalFirst,
    LocalGrowth,
    PeakAdd,
    PeakPush,
    PeakClone,
}

impl Measure {
    /// Its name in the tables.
    pub fn label(self) -> &'static str {
        match self {
            Measure::AddFirst => "first version: add, commit",
            Measure::PushFirst => "first version: push",
            Measure::SaveFirst => "first version: all, or backup",
            Measure::SyncedFirst => "first version: until on the disk",
            Measure::AddLater => "later versions: add, commit",
            Measure::PushLater => "later versions: push",
            Measure::SaveLater => "later versions: all, or backup",
            Measure::SyncedLater => "later versions: until on the disk",
            Measure::Status => "status",
            Measure::Clone => "clone with checkout, or restore",
            Measure::Cpu => "processor time of all of that",
            Measure::RemoteFirst => "remote after the first version",
            Measure::RemoteGrowth => "remote: growth by later versions",
            Measure::LocalFirst => "local after the first version",
            Measure::LocalGrowth => "local: growth by later versions",
            Measure::PeakAdd => "peak memory: add, commit",
            Measure::PeakPush => "peak memory: push, or backup",
            Measure::PeakClone => "peak memory: clone, or restore",
        }
    }

    /// What it counts.
    pub fn unit(self) -> Unit {
        use Measure::{
            LocalFirst, LocalGrowth, PeakAdd, PeakClone, PeakPush, RemoteFirst, RemoteGrowth,
        };
        match self {
            RemoteFirst | RemoteGrowth | LocalFirst | LocalGrowth | PeakAdd | PeakPush
            | PeakClone => Unit::Size,
            _ => Unit::Time,
        }
    }
}

/// The figures of one run, in seconds and bytes. What a tool has no step for is not in it.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Figures(BTreeMap<Measure, f64>);

impl Figures {
    /// Sets a time, if there is one.
    pub fn time(&mut self, measure: Measure, time: impl Into<Option<Duration>>) {
        let time = time.into().map(|time| time.as_secs_f64());
        self.0.extend(time.map(|time| (measure, time)));
    }

    /// Sets a size, if there is one.
    pub fn size(&mut self, measure: Measure, bytes: impl Into<Option<u64>>) {
        let bytes = bytes.into().map(|bytes| bytes as f64);
        self.0.extend(bytes.map(|bytes| (measure, bytes)));
    }

    /// One figure.
    pub fn get(&self, measure: Measure) -> Option<f64> {
        self.0.get(&measure).copied()
    }

    /// Everything that is in it.
    pub fn measures(&self) -> impl Iterator<Item = Measure> {
        self.0.keys().copied()
    }

    /// The median of each measure.
    pub fn medians(runs: &[Figures]) -> Figures {
        let mut all: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        for run in runs {
            for (measure, value) in &run.0 {
                all.entry(*measure).or_default().push(*value);
            }
        }
        let medians = all
            .into_iter()
            .filter_map(|(measure, values)| Some((measure, median(values)?)));
        Figures(medians.collect())
    }

    /// Each figure divided by the same one of `base`, where that is not 0.
    pub fn ratios(&self, base: &Figures) -> Figures {
        let ratios = self.0.iter().filter_map(|(measure, value)| {
            let base = base.get(*measure).filter(|base| *base > 0.0)?;
            Some((*measure, value / base))
        });
        Figures(ratios.collect())
    }
}

/// The middle one, or the mean of the two that are.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

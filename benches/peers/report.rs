//! Everything that was measured, as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::{Explain, Failure};
use crate::figures::Figures;
use crate::machine::Machine;
use crate::options::Options;
use crate::tool::Installed;
use crate::workload::Workload;

/// The tool that all others are compared with.
pub const BASE: &str = "git-lfs";

/// All workloads of a run. Times are in seconds, sizes in bytes.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    machine: Machine,
    scale: f64,
    /// Whether the remotes were given a place of their own.
    remotes_elsewhere: bool,
    versions: BTreeMap<&'static str, String>,
    /// The workloads that are done.
    pub sections: Vec<Section>,
}

impl Report {
    /// An empty report.
    pub fn new(options: &Options, tools: &[Installed]) -> Report {
        let version = |one: &Installed| (one.tool.name(), one.version.clone());
        Report {
            machine: Machine::look(),
            scale: options.scale,
            remotes_elsewhere: options.remotes.is_some(),
            versions: tools.iter().map(version).collect(),
            sections: Vec::new(),
        }
    }

    /// Whether every tool did all of its work right.
    pub fn is_right(&self) -> bool {
        let mut results = self.sections.iter().flat_map(|section| &section.results);
        results.all(|result| result.failures.is_empty())
    }

    /// Writes it to a file, which is replaced.
    pub fn write(&self, file: &Path) -> Result<(), Failure> {
        let what = format!("cannot write {}", file.display());
        let mut text = serde_json::to_string_pretty(self).because(&what)?;
        text.push('\n');
        std::fs::write(file, text).because(&what)
    }
}

/// All tools in one workload.
#[derive(Debug, serde::Serialize)]
pub struct Section {
    /// The name of the workload.
    pub workload: &'static str,
    /// What it is.
    pub about: String,
    /// The bytes of all versions.
    pub input: u64,
    /// The tools in the order of the command line.
    pub results: Vec<Outcome>,
}

/// One tool in one workload.
#[derive(Debug, serde::Serialize)]
pub struct Outcome {
    /// Its name.
    pub tool: &'static str,
    /// The medians of the runs.
    pub medians: Figures,
    /// The medians relative to those of Git LFS, where that was measured.
    pub ratios: Figures,
    /// Each run that went well.
    pub runs: Vec<Figures>,
    /// Why the other runs did not.
    pub failures: Vec<String>,
}

impl Section {
    /// A section without results.
    pub fn new(workload: &Workload, tools: impl Iterator<Item = &'static str>) -> Section {
        let results = tools.map(|tool| Outcome {
            tool,
            medians: Figures::default(),
            ratios: Figures::default(),
            runs: Vec::new(),
            failures: Vec::new(),
        });
        Section {
            workload: workload.name,
            about: workload.about.clone(),
            input: workload.bytes(),
            results: results.collect(),
        }
    }

    /// Takes the result of a run, and computes medians and ratios anew.
    pub fn add(&mut self, tool: &str, result: Result<Figures, Failure>) {
        let Some(place) = self.results.iter_mut().find(|result| result.tool == tool) else {
            return;
        };
        match result {
            Ok(figures) => place.runs.push(figures),
            Err(failure) => place.failures.push(failure.to_string()),
        }
        place.medians = Figures::medians(&place.runs);
        let base = self.results.iter().find(|result| result.tool == BASE);
        let base = base.map(|base| base.medians.clone()).unwrap_or_default();
        for result in &mut self.results {
            result.ratios = result.medians.ratios(&base);
        }
    }
}

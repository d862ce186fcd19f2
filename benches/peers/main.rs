//! The same real work through lob and its peers, in one run.
//!
//! `cargo bench --bench peers -- --scale 0.1` is a quick look; docs/benchmarks.md says what is
//! measured and how. Tools take turns within a round, since a machine that others share is never
//! the same twice, and every clone is compared with its source byte for byte.

#![forbid(unsafe_code)]

mod content;
mod failure;
mod figures;
mod machine;
mod memory;
mod options;
mod report;
mod step;
mod table;
mod tool;
mod tree;
mod trial;
mod workload;
mod world;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use failure::{Explain, Failure};
use options::Options;
use report::{Report, Section};
use tool::Installed;
use workload::Workload;

/// How often the content of a workload is on the disk at once, at most: the source, the work tree,
/// the local and the remote store, and the clone with its own store.
const COPIES: u64 = 6;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("peers: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every tool did its work right.
fn run(options: &Options) -> Result<bool, Failure> {
    let place = options.place()?;
    let dir = tempfile::Builder::new()
        .prefix("lob-peers-")
        .tempdir_in(&place)
        .because(format_args!(
            "cannot make a directory in {}",
            place.display()
        ))?;
    let tools = installed(options, dir.path())?;
    let mut report = Report::new(options, &tools);
    for name in &options.workloads {
        let source = dir.path().join("source");
        let workload = Workload::make(*name, &source, options.scale)?;
        check_space(&place, &workload)?;
        report
            .sections
            .push(rounds(&workload, &tools, options, dir.path())?);
        tree::remove(&source)?;
        if let Some(section) = report.sections.last() {
            println!("{}", table::Table::of(section));
        }
        // After each workload, since a long run that is cut short has results too.
        if let Some(file) = &options.json {
            report.write(file)?;
        }
    }
    if tools.iter().any(|one| one.tool.name() == "rsync") {
        println!("rsync makes a mirror: its remote holds the last version only.");
    }
    Ok(report.is_right())
}

/// The tools that were asked for and are there. The others are named.
fn installed(options: &Options, dir: &Path) -> Result<Vec<Installed>, Failure> {
    let mut tools = Vec::new();
    for name in &options.tools {
        let tool = tool::named(*name);
        match tool::version(tool.as_ref(), dir)? {
            Some(version) => {
                println!("{}: {version}", tool.name());
                tools.push(Installed { tool, version });
            }
            None => println!("{}: not installed, skipped", tool.name()),
        }
    }
    Ok(tools)
}

/// Every tool through one workload, as many times as was asked.
fn rounds(
    workload: &Workload,
    tools: &[Installed],
    options: &Options,
    dir: &Path,
) -> Result<Section, Failure> {
    let mut section = Section::new(workload, tools.iter().map(|one| one.tool.name()));
    for round in 0..options.runs {
        // Every other round the other way: none always comes after the same neighbour.
        let mut turns: Vec<_> = tools.iter().collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for Installed { tool, .. } in turns {
            let name = tool.name();
            let world = dir.join(format!("{name}-{round}"));
            eprintln!("{} {}/{}: {name}", workload.name, round + 1, options.runs);
            let result = trial::run(tool.as_ref(), workload, &world);
            tree::remove(&world)?;
            if let Err(failure) = &result {
                eprintln!("{name}: {failure}");
            }
            section.add(name, result);
        }
    }
    Ok(section)
}

/// Fails before the disk is full.
fn check_space(place: &Path, workload: &Workload) -> Result<(), Failure> {
    let need = workload.bytes() * COPIES;
    match tree::free(place) {
        Some(free) if free < need => Err(Failure::Wrong(format!(
            "{} has {free} bytes free and {} needs {need}; choose another place by --dir or a \
             smaller --scale",
            place.display(),
            workload.name
        ))),
        _ => Ok(()),
    }
}

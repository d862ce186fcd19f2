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

use failure::Failure;
use options::Options;
use report::{Report, Section};
use tool::Installed;
use workload::Workload;
use world::World;

/// How often the content of a workload is on the disk at once, at most: the source, the work tree,
/// the local and the remote store, and the clone with its own store.
const COPIES: u64 = 6;

/// Where the work is done.
struct Places<'d> {
    /// Everything but the remotes.
    dir: &'d Path,
    /// The remotes.
    remotes: &'d Path,
}

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
    let dir = options.make_dir()?;
    let remotes = options.make_remotes()?;
    let places = Places {
        dir: dir.path(),
        remotes: remotes.as_ref().unwrap_or(&dir).path(),
    };
    let tools = installed(options, dir.path())?;
    let mut report = Report::new(options, &tools);
    for name in &options.workloads {
        let source = dir.path().join("source");
        let workload = Workload::make(*name, &source, options.scale)?;
        check_space(&places, &workload)?;
        report
            .sections
            .push(rounds(&workload, &tools, options, &places)?);
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
    places: &Places,
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
            let world = places.dir.join(format!("{name}-{round}"));
            let remote = places.remotes.join(format!("{name}-{round}.remote"));
            eprintln!("{} {}/{}: {name}", workload.name, round + 1, options.runs);
            let result = trial::run(tool.as_ref(), workload, &World::new(&world, &remote)?);
            tree::remove(&world)?;
            tree::remove(&remote)?;
            if let Err(failure) = &result {
                eprintln!("{name}: {failure}");
            }
            section.add(name, result);
        }
    }
    Ok(section)
}

/// Fails before a disk is full.
fn check_space(places: &Places, workload: &Workload) -> Result<(), Failure> {
    for (place, copies) in [(places.dir, COPIES), (places.remotes, 2)] {
        let need = workload.bytes() * copies;
        let free = tree::free(place).unwrap_or(u64::MAX);
        if free < need {
            return Err(Failure::Wrong(format!(
                "{} has {free} bytes free and {} needs {need}; choose another place by --dir and \
                 --remotes, or a smaller --scale",
                place.display(),
                workload.name
            )));
        }
    }
    Ok(())
}

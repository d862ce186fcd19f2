//! `lob demo`: the main job on real files in a temporary directory, every byte checked.

mod content;
mod table;
mod world;

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::Outcome;
use crate::ui::bytes::{Size, duration};
use crate::ui::{Exit, Explain, Failure, Ui};
use content::Program;
use table::Table;
use world::World;

/// Bytes that the edit inserts into the largest file.
const INSERTED: usize = 4096;

/// See lob at work on files of this machine
///
/// Makes repositories in a temporary directory and fills one with programs of this machine. Tracks,
/// commits, pushes, clones, edits, pushes again, switches back, prefetches and repairs, compares
/// every byte, and shows what it cost against storage of whole files. Takes seconds, needs no
/// network, and leaves nothing behind.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lob demo")]
pub(super) struct Args {}

pub(super) fn run(_: Args, ui: &Ui) -> Outcome {
    let start = Instant::now();
    let world = World::new()?;
    let programs = content::find(world.lob())?;
    let total: u64 = programs.iter().map(|p| p.len).sum();
    ui.line(format_args!(
        "{} programs of this machine, {} in all, in a temporary directory\n",
        programs.len(),
        Size(total)
    ))?;

    let artist = world.dir("artist");
    set_up(&world, ui, &artist, &programs)?;
    let first_stored = world.stored("artist/.git/lob")?;
    let first_moved = world.stored("server.git/lob")?;

    let colleague = world.dir("colleague");
    step(ui, "git clone: a colleague gets everything")?;
    world.git(world.root(), &["clone", "-q", "server.git", "colleague"])?;
    world.same_files(&artist, &colleague)?;

    let edited = edit(&world, ui, &artist, &programs)?;
    let second_moved = world.stored("server.git/lob")? - first_moved;
    let second_stored = world.stored("artist/.git/lob")? - first_stored;

    travel(&world, ui, &artist, &colleague)?;
    prefetch(&world, ui, &artist)?;
    repair(&world, ui, &colleague, edited)?;

    let mut table = Table::new(["", "files", "whole-file storage", "lob"]);
    let whole = edited.len;
    table.row([
        "the first version",
        &size(total),
        &size(total),
        &size(first_stored),
    ]);
    let inserted = format!("after {INSERTED} bytes were inserted");
    table.row([&inserted, &size(whole), &plus(whole), &plus(second_stored)]);
    table.row([
        "moved by the first push",
        &size(total),
        &size(total),
        &size(first_moved),
    ]);
    table.row([
        "moved by the push of the edit",
        &size(whole),
        &size(whole),
        &size(second_moved),
    ]);
    ui.line(format_args!("\n{table}"))?;
    ui.line(format_args!(
        "Every byte was compared at every step. It took {}, and nothing is left of it.",
        duration(start.elapsed())
    ))?;
    world.remove()?;
    Ok(Exit::Done)
}

fn step(ui: &Ui, text: &str) -> Result<(), Failure> {
    ui.line(format_args!("- {text}"))
}

fn size(bytes: u64) -> String {
    Size(bytes).to_string()
}

fn plus(bytes: u64) -> String {
    format!("+ {}", Size(bytes))
}

/// The artist's repository with the programs in it, pushed to a bare one.
fn set_up(world: &World, ui: &Ui, artist: &Path, programs: &[Program]) -> Result<(), Failure> {
    step(ui, "lob install, git init, lob init, lob track: set up")?;
    world.lob_run(world.root(), &["install"])?;
    world.git(world.root(), &["init", "-q", "--bare", "server.git"])?;
    world.git(world.root(), &["init", "-q", "artist"])?;
    world.git(artist, &["remote", "add", "origin", "../server.git"])?;
    world.lob_run(artist, &["init"])?;
    world.lob_run(artist, &["track", "*.bin"])?;
    for program in programs {
        let to = artist.join(&program.name);
        fs::copy(&program.path, &to)
            .because(format_args!("cannot copy {}", program.path.display()))?;
    }
    step(
        ui,
        "git add, git commit: the content goes to the store, a pointer to git",
    )?;
    world.git(artist, &["add", "."])?;
    world.git(artist, &["commit", "-q", "-m", "First version"])?;
    step(ui, "git push: first the content, then the commits")?;
    world.git(artist, &["push", "-q", "origin", "main"])
}

/// Inserts a few bytes into the largest file, and pushes that.
fn edit<'p>(
    world: &World,
    ui: &Ui,
    artist: &Path,
    programs: &'p [Program],
) -> Result<&'p Program, Failure> {
    let largest = programs
        .iter()
        .max_by_key(|program| program.len)
        .ok_or_else(|| Failure::new("there is no file to edit"))?;
    step(ui, "the artist edits a file: add, commit, push")?;
    let path = artist.join(&largest.name);
    let mut bytes = fs::read(&path).because("cannot read the file to edit")?;
    let middle = bytes.len() / 2;
    let inserted: Vec<u8> = (0..INSERTED).map(|n| (n * n / 7 + n) as u8).collect();
    drop(bytes.splice(middle..middle, inserted));
    fs::write(&path, &bytes).because("cannot write the edited file")?;
    world.git(artist, &["commit", "-q", "-a", "-m", "Second version"])?;
    world.git(artist, &["push", "-q", "origin", "main"])?;
    Ok(largest)
}

/// Pull the new version, go back to the old one and forth again.
fn travel(world: &World, ui: &Ui, artist: &Path, colleague: &Path) -> Result<(), Failure> {
    step(ui, "git pull: the colleague gets the edit")?;
    world.git(colleague, &["pull", "-q"])?;
    world.same_files(artist, colleague)?;
    step(ui, "git switch: back to the first version, and forth")?;
    world.git(colleague, &["switch", "-q", "--detach", "HEAD~1"])?;
    world.git(artist, &["switch", "-q", "--detach", "HEAD~1"])?;
    world.same_files(artist, colleague)?;
    world.git(colleague, &["switch", "-q", "main"])?;
    world.git(artist, &["switch", "-q", "main"])?;
    world.same_files(artist, colleague)?;
    world.clean(colleague)
}

/// A new clone prefetches, loses its server, and goes back to the old version all the same.
fn prefetch(world: &World, ui: &Ui, artist: &Path) -> Result<(), Failure> {
    step(
        ui,
        "lob prefetch: a new clone goes back in time with its server out of reach",
    )?;
    let traveller = world.dir("traveller");
    world.git(world.root(), &["clone", "-q", "server.git", "traveller"])?;
    world.lob_run(&traveller, &["prefetch"])?;
    let (server, away) = (world.dir("server.git"), world.dir("server-away.git"));
    fs::rename(&server, &away).because("cannot take the server away")?;
    world.git(&traveller, &["switch", "-q", "--detach", "HEAD~1"])?;
    world.git(artist, &["switch", "-q", "--detach", "HEAD~1"])?;
    world.same_files(artist, &traveller)?;
    world.git(artist, &["switch", "-q", "main"])?;
    fs::rename(&away, &server).because("cannot bring the server back")
}

/// Loses the local content and finds it again.
fn repair(world: &World, ui: &Ui, colleague: &Path, lost: &Program) -> Result<(), Failure> {
    step(
        ui,
        "the colleague loses the local store and a file: lob sync --mode fixup",
    )?;
    let before = fs::read(colleague.join(&lost.name)).because("cannot read a file")?;
    let pointer = world.git_output(
        colleague,
        &["cat-file", "-p", &format!("HEAD:{}", lost.name)],
    )?;
    fs::remove_dir_all(colleague.join(".git/lob")).because("cannot remove the local store")?;
    fs::write(colleague.join(&lost.name), pointer).because("cannot write a pointer")?;
    world.lob_run(colleague, &["sync", "--mode", "fixup"])?;
    let after = fs::read(colleague.join(&lost.name)).because("cannot read a file")?;
    if before != after {
        return Err(Failure::new("the repaired file is not what it was"));
    }
    world.clean(colleague)
}

//! Consecutive versions of one program: given by the user, or made up.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Made, Version};
use crate::content::Noise;
use crate::failure::{Explain, Failure};

/// Names the directory with the versions.
const VARIABLE: &str = "LOB_BENCH_SERIES";
/// How many versions are taken or made at full scale.
const VERSIONS: f64 = 10.0;
/// The largest program that versions are made of.
const LARGEST: u64 = 64 << 20;
/// One place in so many bytes changes, as addresses do all over a program that is built again.
const SCATTER: usize = 4096;
/// The most bytes that a made version has more or fewer in one place.
const SHIFT: usize = 4096;

/// The user's series, else one that is made up in `dir`.
pub(super) fn find(dir: &Path, scale: f64) -> Result<Made, Failure> {
    let count = ((VERSIONS * scale).round() as usize).max(2);
    let (about, files) = match std::env::var_os(VARIABLE) {
        Some(given) => given_in(Path::new(&given), count)?,
        None => made_up(dir, count)?,
    };
    let version = |source| Version {
        files: vec![(PathBuf::from("program.bin"), source)],
    };
    Ok(("series", about, files.into_iter().map(version).collect()))
}

fn given_in(dir: &Path, count: usize) -> Result<(String, Vec<PathBuf>), Failure> {
    let what = format!("cannot read {VARIABLE}={}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).because(&what)? {
        let path = entry.because(&what)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort_by_cached_key(|path| version_order(path));
    files.truncate(count);
    if files.len() < 2 {
        return Err(Failure::Wrong(format!("{what}: fewer than two files")));
    }
    let name = |path: Option<&PathBuf>| {
        let name = path.and_then(|path| path.file_name());
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let about = format!(
        "{} versions of one program, {} to {}, from {}",
        files.len(),
        name(files.first()),
        name(files.last()),
        dir.display()
    );
    Ok((about, files))
}

/// The parts of a name in the order of versions: numbers by their value, so that 0.9 is before 0.10.
fn version_order(path: &Path) -> Vec<(u64, String)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut parts: Vec<(u64, String)> = Vec::new();
    let mut was_digit = None;
    for c in name.chars() {
        if was_digit != Some(c.is_ascii_digit()) {
            parts.push((0, String::new()));
        }
        was_digit = Some(c.is_ascii_digit());
        if let Some((number, text)) = parts.last_mut() {
            match c.to_digit(10) {
                Some(digit) => *number = number.saturating_mul(10).saturating_add(digit.into()),
                None => text.push(c),
            }
        }
    }
    parts
}

fn made_up(dir: &Path, count: usize) -> Result<(String, Vec<PathBuf>), Failure> {
    let program = largest_program()?;
    let mut bytes =
        fs::read(&program).because(format_args!("cannot read {}", program.display()))?;
    let about = format!(
        "MADE UP: {count} versions from {} ({} bytes), each with 4 bytes in {SCATTER} changed, and \
         one piece inserted and one removed; set {VARIABLE}=DIR for real ones",
        program.display(),
        bytes.len()
    );
    let mut noise = Noise::new(3);
    let mut files = Vec::new();
    for nth in 0..count {
        if nth > 0 {
            edit(&mut bytes, &mut noise);
        }
        let path = dir.join(format!("made-{nth}"));
        fs::write(&path, &bytes).because(format_args!("cannot write {}", path.display()))?;
        files.push(path);
    }
    Ok((about, files))
}

/// The next version: what a build of a slightly changed source does to a program.
fn edit(bytes: &mut Vec<u8>, noise: &mut Noise) {
    let longer = 1 + noise.below(SHIFT);
    let piece = noise.bytes(longer);
    let place = noise.below(bytes.len());
    bytes.splice(place..place, piece);
    let shorter = (1 + noise.below(SHIFT)).min(bytes.len() / 2);
    let place = noise.below(bytes.len() - shorter);
    bytes.drain(place..place + shorter);
    for _ in 0..bytes.len() / SCATTER {
        let place = noise.below(bytes.len());
        let new = noise.bytes(4);
        for (byte, new) in bytes.iter_mut().skip(place).zip(new) {
            *byte = new;
        }
    }
}

/// The largest program that this machine would find by its name, up to a limit.
fn largest_program() -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let entries = std::env::split_paths(&path)
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flat_map(|entries| entries.flatten());
    let programs = entries.filter_map(|entry| {
        let meta = fs::metadata(entry.path()).ok()?;
        let fits = meta.is_file() && (1 << 20..=LARGEST).contains(&meta.len());
        fits.then(|| (meta.len(), entry.path()))
    });
    programs.max().map(|(_, path)| path).ok_or_else(|| {
        Failure::Wrong(format!(
            "no program to make a series of; set {VARIABLE}=DIR"
        ))
    })
}

//! The fuzz targets on stable: over what the fuzzers found worth keeping, over every input that once
//! failed, and over changes of both that are the same each time.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Tier, report};

#[path = "../fuzz/src/lib.rs"]
mod targets;

pub use targets::TARGETS;

/// Longest input that is kept.
const LONGEST: u64 = 4 << 10;
/// Most bytes of all that are kept.
const ALL_MAX: u64 = 1 << 20;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The inputs of a target that are in the repository: `corpus` or `failures`.
fn inputs(kind: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(top().join(kind).join(target)) else {
        return Vec::new();
    };
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    inputs.sort();
    inputs
}

/// Random numbers, the same in each run.
struct Dice(blake3::OutputReader);

impl Dice {
    fn new(target: &str, number: u64) -> Dice {
        let mut hasher = blake3::Hasher::new();
        hasher.update(target.as_bytes());
        hasher.update(&number.to_le_bytes());
        Dice(hasher.finalize_xof())
    }

    fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes) as usize % end.max(1)
    }
}

/// One to four changes, of the kinds that fuzzers make.
fn changed(dice: &mut Dice, input: &[u8], other: &[u8]) -> Vec<u8> {
    const ODD: [u8; 8] = [0, 1, 4, 0x7f, 0x80, 0xff, b'\n', b'/'];
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let len = dice.below(17).min(bytes.len() - at);
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = ODD[dice.below(ODD.len())],
            2 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let piece = bytes[at..at + len].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            5 => {
                let from = dice.below(other.len() + 1);
                let to = other.len().min(from + dice.below(65));
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => bytes.insert(at, dice.below(256) as u8),
        }
    }
    bytes
}

/// Runs a target, and says which input it fails on, which is left in a file.
fn run(target: targets::Target, input: &[u8], what: &str) {
    let (name, run) = target;
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(input))) {
        let place = std::env::temp_dir().join(format!("lob-fuzz-{name}-failure"));
        fs::write(&place, input).unwrap();
        println!("{name} fails on {what}: see {}", place.display());
        resume_unwind(panic);
    }
}

#[test]
fn fuzz_replay() {
    let mut figures = [
        ("kept inputs", 0),
        ("past failures", 0),
        ("changed inputs", 0),
    ];
    let changes = Tier::asked().pick(2_000, 100_000);
    for &target in TARGETS {
        let kept = inputs("corpus", target.0);
        let failed = inputs("failures", target.0);
        let all: Vec<_> = kept.iter().chain(&failed).collect();
        all.par_iter()
            .for_each(|(path, input)| run(target, input, &path.display().to_string()));
        (0..changes).into_par_iter().for_each(|number| {
            let mut dice = Dice::new(target.0, number);
            let (path, input) = all[dice.below(all.len())];
            let other = &all[dice.below(all.len())].1;
            let changed = changed(&mut dice, input, other);
            let what = format!("change {number}, of {}", path.display());
            run(target, &changed, &what);
        });
        figures[0].1 += kept.len() as u64;
        figures[1].1 += failed.len() as u64;
        figures[2].1 += changes;
    }
    report("fuzz replay", &figures);
    assert!(figures[0].1 > 10 * TARGETS.len() as u64, "{figures:?}");
}

#[test]
fn every_target_has_a_fuzzer_and_inputs() {
    let manifest = fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let is_listed = |name: &str| manifest.contains(&format!("\nname = \"{name}\"\n"));
    let mut bytes = 0;
    for (name, _) in TARGETS {
        assert!(is_listed(name), "{name} is in tests/fuzz/Cargo.toml");
        let source = fs::read_to_string(top().join(format!("targets/{name}.rs"))).unwrap();
        assert!(
            source.contains(&format!("lob_fuzz::{name}::run(data)")),
            "{name}"
        );
        let kept = inputs("corpus", name);
        assert!(kept.len() >= 5, "{name} has {} inputs", kept.len());
        for (path, input) in kept.iter().chain(&inputs("failures", name)) {
            assert!(input.len() as u64 <= LONGEST, "{}", path.display());
            bytes += input.len() as u64;
        }
    }
    assert!(bytes < ALL_MAX, "{bytes} bytes are kept");
    let known: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for kind in ["corpus", "failures", "targets"] {
        for entry in fs::read_dir(top().join(kind)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.trim_end_matches(".rs");
            assert!(known.contains(name), "{kind}/{name} is of no target");
        }
    }
}

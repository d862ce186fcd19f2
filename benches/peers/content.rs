//! Made content: the same bytes on every machine for the same seed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use crate::failure::{Explain, Failure};

const BUFFER: usize = 1 << 20;

/// Numbers and bytes that look random.
pub struct Noise(blake3::OutputReader);

impl Noise {
    /// What follows from a seed.
    pub fn new(seed: u64) -> Noise {
        let mut hasher = blake3::Hasher::new();
        Noise(hasher.update(&seed.to_le_bytes()).finalize_xof())
    }

    /// The next bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill(&mut bytes);
        bytes
    }

    /// The next number below a bound that is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        let number = u64::from_le_bytes(bytes) % bound as u64;
        usize::try_from(number).expect("it is below a usize")
    }
}

/// Writes `len` bytes of noise to a new file.
pub fn write_noise(path: &Path, seed: u64, len: u64) -> Result<(), Failure> {
    let mut noise = Noise::new(seed).0.take(len);
    create(path, |file| copy(&mut noise, file))
}

/// Writes the content of `from` with `inserted` at `place` to a new file.
pub fn write_inserted(from: &Path, to: &Path, place: u64, inserted: &[u8]) -> Result<(), Failure> {
    let mut old = File::open(from).because(format_args!("cannot open {}", from.display()))?;
    create(to, |file| {
        copy(&mut (&mut old).take(place), file)?;
        file.write_all(inserted)?;
        copy(&mut old, file)
    })
}

/// Makes a file and fills it.
fn create(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Failure> {
    File::create(path)
        .and_then(|mut file| fill(&mut file))
        .because(format_args!("cannot write {}", path.display()))
}

fn copy(from: &mut impl Read, to: &mut File) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            len => to.write_all(buffer.get(..len).unwrap_or_default())?,
        }
    }
}

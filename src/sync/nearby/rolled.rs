//! What a file has of a lob at places where no chunk of it is whole: the service is sent a signature of the
//! file, and answers with what makes the lob of it.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek};
use std::path::Path;
use std::thread;

use lob_store::Progress;
use lob_store::delta::{Base, Patch, Signature};
use lob_store::disk::OsDisk;

use super::{Chunks, take};
use crate::remote::{ROLLED_MAX, Result, Upload};
use crate::sync::run::Sides;
use crate::sync::wanted::Want;

/// Bytes that must be lacking.
const LACKING_MIN: u64 = 512 << 10;
/// A signature may be so much of what is lacking, and a delta so much of it.
const SIGNATURE_SHARE: u64 = 8;
const DELTA_SHARE: u64 = 2;

/// Sends those of the chunks that the file has in whatever pieces. Returns the bytes that moved for it.
/// Chunks are taken by their ids: a delta that makes something else makes none of them.
pub(super) fn take_in(
    (want, path, mut file): (&Want, &Path, &File),
    lacking: &mut Chunks,
    upload: &mut (dyn Upload + Send),
    sides: Sides<'_>,
    progress: &dyn Progress,
) -> Result<u64> {
    let missing: u64 = lacking.iter().map(|(_, len)| u64::from(*len)).sum();
    if missing < LACKING_MIN || want.size > ROLLED_MAX || !sides.remote.makes_differences() {
        return Ok(0);
    }
    let failed = lob_store::Error::Source;
    let len = file.metadata().map_err(failed)?.len();
    if len > ROLLED_MAX {
        return Ok(0);
    }
    file.rewind().map_err(failed)?;
    let signature = Signature::of(&mut file, len, &())?;
    let mut moved = signature.to_bytes().len() as u64;
    if moved > missing / SIGNATURE_SHARE {
        return Ok(0);
    }
    let most = missing / DELTA_SHARE;
    let mut apply = |delta: &mut dyn BufRead| {
        let mut delta = Counted { delta, count: 0 };
        let done = make(path, &mut delta, (lacking, upload), want.size, progress);
        moved += delta.count;
        done
    };
    let _ = sides.remote.delta(&want.id, &signature, most, &mut apply)?;
    Ok(moved)
}

/// Makes the lob, and takes chunks out of it meanwhile.
fn make(
    path: &Path,
    delta: &mut dyn BufRead,
    (lacking, upload): (&mut Chunks, &mut (dyn Upload + Send)),
    size: u64,
    progress: &dyn Progress,
) -> Result<()> {
    let base = Base::open(&OsDisk, path)?;
    let patch = Patch::open(delta)?.at_most(size)?;
    let (mut reader, mut made) = io::pipe().map_err(lob_store::Error::Source)?;
    thread::scope(|scope| {
        let taking = scope.spawn(move || {
            let taken = take(&mut reader, lacking, upload, progress);
            // Who writes must not be stopped by that.
            let _ = io::copy(&mut reader, &mut io::sink());
            taken
        });
        let applied = patch.apply(&base, &mut made, &());
        drop(made);
        let taken = taking.join();
        taken.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(applied.map(drop)?)
    })
}

/// Counts what is read.
struct Counted<'d> {
    delta: &'d mut dyn BufRead,
    count: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.delta.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.delta.fill_buf()
    }

    fn consume(&mut self, len: usize) {
        self.count += len as u64;
        self.delta.consume(len);
    }
}

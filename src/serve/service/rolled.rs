//! The delta that makes a lob from a file of which only the signature came.
//!
//! A signature is hostile: `Signature::read` bounds its blocks and hashes, and how much may be hashed in
//! vain for it is bounded where it is used. The delta is made whole before any of it is sent, so that
//! who asks loses nothing where it turns out too long.

use std::io::{BufRead, Write};

use lob_store::LobId;
use lob_store::delta::Signature;

use super::answer::{of_written, sink};
use super::differences::Turns;
use super::refuse::of_wire;
use crate::remote::{Remote, Result};
use crate::wire::field::PART_MAX;
use crate::wire::{FieldWriter, Refusal, Rolled, Tag, WireError};

/// Bytes of the longest delta that is made, in memory.
const MOST: u64 = 32 << 20;

/// Writes the delta, without the end of the answer; nothing where there is none that is short enough, or
/// where others have the turns at making some.
pub(super) fn answer(
    store: &dyn Remote,
    turns: &Turns,
    asked: &Rolled,
    to: &mut FieldWriter<impl Write>,
) -> std::result::Result<(), Refusal> {
    let signature = Signature::read(&mut asked.signature.as_slice());
    let signature = signature.map_err(|error| of_wire(WireError::from(error)))?;
    let lob = LobId::from_bytes(asked.lob);
    let Some(_turn) = turns.take() else {
        return Ok(());
    };
    let mut write = |delta: &mut dyn BufRead| write(delta, to);
    let made = store.delta(&lob, &signature, asked.most.min(MOST), &mut write);
    made.map(drop).map_err(of_written)
}

fn write(delta: &mut dyn BufRead, to: &mut FieldWriter<impl Write>) -> Result<()> {
    loop {
        let part = delta.fill_buf().map_err(sink)?;
        let part = &part[..part.len().min(PART_MAX)];
        if part.is_empty() {
            return Ok(());
        }
        to.field(Tag::Delta, &[part]).map_err(sink)?;
        let len = part.len();
        delta.consume(len);
    }
}

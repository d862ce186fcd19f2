//! A stream that comes in pieces of any length, as from a pipe.

use std::io::{self, Read};

/// Gives `bytes` in pieces of these lengths, in turn, each at least one byte.
#[derive(Debug)]
pub struct Dribble<'a> {
    bytes: &'a [u8],
    pieces: &'a [u8],
    turn: usize,
}

impl<'a> Dribble<'a> {
    /// Without lengths all comes at once.
    pub fn new(bytes: &'a [u8], pieces: &'a [u8]) -> Self {
        Dribble {
            bytes,
            pieces,
            turn: 0,
        }
    }
}

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let piece = match self.pieces.get(self.turn % self.pieces.len().max(1)) {
            Some(&len) => usize::from(len).max(1),
            None => usize::MAX,
        };
        self.turn += 1;
        let len = piece.min(buf.len()).min(self.bytes.len());
        let (head, rest) = self.bytes.split_at(len);
        buf[..len].copy_from_slice(head);
        self.bytes = rest;
        Ok(len)
    }
}

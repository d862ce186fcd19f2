//! Packs as the input plans them: mostly such as an engine writes, with a lie here and there.

use zstd::bulk;

use super::by_hand::builder::{Frame, Pack, list_item, listed};
use super::by_hand::pack::{Id, hash};
use super::input::Input;

/// A pack, what it was meant to hold, and whether all of it is true.
#[derive(Debug)]
pub struct Plan {
    pub pack: Pack,
    pub lobs: Vec<Lob>,
    /// Whether an engine could have written it.
    pub honest: bool,
    /// Each with the length of the longest chain of bases behind it.
    chunks: Vec<(Vec<u8>, u8)>,
}

/// A lob whose manifest is right.
#[derive(Debug)]
pub struct Lob {
    pub content: Vec<u8>,
    /// The length of the pack when its manifest was there.
    pub end: usize,
    /// Whether an engine could have written all that came before.
    pub honest: bool,
}

/// Longest chain of bases.
const DEPTH_MAX: u8 = 2;

/// Most records of a plan.
const RECORDS_MAX: usize = 12;

impl Plan {
    /// Reads a plan.
    pub fn of(input: &mut Input<'_>, nonce: u8) -> Plan {
        let mut plan = Plan {
            pack: Pack::new([nonce; 16]),
            lobs: Vec::new(),
            honest: true,
            chunks: Vec::new(),
        };
        for _ in 0..1 + input.below(RECORDS_MAX) {
            match input.byte() % 9 {
                0 | 1 => plan.frame(input, Frame::raw),
                2 => plan.frame(input, Frame::zstd),
                3 => plan.delta(input),
                4 | 5 => plan.lob(input),
                6 => plan.lie(input),
                7 => plan.segments(input),
                _ => plan.odd_frame(input),
            }
        }
        plan
    }

    fn content(input: &mut Input<'_>) -> Vec<u8> {
        let bytes = [input.some(40), b"x"].concat();
        bytes.repeat(1 + input.below(64))
    }

    /// What stands first counts.
    fn know(&mut self, chunk: Vec<u8>, depth: u8) {
        if !self.chunks.iter().any(|(known, _)| *known == chunk) {
            self.chunks.push((chunk, depth));
        }
    }

    fn known(&self, input: &mut Input<'_>) -> (Vec<u8>, u8) {
        self.chunks[input.below(self.chunks.len())].clone()
    }

    fn frame(&mut self, input: &mut Input<'_>, how: fn(&[&[u8]]) -> Frame) {
        let chunks: Vec<_> = (0..1 + input.below(4))
            .map(|_| Self::content(input))
            .collect();
        let parts: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
        self.pack.frame(&how(&parts));
        for chunk in chunks {
            self.know(chunk, 0);
        }
    }

    /// A delta frame on chunks that are there.
    fn delta(&mut self, input: &mut Input<'_>) {
        if self.chunks.is_empty() {
            return;
        }
        let picked: Vec<_> = (0..1 + input.below(3)).map(|_| self.known(input)).collect();
        let bases: Vec<_> = picked.iter().map(|(chunk, _)| chunk.as_slice()).collect();
        let chunk = [bases.concat(), Self::content(input)].concat();
        let depth = 1 + picked.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
        self.honest &= depth <= DEPTH_MAX;
        self.pack
            .frame(&Frame::delta(depth.min(DEPTH_MAX), &[&chunk], &bases));
        self.know(chunk, depth);
    }

    fn lob(&mut self, input: &mut Input<'_>) {
        if self.chunks.is_empty() {
            return;
        }
        let picked: Vec<_> = (0..1 + input.below(5))
            .map(|_| self.known(input).0)
            .collect();
        let parts: Vec<_> = picked.iter().map(Vec::as_slice).collect();
        self.pack.lob_of(&parts);
        self.lobs.push(Lob {
            content: picked.concat(),
            end: self.pack.bytes.len(),
            honest: self.honest,
        });
    }

    /// A lob whose chunks are listed by other chunks, mostly as they are.
    fn segments(&mut self, input: &mut Input<'_>) {
        if self.chunks.is_empty() {
            return;
        }
        let (mut content, mut segments) = (Vec::new(), Vec::new());
        let mut is_true = true;
        for _ in 0..1 + input.below(4) {
            let picked: Vec<_> = (0..1 + input.below(4))
                .map(|_| self.known(input).0)
                .collect();
            let parts: Vec<_> = picked.iter().map(Vec::as_slice).collect();
            let list = listed(&parts).into_iter();
            let list: Vec<u8> = list
                .flat_map(|(id, len)| [id.as_slice(), &len.to_le_bytes()].concat())
                .collect();
            self.pack.frame(&Frame::raw(&[&list]));
            let bytes = picked.concat();
            let mut segment = (hash(&list), picked.len() as u32, bytes.len() as u64);
            let lie = input.byte();
            match lie {
                0xf8..0xfa => segment.0 = hash(&picked[0]),
                0xfa..0xfc => segment.1 = segment.1.wrapping_add(1 + input.byte() as u32),
                0xfc..0xfe => segment.2 = input.number(),
                0xfe.. => segment.2 = segment.2.wrapping_add(1),
                _ => {}
            }
            is_true &= lie < 0xf8;
            content.extend(bytes);
            segments.push(segment);
            self.know(list, 0);
        }
        let form = 1 + input.below(2) as u8;
        if form == 2 {
            let list: Vec<u8> = segments.iter().flat_map(list_item).collect();
            self.pack.frame(&Frame::raw(&[&list]));
            let bytes = segments
                .iter()
                .fold(0, |all: u64, list| all.wrapping_add(list.2));
            segments = vec![(hash(&list), segments.len() as u32, bytes)];
            self.know(list, 0);
        }
        self.pack.lob_of_lists(hash(&content), form, &segments);
        self.honest &= is_true;
        if is_true {
            self.lobs.push(Lob {
                content,
                end: self.pack.bytes.len(),
                honest: self.honest,
            });
        }
    }

    /// A manifest that may say anything of its chunks.
    fn lie(&mut self, input: &mut Input<'_>) {
        self.honest = false;
        let mut chunks: Vec<(Id, u32)> = Vec::new();
        for _ in 0..1 + input.below(4) {
            let known = self.chunks.get(input.below(16));
            let known = known.map(|(chunk, _)| listed(&[chunk])[0]);
            let (id, len) = known.unwrap_or_else(|| (hash(input.some(4)), 1));
            let len = match input.byte() % 4 {
                0 => len.wrapping_add(1),
                1 => len << (input.byte() % 32),
                _ => len,
            };
            chunks.push((id, len));
        }
        let id = match input.byte() % 3 {
            0 => chunks[0].0,
            1 => self.lobs.first().map_or([7; 32], |lob| hash(&lob.content)),
            _ => hash(input.some(4)),
        };
        self.pack.lob(id, &chunks);
    }

    /// A frame whose stored bytes, codec, bases or lengths are what the input says.
    fn odd_frame(&mut self, input: &mut Input<'_>) {
        self.honest = false;
        let content = Self::content(input);
        let mut frame = match input.byte() % 3 {
            0 => Frame::raw(&[&content]),
            1 => Frame::zstd(&[&content]),
            _ => Frame {
                codec: 1,
                stored: bulk::compress(&vec![0; input.below(60_000) << 6], 1)
                    .expect("zeros compress"),
                ..Frame::raw(&[&content])
            },
        };
        for _ in 0..input.below(4) {
            let at = input.below(frame.stored.len().max(1));
            match input.byte() % 8 {
                0 => frame.codec = input.byte() % 5,
                1 => frame.depth = input.byte() % 5,
                2 => frame.bases.push(hash(&content)),
                3 => frame.chunks[0].1 = input.number() as u32,
                4 => frame
                    .chunks
                    .push((hash(input.some(3)), input.number() as u32)),
                5 if at < frame.stored.len() => frame.stored[at] ^= input.byte(),
                6 => frame.stored.truncate(at),
                _ => frame.stored.extend_from_slice(input.some(9)),
            }
        }
        self.pack.frame(&frame);
        self.know(content, 0);
    }
}

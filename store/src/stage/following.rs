//! Hashing whole lobs while their frames come, so that they need not be read back to be verified.

use std::collections::{HashMap, VecDeque};

use crate::error::Result;
use crate::frame::{Codec, Frame, decode};
use crate::id::{ChunkId, LobId};
use crate::limits::SEGMENT_MAX;
use crate::manifest::{Manifest, Parts, Segment};

/// Lobs that are to come. What comes of one in another order than that of its content is no longer
/// followed: it is verified as others are, by being read.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Those of which nothing came, by the first chunk or list of each.
    expected: HashMap<ChunkId, Manifest>,
    /// The one that comes.
    course: Option<Course>,
    /// Those that came whole, and are what they are called.
    right: HashMap<LobId, Parts>,
}

/// A lob of which the beginning has come.
#[derive(Debug)]
struct Course {
    manifest: Manifest,
    hasher: blake3::Hasher,
    /// Its lists that did not come yet.
    lists: VecDeque<Segment>,
    /// Chunks of its content, from the next one on, as far as they are known.
    chunks: VecDeque<(ChunkId, u32)>,
}

impl Following {
    /// Expects a lob of more than one chunk.
    pub(super) fn expect(&mut self, manifest: &Manifest) {
        let first = match &manifest.parts {
            Parts::Chunks(chunks) if chunks.len() > 1 => chunks.first().map(|&(id, _)| id),
            Parts::Segments(lists) => lists.first().map(|list| list.id),
            // One chunk is verified as such; a lob of that many lists is long under way.
            Parts::Chunks(_) | Parts::Groups(_) => None,
        };
        if let Some(first) = first {
            let _ = self.expected.insert(first, manifest.clone());
        }
    }

    /// Takes note of frames in the order in which they came. Whoever calls this verifies their chunks.
    pub(super) fn pass(&mut self, frames: &[Frame]) {
        if self.expected.is_empty() && self.course.is_none() {
            return;
        }
        for frame in frames {
            if self.frame(frame).is_err() {
                self.course = None;
            }
        }
    }

    fn frame(&mut self, frame: &Frame) -> Result<()> {
        let decoded;
        let mut rest = match frame.codec {
            Codec::Raw => frame.stored.as_slice(),
            // Its bases are elsewhere.
            Codec::ZstdPrefix => &[],
            Codec::Zstd => {
                decoded = decode(frame.codec, &frame.stored, frame.raw_len(), &mut Vec::new())?;
                decoded.as_slice()
            }
        };
        for (id, len) in &frame.chunks {
            let Some((bytes, tail)) = rest.split_at_checked(*len as usize) else {
                self.course = None;
                return Ok(());
            };
            rest = tail;
            self.chunk(id, bytes)?;
        }
        Ok(())
    }

    fn chunk(&mut self, id: &ChunkId, bytes: &[u8]) -> Result<()> {
        let goes_on = match &mut self.course {
            Some(course) => course.take(id, bytes)?,
            None => false,
        };
        if !goes_on {
            self.course = None;
            let Some(manifest) = self.expected.remove(id) else {
                return Ok(());
            };
            let mut course = Course::of(manifest);
            if course.take(id, bytes)? {
                self.course = Some(course);
            }
        }
        if let Some(course) = self.course.take_if(|course| course.is_over())
            && course.is_right()
        {
            let _ = self.right.insert(course.manifest.id, course.manifest.parts);
        }
        Ok(())
    }

    /// Whether all of this lob came, and is what it is called. This is said once.
    pub(super) fn saw(&mut self, manifest: &Manifest) -> bool {
        self.right.remove(&manifest.id).as_ref() == Some(&manifest.parts)
    }

    /// What came was not what its chunks were called.
    pub(super) fn forget(&mut self) {
        *self = Following::default();
    }
}

impl Course {
    fn of(manifest: Manifest) -> Course {
        let (lists, chunks) = match &manifest.parts {
            Parts::Chunks(chunks) => (VecDeque::new(), chunks.iter().copied().collect()),
            Parts::Segments(lists) | Parts::Groups(lists) => {
                (lists.iter().copied().collect(), VecDeque::new())
            }
        };
        Course {
            manifest,
            hasher: blake3::Hasher::new(),
            lists,
            chunks,
        }
    }

    /// Whether this is what comes next.
    fn take(&mut self, id: &ChunkId, bytes: &[u8]) -> Result<bool> {
        // Two lists may be ahead of their chunks, since a frame may end one and begin the next, but not all.
        let list = self.lists.front().filter(|list| list.id == *id);
        if let Some(list) = list.filter(|_| self.chunks.len() <= 2 * SEGMENT_MAX) {
            self.chunks.extend(list.decode_list(bytes)?);
            let _ = self.lists.pop_front();
            return Ok(true);
        }
        let mut is_next = false;
        // What is repeated comes once.
        while let Some((next, len)) = self.chunks.front()
            && next == id
            && *len as usize == bytes.len()
        {
            let _ = self.hasher.update(bytes);
            let _ = self.chunks.pop_front();
            is_next = true;
        }
        Ok(is_next)
    }

    fn is_over(&self) -> bool {
        self.chunks.is_empty() && self.lists.is_empty()
    }

    fn is_right(&self) -> bool {
        LobId::from(self.hasher.finalize()) == self.manifest.id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::chunk::tests::noise;
    use crate::disk::SimDisk;
    use crate::store::Store;

    fn store_with(content: &[u8]) -> (Store, Manifest) {
        let store = Store::create(Arc::new(SimDisk::new()), Path::new("/store")).expect("a store");
        let mut writer = store.writer().expect("a writer");
        let mut source = content;
        let id = writer.add(&mut source, &()).expect("adds").id;
        writer.finish().expect("publishes");
        let manifest = store.manifest(&id).expect("reads").expect("is there");
        (store, manifest)
    }

    /// The frames of a lob in the order of its content, each list one ahead.
    fn frames_of(store: &Store, manifest: &Manifest) -> Vec<Frame> {
        let mut ids: Vec<ChunkId> = Vec::new();
        match &manifest.parts {
            Parts::Chunks(chunks) => ids.extend(chunks.iter().map(|(id, _)| *id)),
            Parts::Segments(lists) => {
                let mut behind = Vec::new();
                for list in lists {
                    ids.push(list.id);
                    ids.append(&mut behind);
                    let bytes = store.chunk(&list.id).expect("reads");
                    let chunks = list.decode_list(&bytes).expect("decodes");
                    behind = chunks.into_iter().map(|(id, _)| id).collect();
                }
                ids.append(&mut behind);
            }
            Parts::Groups(_) => panic!("it is too long"),
        }
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(*id));
        let mut frames = Vec::new();
        let mut take = |frame| {
            frames.push(frame);
            Ok(())
        };
        store
            .each_frame(&ids, &HashSet::new(), &mut take)
            .expect("reads");
        frames
    }

    /// Noise, then the same over and over, then text, which compresses.
    fn content(len: usize) -> Vec<u8> {
        let mut content = noise(1, len);
        content.resize(len + 2_000_000, 0);
        for n in 0..200_000 {
            content.extend_from_slice(format!("{n} and so on\n").as_bytes());
        }
        content
    }

    #[test]
    fn a_lob_whose_frames_come_in_order_is_known_when_the_last_has_come() {
        for len in [300_000, 40_000_000] {
            let (store, manifest) = store_with(&content(len));
            let is_long = matches!(manifest.parts, Parts::Segments(_));
            assert_eq!(is_long, len > 1_000_000);
            let frames = frames_of(&store, &manifest);
            let mut following = Following::default();
            following.expect(&manifest);
            for some in frames.chunks(3) {
                assert!(!following.saw(&manifest));
                following.pass(some);
            }
            assert!(following.saw(&manifest));
            assert!(!following.saw(&manifest), "it says so twice");
            // Without any of them, or in another order, it is not.
            for n in 0..frames.len() {
                let mut other = Following::default();
                other.expect(&manifest);
                let (one, two) = frames.split_at(n);
                other.pass(two);
                other.pass(one);
                assert_eq!(other.saw(&manifest), n == 0, "{n}");
            }
        }
    }

    /// A manifest may list what it likes: all of it is there, and it is still not that lob.
    #[test]
    fn a_lob_that_is_another_than_it_says_is_not_taken_for_it() {
        let (store, right) = store_with(&content(300_000));
        let frames = frames_of(&store, &right);
        let lie = Manifest {
            id: LobId::of(b"another"),
            ..right.clone()
        };
        let mut following = Following::default();
        following.expect(&lie);
        following.pass(&frames);
        assert!(!following.saw(&lie) && !following.saw(&right));
        // Nor is another list of the same lob than the one that was announced.
        following.expect(&right);
        following.pass(&frames);
        let Parts::Chunks(chunks) = &right.parts else {
            panic!("it is short");
        };
        let other = Manifest {
            parts: Parts::Chunks(chunks.iter().rev().copied().collect()),
            ..right.clone()
        };
        assert!(!following.saw(&other));
    }

    /// What is read to be verified, and what is not: a store that takes a lob which was announced need not
    /// have any of it in its packs to name it.
    #[test]
    fn a_writer_reads_nothing_back_of_what_it_followed() {
        let (store, manifest) = store_with(&content(300_000));
        let frames = frames_of(&store, &manifest);
        for is_announced in [false, true] {
            let (other, _) = store_with(b"something else");
            let mut writer = other.writer().expect("a writer");
            if is_announced {
                writer.expect(&manifest);
            }
            for frame in &frames {
                writer.add_frame(frame.clone()).expect("takes it");
            }
            writer.add_manifest(&manifest).expect("takes it");
            assert_eq!(writer.unverified.is_empty(), is_announced);
            writer.finish().expect("publishes");
            let mut out = Vec::new();
            let read = other.write_to(&manifest.id, &mut out, &());
            assert_eq!(read.expect("reads"), manifest.size);
        }
    }
}

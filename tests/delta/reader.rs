//! A reader of deltas that was made from docs/deltas.md alone.

use zstd::zstd_safe::DCtx;

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }

    fn number(&mut self, n: usize) -> usize {
        let mut eight = [0; 8];
        eight[..n].copy_from_slice(self.take(n));
        u64::from_le_bytes(eight) as usize
    }
}

fn unpack(stored: &[u8], prefix: &[u8], raw: usize) -> Vec<u8> {
    let mut context = DCtx::create();
    context.ref_prefix(prefix).unwrap();
    let mut out = Vec::with_capacity(raw);
    context.decompress(&mut out, stored).unwrap();
    assert_eq!(out.len(), raw);
    out
}

/// What a delta makes of its base. Panics at anything that the page does not allow.
pub fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
    let mut delta = Bytes(delta);
    assert_eq!(delta.take(8), b"LOBDELTA");
    assert_eq!((delta.number(2), delta.take(6)), (1, &[0; 6][..]));
    assert_eq!(delta.number(8), base.len());
    let size = delta.number(8);
    assert_eq!(delta.take(32), blake3::hash(base).as_bytes());
    let mut made = Vec::new();
    loop {
        match delta.number(1) {
            0 => break,
            1 => {
                let (at, len) = (delta.number(8), delta.number(8));
                made.extend_from_slice(&base[at..at + len]);
            }
            2 => {
                let len = delta.number(4);
                made.extend_from_slice(delta.take(len));
            }
            3 => {
                let (raw, stored) = (delta.number(4), delta.number(4));
                made.extend(unpack(delta.take(stored), &[], raw));
            }
            4 => {
                let (raw, stored) = (delta.number(4), delta.number(4));
                let (at, len) = (delta.number(8), delta.number(4));
                made.extend(unpack(delta.take(stored), &base[at..at + len], raw));
            }
            5 => {
                let (count, raw, stored) = (delta.number(4), delta.number(4), delta.number(4));
                let bytes = match delta.take(stored) {
                    bytes if stored == raw => bytes.to_vec(),
                    bytes => unpack(bytes, &[], raw),
                };
                let (pieces, new) = bytes.split_at(20 * count);
                let (mut pieces, mut new, mut end) = (Bytes(pieces), Bytes(new), 0usize);
                for _ in 0..count {
                    made.extend_from_slice(new.take(pieces.number(4)));
                    let at = end.wrapping_add(pieces.number(8));
                    end = at + pieces.number(8);
                    made.extend_from_slice(&base[at..end]);
                }
                assert_eq!(new.0.len(), 0);
            }
            other => panic!("instruction {other}"),
        }
    }
    assert_eq!(delta.take(32), blake3::hash(&made).as_bytes());
    assert_eq!((made.len(), delta.0.len()), (size, 0));
    made
}

/// The short and the long hash of each block in a signature of `base`, with the length of a block. Panics
/// at anything that the page does not allow.
pub fn blocks(base: &[u8], signature: &[u8]) -> (usize, Vec<(u32, Vec<u8>)>) {
    let (body, check) = signature.split_at(signature.len() - 32);
    assert_eq!(check, blake3::hash(body).as_bytes());
    let mut body = Bytes(body);
    assert_eq!(body.take(8), b"LOBSIGNA");
    assert_eq!((body.number(2), body.take(6)), (1, &[0; 6][..]));
    assert_eq!(body.number(8), base.len());
    assert_eq!(body.take(32), blake3::hash(base).as_bytes());
    let tail = body.take(32);
    let big = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap()) as usize;
    assert_eq!(big(body.take(4)), 0x7273_0136);
    let (block, long) = (big(body.take(4)), big(body.take(4)));
    let rest = &base[base.len() / block * block..];
    assert_eq!(tail, blake3::hash(rest).as_bytes());
    let hashes =
        (0..base.len() / block).map(|_| (big(body.take(4)) as u32, body.take(long).to_vec()));
    let hashes = hashes.collect();
    assert_eq!(body.0.len(), 0);
    (block, hashes)
}

/// The short hash of a block.
pub fn short(block: &[u8]) -> u32 {
    let (mut low, mut high) = (0u16, 0u16);
    for byte in block {
        low = low.wrapping_add(u16::from(*byte) + 31);
        high = high.wrapping_add(low);
    }
    u32::from(low) | u32::from(high) << 16
}

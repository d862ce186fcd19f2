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
            other => panic!("instruction {other}"),
        }
    }
    assert_eq!(delta.take(32), blake3::hash(&made).as_bytes());
    assert_eq!((made.len(), delta.0.len()), (size, 0));
    made
}

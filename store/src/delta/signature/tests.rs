use super::*;
use crate::chunk::tests::noise;

fn of(bytes: &[u8]) -> Signature {
    Signature::of(&mut &bytes[..], bytes.len() as u64, &()).unwrap()
}

fn read(mut bytes: &[u8]) -> Result<Signature> {
    Signature::read(&mut bytes)
}

/// With the check that fits.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - 32);
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(check.as_bytes());
    bytes
}

#[test]
fn a_signature_comes_back() {
    for len in [0, 1, 511, 512, 100_000, 5 << 20] {
        let content = noise(1, len);
        let signature = of(&content);
        assert_eq!(signature.base(), LobId::of(&content));
        assert_eq!(signature.base_len(), len as u64);
        let bytes = signature.to_bytes();
        assert_eq!(read(&bytes).unwrap(), signature);
        let count = len / signature.block_len();
        assert_eq!(signature.blocks().len(), count);
        assert_eq!(bytes.len(), 132 + count * signature.hashing().width());
    }
}

#[test]
fn the_blocks_are_those_of_librsync_and_the_tail_is_known() {
    let content = noise(1, 9_000_001);
    let signature = of(&content);
    let options = SignatureOptions {
        block_size: signature.block_len() as u32,
        crypto_hash_size: signature.hashing().strong as u32,
    };
    let whole = content.len() / signature.block_len() * signature.block_len();
    let librsync = fast_rsync::Signature::calculate(&content[..whole], options);
    assert!(signature.to_bytes()[88..].starts_with(librsync.serialized()));
    let len = content.len() - whole;
    assert_eq!(signature.tail_of(&content), Some(len));
    assert_eq!(signature.tail_of(&content[whole..]), Some(len));
    assert_eq!(signature.tail_of(&content[whole + 1..]), None);
    assert_eq!(signature.tail_of(&content[..whole]), None);
    assert_eq!(of(&content[..whole]).tail_of(b""), None);
}

#[test]
fn blocks_are_as_long_as_the_file_asks_for() {
    let block = |len: u64| Hashing::of(len).block;
    assert_eq!((block(0), block(4 << 20)), (512, 1024));
    assert_eq!((block(24_000_000), block(1 << 30)), (2048, 16 << 10));
    assert_eq!(block(LOB_MAX), SIGNATURE_BLOCK_MAX);
    for log in 0..=44 {
        let len = 1u64 << log;
        assert!(len / block(len) as u64 <= SIGNATURE_BLOCKS_MAX);
    }
    assert_eq!(Hashing::of(1 << 10).strong, 8);
    assert_eq!(Hashing::of(1 << 30).strong, 9);
    assert_eq!(Hashing::of(LOB_MAX).strong, 11);
    let long = Signature::of(&mut std::io::empty(), LOB_MAX + 1, &());
    assert!(matches!(long, Err(Error::OverLimit { .. })));
    let short = Signature::of(&mut std::io::empty(), 1, &());
    assert!(matches!(short, Err(Error::Source(_))));
}

#[test]
fn p9_absurd_lengths_of_blocks_and_hashes_are_refused() {
    // `fast_rsync` takes a block of no bytes from a signature and panics in its `diff`, and takes a
    // hash of no bytes, which every block has.
    let good = of(&noise(1, 10_000)).to_bytes();
    assert!(read(&sealed(good.clone())).is_ok());
    let with = |at: usize, number: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        read(&sealed(bytes)).unwrap_err().to_string()
    };
    for block in [0, 1, 511, SIGNATURE_BLOCK_MAX as u32 + 1, u32::MAX] {
        assert!(with(92, block).contains("out of bounds"), "{block}");
    }
    for strong in [0, 1, 7, 17, 1 << 20, u32::MAX] {
        assert!(with(96, strong).contains("out of bounds"), "{strong}");
    }
    assert!(with(88, 0x7273_0137).contains("unknown kind"), "BLAKE2");
    assert!(with(8, 0x0200_0000).contains("which this lob does not know"));
}

#[test]
fn p9_a_lying_length_takes_no_memory() {
    let good = of(&noise(1, 10_000)).to_bytes();
    let with = |len: u64| {
        let mut bytes = good.clone();
        bytes[16..24].copy_from_slice(&len.to_le_bytes());
        read(&sealed(bytes)).unwrap_err().to_string()
    };
    for len in [u64::MAX, LOB_MAX + 1, LOB_MAX, 513 << 20] {
        assert!(with(len).contains("too many blocks"), "{len}");
    }
    for len in [512 << 20, 20_000, 0] {
        let why = with(len);
        assert!(
            ["too early", "something else", "behind its end"]
                .iter()
                .any(|known| why.contains(known)),
            "{why}"
        );
    }
    let mut bytes = Vec::new();
    let error = more(&mut &b"few"[..], 20 << 20, &mut bytes).unwrap_err();
    assert!(error.to_string().contains("too early"));
    assert!(bytes.capacity() < 64 << 10, "{}", bytes.capacity());
}

#[test]
fn p3_a_changed_or_cut_signature_is_refused() {
    let good = of(&noise(1, 3_000)).to_bytes();
    for len in 0..good.len() {
        assert!(read(&good[..len]).is_err(), "{len} bytes");
    }
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        assert!(read(&bytes).is_err(), "byte {at}");
    }
    assert!(read(&[&good[..], b"x"].concat()).is_err());
    assert!(Signature::is_begun(&good));
    assert!(!Signature::is_begun(&good[..7]));
}

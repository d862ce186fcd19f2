use std::io::Cursor;

use super::*;
use crate::chunk::tests::noise;
use crate::delta::{Base, Patch};
use crate::disk::OsDisk;

fn signature_of(base: &[u8]) -> Signature {
    let signature = Signature::of(&mut &base[..], base.len() as u64, &()).unwrap();
    Signature::read(&mut &signature.to_bytes()[..]).unwrap()
}

fn made(signature: &Signature, new: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let size = new.len() as u64;
    let made = make_from(signature, &mut &new[..], size, true, &mut out, &()).unwrap();
    assert_eq!(made.stored, out.len() as u64);
    assert_eq!((made.size, made.id), (size, LobId::of(new)));
    assert_eq!(made.base, signature.base());
    out
}

fn applied(base: &[u8], delta: &[u8]) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("base");
    std::fs::write(&path, base).unwrap();
    let mut out = Vec::new();
    let base = Base::open(&OsDisk, &path).unwrap();
    let _ = Patch::open(delta)?.apply(&base, &mut out, &())?;
    Ok(out)
}

/// The length of the delta that the signature of `base` gives, which is applied to it.
#[track_caller]
fn round_trip(base: &[u8], new: &[u8]) -> usize {
    let delta = made(&signature_of(base), new);
    assert!(applied(base, &delta).unwrap() == new);
    delta.len()
}

#[test]
fn empty_and_short_contents_come_back() {
    for (base, new) in [("", ""), ("", "new"), ("old", ""), ("old", "new")] {
        assert!(round_trip(base.as_bytes(), new.as_bytes()) < 150);
    }
    assert!(round_trip(b"a", b"a") < 150);
    let base = noise(1, 700);
    for len in [511, 512, 513, 699, 700] {
        assert!(round_trip(&base[..len], &base[..len]) < 150, "{len}");
        round_trip(&base[..len], &base);
        round_trip(&base, &base[..len]);
    }
}

#[test]
fn what_moved_is_copied() {
    // Longer than the windows that are searched at a time.
    let base = noise(1, 45 << 20);
    let signature = signature_of(&base);
    let block = signature.block_len();
    assert!(round_trip(&base, &base) < 200);
    let turned = [&base[5_000_001..], &base[..5_000_001]].concat();
    assert!(round_trip(&base, &turned) < 3 * block);
    let mut edited = base.clone();
    edited.splice(40_000_000..40_000_000, noise(2, 4096));
    edited.drain(20_000_000..20_000_100);
    edited.splice(7..7, *b"inserted");
    let len = round_trip(&base, &edited);
    assert!(len < 4096 + 5 * block, "{len}");
}

#[test]
fn what_was_overwritten_in_place_is_all_that_is_new() {
    let base = noise(1, 9_000_000);
    let block = signature_of(&base).block_len();
    let mut new = base.clone();
    let mut edits = 0;
    for at in (50_000..9_000_000 - 100).step_by(300_000) {
        new[at..at + 10].copy_from_slice(&noise(at as u64, 10));
        edits += 1;
    }
    let len = round_trip(&base, &new);
    assert!(len < edits * (block + 40), "{len} for {edits} edits");
    // Blocks that changed places are found between blocks that stayed.
    let mut swapped = base.clone();
    swapped[block * 100 + 3..block * 105 + 3].copy_from_slice(&base[block * 700..block * 705]);
    let len = round_trip(&base, &swapped);
    assert!(len < 3 * block, "{len}");
}

#[test]
fn runs_of_equal_blocks_are_one_copy() {
    // `fast_rsync` copies the last one again and again.
    let zeros = vec![0; 6 << 20];
    assert!(round_trip(&zeros, &zeros) < 200);
    assert!(round_trip(&zeros, &zeros[..5_000_000]) < 200);
    let base = [&noise(1, 100_000), &zeros[..], &noise(2, 100_000)].concat();
    let new = [&noise(1, 100_000), &zeros[..3_000_000], &noise(2, 100_000)].concat();
    assert!(round_trip(&base, &new) < 1000);
    assert!(round_trip(&new, &base) < 1000);
}

#[test]
fn the_bytes_behind_the_last_whole_block_are_copied() {
    // To `fast_rsync` they are always new.
    let base = noise(1, 100 * 512 + 511);
    assert!(round_trip(&base, &base) < 200);
    let longer = [&noise(2, 1000), &base[..]].concat();
    assert!(round_trip(&base, &longer) < 1000 + 200);
    assert!(round_trip(&base, &base[base.len() - 511..]) < 200);
}

#[test]
fn what_is_like_nothing_costs_no_more_than_itself() {
    let new = noise(2, 3 << 20);
    assert!(round_trip(&noise(1, 3 << 20), &new) < new.len() + 500);
    let text = "a line that compresses\n".repeat(200_000);
    assert!(round_trip(b"", text.as_bytes()) < 5000);
    assert!(round_trip(&new, text.as_bytes()) < 5000);
}

#[test]
fn a_sample_tells_what_is_worth_it() {
    let base = noise(1, 8 << 20);
    let signature = signature_of(&base);
    let ask = |new: &[u8]| {
        let mut file = Cursor::new(new);
        let said = worth(&signature, &mut file, new.len() as u64).unwrap();
        assert_eq!(file.position(), 0);
        said
    };
    assert!(ask(&base));
    assert!(ask(&base[12_345..]));
    assert!(!ask(&noise(2, 8 << 20)));
    assert!(ask(&noise(2, 1000)), "it is quicker to try");
    let half = [&noise(2, 4 << 20), &base[3 << 20..]].concat();
    assert!(ask(&half));
    // What is found not to be worth it is compressed, and nothing more.
    let mut out = Vec::new();
    let size = base.len() as u64;
    let delta = make_from(&signature, &mut &base[..], size, false, &mut out, &()).unwrap();
    assert_eq!(delta.copied, 0);
    assert!(applied(&base, &out).unwrap() == base);
}

#[test]
fn a_delta_does_not_depend_on_the_number_of_threads() {
    let base = noise(1, 40 << 20);
    let signature = signature_of(&base);
    let mut new = base[1_000_000..].to_vec();
    new.splice(30_000_000..30_000_000, noise(2, 100));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| made(&signature, &new))
    };
    assert!(with(1) == with(3));
}

#[test]
fn p3_a_signature_that_lies_makes_nothing_that_passes() {
    // MD4 is broken: whoever wants to can have two blocks of one hash. Here the hashes of two are
    // exchanged, and the delta copies the one for the other.
    let base = noise(1, 100_000);
    let mut bytes = signature_of(&base).to_bytes();
    let width = signature_of(&base).hashing().width();
    let (first, second) = bytes[100..].split_at_mut(width);
    first.swap_with_slice(&mut second[..width]);
    let end = bytes.len() - 32;
    let check = *blake3::hash(&bytes[..end]).as_bytes();
    bytes[end..].copy_from_slice(&check);
    let lying = Signature::read(&mut &bytes[..]).unwrap();
    let delta = made(&lying, &base);
    let error = applied(&base, &delta).unwrap_err().to_string();
    assert!(error.contains("hashes to something else"), "{error}");
}

#[test]
fn p3_a_changed_or_cut_delta_is_noticed() {
    let base = noise(1, 20_000);
    let mut new = base.clone();
    new.splice(5_000..5_000, *b"inserted");
    new.extend_from_slice(&b"text ".repeat(100));
    let delta = made(&signature_of(&base), &new);
    for len in 0..delta.len() {
        assert!(applied(&base, &delta[..len]).is_err());
    }
    for at in 0..delta.len() {
        for change in [0x01, 0x80] {
            let mut bad = delta.clone();
            bad[at] ^= change;
            // Some bits of a zstd header do not matter.
            if let Ok(made) = applied(&base, &bad) {
                assert!(made == new, "byte {at}");
            }
        }
    }
    let error = applied(&new, &delta).unwrap_err().to_string();
    assert!(error.contains("another base"), "{error}");
}

#[test]
fn p9_hostile_patchworks_make_no_more_than_they_say() {
    let base = noise(1, 100_000);
    let refused = |size: u64, pieces: &[(u64, u64)]| {
        let mut raw = Vec::new();
        for (skip, len) in pieces {
            raw.extend_from_slice(&[0; 4]);
            raw.extend_from_slice(&skip.to_le_bytes());
            raw.extend_from_slice(&len.to_le_bytes());
        }
        let numbers = [pieces.len(), raw.len(), raw.len()].map(|n| (n as u32).to_le_bytes());
        let instruction = [&[crate::delta::PATCHWORK][..], &numbers.concat(), &raw].concat();
        let mut delta = head(LobId::of(&base), base.len() as u64, size);
        delta.extend_from_slice(&instruction);
        applied(&base, &delta).unwrap_err().to_string()
    };
    assert!(refused(150_000, &[(0, 100_000), (0, 1)]).contains("does not have"));
    assert!(refused(10, &[(100_000, 1)]).contains("does not have"));
    assert!(refused(10, &[(u64::MAX - 1, 1)]).contains("does not have"));
    assert!(refused(10, &[(u64::MAX, 1)]).contains("no base has"));
    let back = 0u64.wrapping_sub(100_000);
    assert!(refused(150_000, &[(0, 100_000), (back, 100_000)]).contains("more than it says"));
    assert!(refused(99_999, &[(0, 100_000)]).contains("more than it says"));
    assert!(refused(100_000, &[(0, 100_000)]).contains("too early"));
    // Thousands of copies of everything out of some bytes.
    let bomb = vec![(back, 100_000); 5000];
    let bomb = [&[(0, 100_000)], &bomb[..]].concat();
    assert!(refused(1_000_000, &bomb).contains("more than it says"));
}

//! Packs without a table, read forward: what is whole before the first damage comes back, and nothing
//! that is wrong does.

use lob_store::LobId;
use lob_store::fsck::Gravity;

use super::input::Input;
use super::place::{Place, listed, read};
use super::plan::Plan;

/// Leaves packs in the stage of a writer that is gone, damaged and cut off, and opens the store.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let place = Place::new();
    let stage = "stage/00000000000000aa";
    place.directory(stage);
    let mut promised = Vec::new();
    for serial in 1..=1 + input.byte() % 2 {
        let plan = Plan::of(&mut input, serial);
        let (bytes, _) = plan.pack.close();
        let (bytes, whole) = damaged(&mut input, bytes, plan.pack.bytes.len());
        place.put(&format!("{stage}/{serial:08}.pack"), &bytes);
        let lobs = plan.lobs.into_iter();
        promised.extend(lobs.filter(|lob| lob.honest && lob.end <= whole));
    }
    // Once as it was left, and again as that has left it.
    for time in 0..2 {
        let store = place.open().expect("it is a store");
        for lob in &promised {
            let content = read(&store, &LobId::of(&lob.content));
            assert_eq!(content.expect("it was whole"), lob.content, "time {time}");
        }
        let (_, unreadable) = listed(&store).expect("what was taken in is in order");
        assert!(unreadable.is_empty());
        let found = place.examine().expect("it is a store");
        let bad = found
            .iter()
            .find(|finding| finding.gravity <= Gravity::Damage);
        assert_eq!(bad, None);
    }
}

/// A pack cut off or changed somewhere, and how many of its bytes are surely as they were.
fn damaged(input: &mut Input<'_>, mut bytes: Vec<u8>, records: usize) -> (Vec<u8>, usize) {
    let mut whole = bytes.len();
    if input.bool() {
        let len = input.below(records.min(65_535) + 1);
        bytes.truncate(len);
        whole = len;
    }
    for _ in 0..input.below(3) {
        let at = input.below(records.min(65_535));
        let flip = input.byte();
        if flip != 0 && at < bytes.len() {
            bytes[at] ^= flip;
            whole = whole.min(at);
        }
    }
    (bytes, whole)
}

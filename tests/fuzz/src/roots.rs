//! Roots and runs of the index: whatever they say and whatever is lost of them, a read gives the right
//! bytes or an error, and what the packs hold is found again.

use lob_store::LobId;

use super::by_hand::builder::{Frame, Pack};
use super::by_hand::pack::{Id, hash};
use super::input::Input;
use super::place::{Place, listed, lost, read};

/// Makes a store of some packs under roots and runs that may lie.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut place = Place::new();
    let mut packs = Vec::new();
    for n in 0..1 + input.byte() % 3 {
        let content = [b"the content of pack ", [b'0' + n].as_slice()].concat();
        let mut pack = Pack::new([n; 16]);
        pack.frame(&Frame::raw(&[&content])).lob_of(&[&content]);
        let (bytes, table) = pack.close();
        let id = place.pack(&bytes, Some(&table));
        packs.push((id, bytes.len() as u64, content));
    }
    let chain = roots(&mut input, &place, &packs);
    for _ in 0..input.below(3) {
        lying_run(&mut input, &place, &packs, &chain);
    }
    let found = place.examine();
    let Ok(store) = place.open() else { return };
    for (_, _, content) in &packs {
        let _ = read(&store, &LobId::of(content));
    }
    if let (Some((_, unreadable)), Ok(found)) = (listed(&store), &found) {
        assert!(
            unreadable.is_subset(&lost(found)),
            "P11: {unreadable:?} {found:?}"
        );
    }
    // Whoever writes next makes it whole, and what is added then stays.
    let added = add(&store, b"something new");
    if added.is_ok() {
        let store = place.open().expect("it opened before");
        let id = LobId::of(b"something new");
        assert_eq!(
            read(&store, &id).expect("it was published"),
            b"something new"
        );
    }
}

fn add(store: &lob_store::Store, mut content: &[u8]) -> lob_store::Result<()> {
    let mut writer = store.writer()?;
    writer.add(&mut content, &())?;
    writer.finish()
}

/// A root: its number, and the first half of its closing hash.
type Link = (u64, [u8; 16]);

/// Writes roots; returns those that were written.
fn roots(input: &mut Input<'_>, place: &Place, packs: &[(Id, u64, Vec<u8>)]) -> Vec<Link> {
    let mut chain: Vec<Link> = vec![(0, [0; 16])];
    for _ in 0..input.below(6) {
        let (before, mut follows) = *chain.last().expect("it begins with one");
        let odd = input.byte();
        let seq = match odd % 16 {
            0 => before,
            1 => before.wrapping_add(2),
            2 => before.wrapping_add(2 + input.byte() as u64),
            3 => odd_number(input),
            _ => before.wrapping_add(1),
        };
        if odd & 0x30 == 0x10 {
            follows[0] ^= 1;
        }
        let mut root = b"LOBROOT\n\x01\0\0\0\0\0\0\0".to_vec();
        root.extend(seq.to_le_bytes());
        root.extend(follows);
        for dropped in [false, true] {
            let picked: Vec<_> = packs.iter().filter(|_| input.bool() != dropped).collect();
            let claimed = picked.len() as u32 + u32::from(input.byte() == 0xff);
            root.extend(claimed.to_le_bytes());
            for (id, len, _) in picked {
                root.extend(id);
                if !dropped {
                    let lie = u64::from(input.byte() == 0xff);
                    root.extend((len + lie).to_le_bytes());
                }
            }
        }
        if odd & 0xc0 == 0x40 {
            let at = input.below(root.len());
            root[at] ^= input.byte();
        }
        let seal = hash(&root);
        root.extend(seal);
        let name = if odd & 0xc0 == 0x80 {
            odd_number(input)
        } else {
            seq
        };
        place.put(&format!("roots/{name:016x}"), &root);
        chain.push((seq, *seal.first_chunk().expect("32 bytes begin with 16")));
    }
    chain
}

/// A number that is near the others or far from them. Between the two a chain is made whole by writing
/// every root that may have been lost: that takes its time, and shows nothing more.
fn odd_number(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        near @ ..0xf0 => near.into(),
        far => u64::MAX - u64::from(0xff - far),
    }
}

/// Writes a run of the index of which the hashes hold, and little else need.
fn lying_run(input: &mut Input<'_>, place: &Place, packs: &[(Id, u64, Vec<u8>)], chain: &[Link]) {
    let link = |input: &mut Input<'_>| chain[input.below(chain.len())];
    let (from, to) = (link(input).0, link(input));
    let bits = [input.byte() % 4, input.byte() % 4];
    let named: Vec<_> = packs
        .iter()
        .filter(|_| !input.byte().is_multiple_of(4))
        .collect();
    let gone: Vec<_> = packs.iter().filter(|_| input.byte() % 4 == 1).collect();
    let lists = bits.map(|bits| list(input, packs, bits));
    let mut run = b"LOBINDX\n\x02\0".to_vec();
    run.extend(bits);
    run.extend((named.len() as u32).to_le_bytes());
    run.extend((gone.len() as u32).to_le_bytes());
    run.extend([0; 4]);
    run.extend(from.to_le_bytes());
    run.extend(to.0.to_le_bytes());
    run.extend(to.1);
    for (count, _) in &lists {
        run.extend((count + u64::from(input.byte() == 0xff)).to_le_bytes());
    }
    run.extend([0; 8]);
    for (id, ..) in named.iter().chain(&gone) {
        run.extend(id);
    }
    let seal = hash(&run);
    run.extend(seal);
    for (_, list) in lists {
        run.extend(list);
    }
    place.put(&format!("index/{from:016x}-{:016x}.run", to.0), &run);
}

/// A sorted list, mostly, with its fan-out and its hash; and how many entries it has.
fn list(input: &mut Input<'_>, packs: &[(Id, u64, Vec<u8>)], bits: u8) -> (u64, Vec<u8>) {
    let mut entries: Vec<[u8; 16]> = Vec::new();
    for _ in 0..input.below(6) {
        let id = hash(&packs[input.below(packs.len())].2);
        let mut prefix: [u8; 8] = *id.first_chunk().expect("32 bytes begin with 8");
        prefix[0] ^= input.byte() & 1;
        prefix.reverse();
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&prefix);
        entry[8] = input.byte() % 4;
        entry[12] = input.byte() % 3;
        if input.byte() == 0xff {
            entry[8..].fill(0xff);
        }
        entries.push(entry);
    }
    if input.bool() {
        entries.sort_by_key(prefix_of);
    }
    let mut list = entries.concat();
    for bucket in 0..=1u64 << bits {
        let before = |entry: &&[u8; 16]| match bits {
            0 => bucket > 0,
            bits => prefix_of(entry) >> (64 - bits) < bucket,
        };
        let count = entries.iter().filter(before).count();
        let lie = u32::from(input.byte() == 0xff);
        list.extend((count as u32 + lie).to_le_bytes());
    }
    let mut seal = hash(&list);
    seal[0] ^= u8::from(input.byte() == 0xff);
    list.extend(seal);
    (entries.len() as u64, list)
}

fn prefix_of(entry: &[u8; 16]) -> u64 {
    u64::from_le_bytes(*entry.first_chunk().expect("16 bytes begin with 8"))
}

//! Packs and their tables: right bytes or an error, whatever both say.
//!
//! The input plans a pack and then changes its table, which is sealed again, so that the reader gets
//! behind the hash.

use std::collections::BTreeSet;

use lob_store::fsck::{Fault, Finding, Object};
use lob_store::{Error, LobId};

use super::by_hand::pack as page;
use super::by_hand::pack::hash;
use super::input::Input;
use super::place::{Place, listed, lost, read};
use super::plan::{Lob, Plan};

/// Makes a store of one or two packs, reads and examines it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut place = Place::new();
    let mut honest = true;
    let mut lobs = Vec::new();
    let mut on_page = BTreeSet::new();
    for nonce in 0..1 + input.byte() % 2 {
        let plan = Plan::of(&mut input, nonce);
        let original = plan.pack.close().1;
        let table = changed_table(&mut input, &original);
        let mut records = plan.pack.bytes.clone();
        change(&mut input, &mut records);
        honest &= plan.honest && table == original && records == plan.pack.bytes;
        let beside = match input.byte() % 4 {
            0 => None,
            1 => Some(original.as_slice()),
            _ => Some(table.as_slice()),
        };
        place.pack(&assemble(&records, &table), beside);
        on_page.extend(page_lists(&table).chain(page_lists(&original)));
        lobs.extend(plan.lobs);
    }
    place.name();
    let found = place.examine().expect("it is a store");
    let store = match place.open() {
        Ok(store) => store,
        // Nobody guesses what a later lob means.
        Err(Error::Later { .. }) if !honest => return,
        Err(error) => panic!("its roots are right: {error}"),
    };
    if honest {
        for Lob { content, .. } in &lobs {
            assert_eq!(
                read(&store, &LobId::of(content)).expect("is there"),
                *content
            );
        }
        assert!(found.iter().all(is_missing_table), "{found:?}");
    }
    if let Some((ids, unreadable)) = listed(&store) {
        assert!(ids.is_subset(&on_page), "more is listed than was written");
        assert!(
            unreadable.is_subset(&lost(&found)),
            "P11: {unreadable:?} {found:?}"
        );
    }
}

fn is_missing_table(finding: &Finding) -> bool {
    matches!(finding.object, Object::Table(_)) && finding.fault == Fault::Missing
}

/// A table with some fields changed, sealed again.
fn changed_table(input: &mut Input<'_>, table: &[u8]) -> Vec<u8> {
    let mut body = table[..table.len() - 32].to_vec();
    for _ in 0..input.below(6) {
        let at = input.below(body.len().max(1));
        match input.byte() % 5 {
            0 if at < body.len() => body[at] = input.byte(),
            1 if at < body.len() => body[at] ^= 1 << (input.byte() % 8),
            2 if at + 4 <= body.len() => {
                let number = input.number() as u32;
                body[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
            3 if at < body.len() => drop(body.remove(at)),
            _ => body.insert(at, input.byte()),
        }
    }
    let seal = hash(&body);
    body.extend(seal);
    body
}

/// Changes bytes of the records: the pack is named by what becomes of it.
fn change(input: &mut Input<'_>, records: &mut [u8]) {
    for _ in 0..input.below(4) {
        let at = input.below(records.len());
        records[at] ^= input.byte();
    }
}

/// A whole pack.
fn assemble(records: &[u8], table: &[u8]) -> Vec<u8> {
    let mut pack = [records, table].concat();
    pack.extend((records.len() as u64).to_le_bytes());
    pack.extend((table.len() as u64).to_le_bytes());
    pack.extend(b"LOBDONE\n");
    pack
}

/// The lobs that a reader of the page finds in a table.
fn page_lists(table: &[u8]) -> impl Iterator<Item = LobId> {
    let contents = page::table(table).map(|(_, contents)| contents);
    let lobs = contents.unwrap_or_default().lobs;
    lobs.into_keys().map(LobId::from_bytes)
}

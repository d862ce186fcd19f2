//! Which store each remote was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lob::sync::contact::Contacts;
use lob::sync::state::State;
use lob_store::StoreId;

use super::super::input::Input;
use super::{change, sealed};

/// Names and places of remotes may be anything.
fn word(input: &mut Input<'_>) -> String {
    match input.byte() % 4 {
        0 => "origin".into(),
        1 => "/srv/a b\n\"\\\u{7f}\u{2028}".into(),
        _ => String::from_utf8_lossy(input.some(6)).into_owned(),
    }
}

pub fn run(input: &mut Input<'_>, dir: &Path) {
    let state = State::of(dir);
    let mut met: BTreeMap<(String, String), StoreId> = BTreeMap::new();
    for _ in 0..input.below(12) {
        let (name, place) = (word(input), word(input));
        match input.byte() % 4 {
            0 => {
                change(dir, "remotes", input);
                let file = fs::read(dir.join("state/remotes")).unwrap_or_default();
                let contacts = Contacts::load(&state);
                if sealed(&file).is_none() {
                    assert_eq!(contacts, Contacts::default());
                }
                // What is remembered of another text is not known here.
                let still = |(name, place): &(String, String)| contacts.store(name, place);
                let keys: Vec<_> = met.keys().cloned().collect();
                for key in keys {
                    match still(&key) {
                        Some(store) => drop(met.insert(key, store)),
                        None => drop(met.remove(&key)),
                    }
                }
            }
            1 => {
                let found = Contacts::load(&state).store(&name, &place);
                let known = met.get(&(name, place));
                // A changed text may tell of others.
                assert!(known.is_none() || found.as_ref() == known);
            }
            _ => {
                let store = StoreId::from_bytes([input.byte() % 4; 32]);
                Contacts::record(&state, &name, &place, store).expect("nothing fails");
                met.insert((name, place), store);
            }
        }
        let contacts = Contacts::load(&state);
        for ((name, place), store) in &met {
            assert_eq!(contacts.store(name, place), Some(*store), "{name:?}");
        }
    }
}

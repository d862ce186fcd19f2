//! Which store each remote was when it was first met.
//!
//! A mount point without its disk, or with another one, must not pass for the store that was there
//! before: objects would go astray, and the ledger would be wrong.

use std::io;

use lob_store::StoreId;

use super::state::State;

const FILE: &str = "remotes";
const HEADING: &str = "lob remotes 1";

/// The stores that were met, by the name of the remote and the place it had then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contacts(Vec<Contact>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Contact {
    name: String,
    place: String,
    store: StoreId,
}

impl Contacts {
    /// What was written down; nothing where the file is missing or damaged.
    pub fn load(state: &State) -> Contacts {
        let parsed = state.read(FILE).and_then(|text| {
            let mut lines = text.lines();
            (lines.next()? == HEADING).then_some(())?;
            lines.map(parse).collect::<Option<Vec<_>>>()
        });
        Contacts(parsed.unwrap_or_default())
    }

    /// The store that was met under this name at this place.
    pub fn store(&self, name: &str, place: &str) -> Option<StoreId> {
        let met = self.0.iter();
        met.rev()
            .find(|contact| contact.name == name && contact.place == place)
            .map(|contact| contact.store)
    }

    /// Writes down that `store` was met, unless that is known.
    pub fn record(state: &State, name: &str, place: &str, store: StoreId) -> io::Result<()> {
        // Read again: another run may have met another remote in between.
        let mut contacts = Contacts::load(state);
        if contacts.store(name, place) == Some(store) {
            return Ok(());
        }
        contacts
            .0
            .retain(|contact| contact.name != name || contact.place != place);
        contacts.0.push(Contact {
            name: name.into(),
            place: place.into(),
            store,
        });
        let mut lines = format!("{HEADING}\n");
        for Contact { name, place, store } in &contacts.0 {
            lines.push_str(&format!("{store} {}\n", serde_json::json!([name, place])));
        }
        state.write(FILE, &lines)
    }
}

fn parse(line: &str) -> Option<Contact> {
    let (store, rest) = line.split_once(' ')?;
    let (name, place) = serde_json::from_str(rest).ok()?;
    Some(Contact {
        name,
        place,
        store: store.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_of_a_name_and_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::of(dir.path());
        let (one, two) = (StoreId::from_bytes([1; 32]), StoreId::from_bytes([2; 32]));
        Contacts::record(&state, "origin", "/srv/a b\n\"", one).unwrap();
        Contacts::record(&state, "backup", "/mnt", two).unwrap();
        let contacts = Contacts::load(&state);
        assert_eq!(contacts.store("origin", "/srv/a b\n\""), Some(one));
        assert_eq!(contacts.store("backup", "/mnt"), Some(two));
        assert_eq!(contacts.store("origin", "/mnt"), None);
        Contacts::record(&state, "backup", "/mnt", one).unwrap();
        assert_eq!(Contacts::load(&state).store("backup", "/mnt"), Some(one));
    }

    #[test]
    fn damage_is_forgetting() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::of(dir.path());
        for lines in [
            "lob remotes 2\n",
            "lob remotes 1\nx y\n",
            "lob remotes 1\n\n",
        ] {
            state.write(FILE, lines).unwrap();
            assert_eq!(Contacts::load(&state), Contacts::default());
        }
    }
}

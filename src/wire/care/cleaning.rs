//! Cleaning a store up: what is asked for, and what is told of it, as JSON.

use std::io::{self, Read};
use std::time::Duration;

use lob_store::{LobId, LobInfo, Progress, StoreId, Swept};
use serde::{Deserialize, Serialize};

use super::text;
use crate::wire::field::{FieldReader, FieldWriter, Tag, WireError};
use crate::wire::list::{take_ids, write_ids};

/// Most lobs that a request may name as needed.
pub const NEEDED_MAX: usize = 1 << 20;
/// Most users of a store that a request may name.
const PLACES_MAX: usize = 1 << 10;
/// Longest grace, in seconds: a thousand years.
const GRACE_MAX: u64 = 1000 * 366 * 86_400;

const DRY_RUN: u8 = 1;
const FORCE: u8 = 2;
const LISTS: u8 = 4;

/// How a store is to be cleaned up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// What was stored or found again in this time stays, and what is set aside is kept for as long. Whole
    /// seconds.
    pub grace: Duration,
    /// Only find out what would be done.
    pub dry_run: bool,
    /// Go on though somebody who uses the store cannot be asked, or though most of it goes.
    pub force: bool,
    /// Tell of each lob that stays, too.
    pub lists: bool,
    /// Places of those who use the store and are to be forgotten.
    pub forget: Vec<String>,
}

/// A request to clean a store up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaning {
    /// The store that is meant: another one refuses.
    pub store: StoreId,
    /// How.
    pub order: Order,
    /// Lobs that must stay, beside those which the service finds out itself; at most [`NEEDED_MAX`].
    pub needed: Vec<[u8; 32]>,
    /// Places of those who use the store and whose needs are all among `needed`.
    pub vouched: Vec<String>,
}

/// Lobs and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub lobs: u64,
    /// Bytes of their content.
    pub size: u64,
}

impl Sum {
    /// Counts one more lob of so many bytes.
    pub fn add(&mut self, size: u64) {
        self.lobs += 1;
        self.size = self.size.saturating_add(size);
    }
}

/// Why a lob stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stays {
    /// Somebody who uses the store needs it.
    Needed,
    /// It was stored or found again too short a time ago.
    Young,
    /// To take it out would cost more than it gives back.
    Left,
}

/// One who uses a store and cannot be asked what he needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The place by which the store knows him; empty where it does not.
    pub place: String,
    /// Who it is, and why he cannot be asked.
    pub why: String,
    /// What can be done.
    pub way: String,
}

/// What a run comes to by its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// What goes.
    pub goes: Sum,
    /// What stays, by the reason.
    pub stays: Vec<(Stays, Sum)>,
    /// Bytes that come back, about.
    pub freed: u64,
    /// Bytes that are written anew for that, about.
    pub moved: u64,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// Bytes of files that were deleted.
    pub bytes: u64,
    /// Bytes of files that wait for running commands to end.
    pub waiting: u64,
    /// Bytes of files that are set aside.
    pub aside: u64,
    /// Packs that stay because something in them cannot be read.
    pub unreadable: u64,
}

impl From<Swept> for Freed {
    fn from(swept: Swept) -> Freed {
        Freed {
            bytes: swept.bytes,
            waiting: swept.waiting,
            aside: swept.aside,
            unreadable: swept.unreadable,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Nobody at this place uses the store, who was to be forgotten. Nothing was done.
    Nobody(String),
    /// Somebody who uses the store cannot be asked. Nothing was done.
    Unknown,
    /// Another run is at work.
    Busy,
    /// It was only to be found out.
    DryRun,
    /// It would have taken an unusual share.
    Brake,
    /// All was done.
    Done(Freed),
}

/// One thing that is told of a run, as it comes to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cleaned {
    /// This user was forgotten.
    Forgotten(String),
    /// One cannot be asked.
    Unknown(Unknown),
    /// Lobs that had been set aside came back, as they are needed.
    Returned(#[serde(with = "text::lobs")] Vec<LobInfo>),
    /// A lob that is needed is damaged.
    Damaged {
        /// Which.
        #[serde(with = "text")]
        id: LobId,
        /// How.
        why: String,
    },
    /// What becomes of a lob.
    Lob {
        /// Which.
        #[serde(with = "text")]
        id: LobId,
        /// Bytes of its content.
        size: u64,
        /// Why it stays, unless it goes.
        stays: Option<Stays>,
        /// The path of a pointer that asks for it, where one is known.
        #[serde(with = "text::path", default, skip_serializing_if = "<[u8]>::is_empty")]
        path: Box<[u8]>,
    },
    /// What all of it comes to.
    Planned(Planned),
    /// From now on the store is changed.
    Begins,
    /// The last.
    Ended(End),
}

/// Hears what becomes of a run.
pub trait Listener: Progress {
    /// One more thing.
    ///
    /// # Errors
    /// Where nobody listens any more: then the run stops as soon as it safely can.
    fn hear(&self, told: Cleaned) -> lob_store::Result<()>;
}

impl Cleaning {
    /// The whole request.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let Order {
            grace,
            dry_run,
            force,
            lists,
            forget,
        } = &self.order;
        let flags = [(*dry_run, DRY_RUN), (*force, FORCE), (*lists, LISTS)];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        let flags = flags.fold(0, |all, (_, flag)| all | flag);
        let mut to = FieldWriter::new(Vec::new());
        to.field(Tag::Store, &[self.store.as_bytes()])?;
        let grace = grace.as_secs().to_le_bytes();
        to.field(Tag::Order, &[&[flags], &grace])?;
        for (tag, places) in [(Tag::Forget, forget), (Tag::Vouched, &self.vouched)] {
            for place in places {
                to.field(tag, &[place.as_bytes()])?;
            }
        }
        write_ids(&mut to, Tag::Ids, &self.needed)?;
        to.end()
    }

    /// Reads a request.
    pub fn read(from: &mut dyn Read) -> Result<Cleaning, WireError> {
        let mut from = FieldReader::new(from);
        let (mut store, mut order) = (None, None);
        let (mut forget, mut vouched, mut needed) = (Vec::new(), Vec::new(), Vec::new());
        let tags = [Tag::Store, Tag::Order, Tag::Forget, Tag::Vouched, Tag::Ids];
        while let Some((tag, bytes)) = from.next(&tags)? {
            match tag {
                Tag::Store => {
                    let id = bytes.try_into().map_err(|_| WireError::bad("half an id"))?;
                    store = Some(StoreId::from_bytes(id));
                }
                Tag::Order => order = Some(read_order(&bytes)?),
                Tag::Forget => take_place(bytes, &mut forget)?,
                Tag::Vouched => take_place(bytes, &mut vouched)?,
                _ => take_ids(&bytes, &mut needed, NEEDED_MAX)?,
            }
        }
        let (Some(store), Some(order)) = (store, order) else {
            return Err(WireError::bad("it does not say what is to be cleaned up"));
        };
        Ok(Cleaning {
            store,
            order: Order { forget, ..order },
            needed,
            vouched,
        })
    }
}

fn read_order(bytes: &[u8]) -> Result<Order, WireError> {
    let bad = || WireError::bad("it does not say how to clean up");
    let (&flags, grace) = bytes.split_first().ok_or_else(bad)?;
    let grace = u64::from_le_bytes(grace.try_into().map_err(|_| bad())?);
    if flags & !(DRY_RUN | FORCE | LISTS) != 0 {
        return Err(WireError::Later(format!("a way to clean up {flags:#04x}")));
    }
    if grace > GRACE_MAX {
        return Err(bad());
    }
    Ok(Order {
        grace: Duration::from_secs(grace),
        dry_run: flags & DRY_RUN != 0,
        force: flags & FORCE != 0,
        lists: flags & LISTS != 0,
        forget: Vec::new(),
    })
}

fn take_place(bytes: Vec<u8>, places: &mut Vec<String>) -> Result<(), WireError> {
    if places.len() == PLACES_MAX {
        return Err(WireError::bad(format!("more than {PLACES_MAX} places")));
    }
    let place = String::from_utf8(bytes);
    places.push(place.map_err(|_| WireError::bad("a place that is no text"))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_comes_as_it_was_said() {
        let cleaning = Cleaning {
            store: StoreId::from_bytes([7; 32]),
            order: Order {
                grace: Duration::from_secs(14 * 86_400),
                dry_run: true,
                force: false,
                lists: true,
                forget: vec!["lob serve".into(), "/a/b".into()],
            },
            needed: vec![[1; 32]; 5000],
            vouched: vec!["https://host/x".into()],
        };
        let body = cleaning.encode().unwrap();
        assert_eq!(Cleaning::read(&mut body.as_slice()).unwrap(), cleaning);
        assert!(Cleaning::read(&mut &body[..body.len() - 1]).is_err());
        for order in [&[8, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8], &[255; 9], &[]] {
            assert!(read_order(order).is_err(), "{order:?}");
        }
        let mut places = vec![String::new(); PLACES_MAX];
        assert!(take_place(b"x".to_vec(), &mut places).is_err());
        assert!(take_place(vec![0xff], &mut Vec::new()).is_err());
    }

    #[test]
    fn what_is_told_comes_back_from_its_json() {
        let id = LobId::of(b"x");
        let unknown = Unknown {
            place: "lob serve".into(),
            why: "others\n".into(),
            way: String::new(),
        };
        let planned = Planned {
            goes: Sum { lobs: 1, size: 2 },
            stays: vec![(Stays::Young, Sum::default())],
            freed: 3,
            moved: u64::MAX,
        };
        let lob = |path: &[u8], stays| Cleaned::Lob {
            id,
            size: 5,
            stays,
            path: path.into(),
        };
        for told in [
            Cleaned::Forgotten("x".into()),
            Cleaned::Unknown(unknown),
            Cleaned::Returned(vec![LobInfo { id, size: 1 }; 3]),
            Cleaned::Damaged {
                id,
                why: "it is".into(),
            },
            lob(b"", None),
            lob("gr\u{fc}n/a.bin".as_bytes(), Some(Stays::Needed)),
            Cleaned::Planned(planned),
            Cleaned::Begins,
            Cleaned::Ended(End::Nobody("x".into())),
            Cleaned::Ended(End::Busy),
            Cleaned::Ended(End::Done(Freed::default())),
        ] {
            let json = serde_json::to_string(&told).unwrap();
            let back: Cleaned = serde_json::from_str(&json).unwrap();
            assert_eq!(back, told, "{json}");
        }
        for json in [
            r#"{"lob":{"id":"00","size":1,"stays":null}}"#,
            r#"{"ended":"well"}"#,
            r#"{"lob":{"size":1}}"#,
        ] {
            assert!(serde_json::from_str::<Cleaned>(json).is_err(), "{json}");
        }
    }
}

//! What an examination of a store found, as JSON.

use lob_store::fsck::{Examined, Fault, Finding, Gravity, Object, Remedy};
use lob_store::{ChunkId, LobId, PackId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

/// One thing that an examination tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Examination {
    /// Something is not as it should be.
    #[serde(with = "found")]
    Found(Finding),
    /// So much was examined: the last.
    #[serde(with = "sums")]
    Examined(Examined),
}

/// What a finding is about.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum About {
    Store,
    Root(u64),
    Pack(#[serde(with = "text")] PackId),
    Table(#[serde(with = "text")] PackId),
    Run(u64, u64),
    Chunk(
        #[serde(with = "text")] ChunkId,
        #[serde(with = "text")] PackId,
    ),
    Lob(#[serde(with = "text")] LobId),
    File(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Wrong {
    Missing,
    Damaged(String),
    Unreadable(String),
    Newer(String),
    Unused,
    Unknown,
    Exposed,
}

#[derive(Serialize, Deserialize)]
struct Line {
    object: About,
    fault: Wrong,
    gravity: String,
    remedy: String,
}

#[derive(Serialize, Deserialize)]
struct Sums {
    packs: u64,
    chunks: u64,
    lobs: u64,
    whole_packs: u64,
    whole_lobs: u64,
}

const GRAVITIES: [(Gravity, &str); 4] = [
    (Gravity::Loss, "loss"),
    (Gravity::Damage, "damage"),
    (Gravity::Leftover, "leftover"),
    (Gravity::Note, "note"),
];

const REMEDIES: [(Remedy, &str); 11] = [
    (Remedy::Fetch, "fetch"),
    (Remedy::Rebuild, "rebuild"),
    (Remedy::Rewrite, "rewrite"),
    (Remedy::Adopt, "adopt"),
    (Remedy::Delete, "delete"),
    (Remedy::Prune, "prune"),
    (Remedy::Open, "open"),
    (Remedy::Restrict, "restrict"),
    (Remedy::System, "system"),
    (Remedy::Upgrade, "upgrade"),
    (Remedy::Owner, "owner"),
];

/// The word for a value; the last one for one that has none.
fn word<T: PartialEq>(words: &[(T, &'static str)], value: &T) -> String {
    let known = words.iter().find(|(known, _)| known == value);
    let known = known.or(words.last());
    known.map_or(String::new(), |(_, word)| (*word).into())
}

fn value<T: Copy>(words: &[(T, &str)], word: &str) -> Option<T> {
    let known = words.iter().find(|(_, known)| *known == word);
    known.map(|(value, _)| *value)
}

impl About {
    fn of(object: &Object) -> About {
        match object {
            Object::Root(seq) => About::Root(*seq),
            Object::Pack(id) => About::Pack(*id),
            Object::Table(id) => About::Table(*id),
            Object::Run(from, to) => About::Run(*from, *to),
            Object::Chunk(id, pack) => About::Chunk(*id, *pack),
            Object::Lob(id) => About::Lob(*id),
            Object::File(path) => About::File(path.to_string_lossy().into_owned()),
            _ => About::Store,
        }
    }

    fn object(self) -> Object {
        match self {
            About::Store => Object::Store,
            About::Root(seq) => Object::Root(seq),
            About::Pack(id) => Object::Pack(id),
            About::Table(id) => Object::Table(id),
            About::Run(from, to) => Object::Run(from, to),
            About::Chunk(id, pack) => Object::Chunk(id, pack),
            About::Lob(id) => Object::Lob(id),
            About::File(path) => Object::File(path.into()),
        }
    }
}

impl Wrong {
    fn of(fault: &Fault) -> Wrong {
        match fault {
            Fault::Missing => Wrong::Missing,
            Fault::Damaged(why) => Wrong::Damaged(why.clone()),
            Fault::Unreadable(why) => Wrong::Unreadable(why.clone()),
            Fault::Newer(what) => Wrong::Newer(what.clone()),
            Fault::Unused => Wrong::Unused,
            Fault::Exposed => Wrong::Exposed,
            _ => Wrong::Unknown,
        }
    }

    fn fault(self) -> Fault {
        match self {
            Wrong::Missing => Fault::Missing,
            Wrong::Damaged(why) => Fault::Damaged(why),
            Wrong::Unreadable(why) => Fault::Unreadable(why),
            Wrong::Newer(what) => Fault::Newer(what),
            Wrong::Unused => Fault::Unused,
            Wrong::Unknown => Fault::Unknown,
            Wrong::Exposed => Fault::Exposed,
        }
    }
}

mod found {
    use super::*;

    pub(super) fn serialize<S: Serializer>(found: &Finding, to: S) -> Result<S::Ok, S::Error> {
        let line = Line {
            object: About::of(&found.object),
            fault: Wrong::of(&found.fault),
            gravity: word(&GRAVITIES, &found.gravity),
            remedy: word(&REMEDIES, &found.remedy),
        };
        line.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Finding, D::Error> {
        let line = Line::deserialize(from)?;
        let gravity = value(&GRAVITIES, &line.gravity);
        let remedy = value(&REMEDIES, &line.remedy);
        Ok(Finding {
            object: line.object.object(),
            fault: line.fault.fault(),
            gravity: gravity.ok_or_else(|| D::Error::custom("this is no gravity"))?,
            // Of a newer lob, which knows what to do.
            remedy: remedy.unwrap_or(Remedy::Upgrade),
        })
    }
}

mod sums {
    use super::*;

    pub(super) fn serialize<S: Serializer>(sums: &Examined, to: S) -> Result<S::Ok, S::Error> {
        let Examined {
            packs,
            chunks,
            lobs,
            whole_packs,
            whole_lobs,
            ..
        } = *sums;
        let sums = Sums {
            packs,
            chunks,
            lobs,
            whole_packs,
            whole_lobs,
        };
        sums.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Examined, D::Error> {
        let sums = Sums::deserialize(from)?;
        let mut examined = Examined::default();
        examined.packs = sums.packs;
        examined.chunks = sums.chunks;
        examined.lobs = sums.lobs;
        examined.whole_packs = sums.whole_packs;
        examined.whole_lobs = sums.whole_lobs;
        Ok(examined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_can_be_found_comes_back_from_its_json() {
        let (pack, chunk) = (PackId::from_bytes([1; 32]), ChunkId::of(b"x"));
        let objects = [
            Object::Store,
            Object::Root(7),
            Object::Pack(pack),
            Object::Table(pack),
            Object::Run(0, u64::MAX),
            Object::Chunk(chunk, pack),
            Object::Lob(LobId::of(b"x")),
            Object::File("state/format".into()),
        ];
        let why = || "of \"this\"\n".to_string();
        let faults = [
            Fault::Missing,
            Fault::Damaged(why()),
            Fault::Unreadable(why()),
            Fault::Newer(why()),
            Fault::Unused,
            Fault::Unknown,
            Fault::Exposed,
        ];
        let gravities = GRAVITIES.map(|(gravity, _)| gravity);
        let remedies = REMEDIES.map(|(remedy, _)| remedy);
        for n in 0..11 {
            let told = Examination::Found(Finding {
                object: objects[n % objects.len()].clone(),
                fault: faults[n % faults.len()].clone(),
                gravity: gravities[n % gravities.len()],
                remedy: remedies[n],
            });
            let json = serde_json::to_string(&told).unwrap();
            let back: Examination = serde_json::from_str(&json).unwrap();
            assert_eq!(back, told, "{json}");
        }
        let mut examined = Examined::default();
        (examined.packs, examined.whole_lobs) = (3, u64::MAX);
        let json = serde_json::to_string(&Examination::Examined(examined)).unwrap();
        let back: Examination = serde_json::from_str(&json).unwrap();
        assert_eq!(back, Examination::Examined(examined));
    }

    #[test]
    fn what_a_peer_makes_up_is_an_error() {
        let line = |object: &str, gravity: &str, remedy: &str| {
            let json = format!(
                r#"{{"found":{{"object":{object},"fault":"missing","gravity":{gravity},"remedy":{remedy}}}}}"#
            );
            serde_json::from_str::<Examination>(&json)
        };
        assert!(line(r#"{"root":1}"#, r#""loss""#, r#""fetch""#).is_ok());
        assert!(line(r#"{"pack":"xyz"}"#, r#""loss""#, r#""fetch""#).is_err());
        assert!(line(r#"{"root":-1}"#, r#""loss""#, r#""fetch""#).is_err());
        assert!(line(r#""store""#, r#""worse""#, r#""fetch""#).is_err());
        let newer = line(r#""store""#, r#""note""#, r#""dance""#).unwrap();
        let Examination::Found(newer) = newer else {
            unreachable!("it was a finding")
        };
        assert_eq!(newer.remedy, Remedy::Upgrade);
    }
}

//! Ids and paths in JSON.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// What has a text, as that.
pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    parse(&String::deserialize(from)?)
}

fn parse<T: FromStr, E: serde::de::Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(|_| E::custom("this is no id"))
}

/// Lobs, each its id and the bytes of its content.
pub(super) mod lobs {
    use lob_store::LobInfo;

    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        lobs: &[LobInfo],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(lobs.iter().map(|lob| (lob.id.to_string(), lob.size)))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<LobInfo>, D::Error> {
        let lobs = Vec::<(String, u64)>::deserialize(from)?.into_iter();
        lobs.map(|(id, size)| {
            let id = parse(&id)?;
            Ok(LobInfo { id, size })
        })
        .collect()
    }
}

/// A path, of which what is no UTF-8 is shown so.
pub(super) mod path {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        path: &[u8],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&String::from_utf8_lossy(path))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Box<[u8]>, D::Error> {
        let path = String::deserialize(from)?;
        match path.contains('\0') {
            true => Err(D::Error::custom("this is no path")),
            false => Ok(path.into_bytes().into()),
        }
    }
}

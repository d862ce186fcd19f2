//! Packs from outside: that they are there, as long as they must be, and closed by their tables.

use crate::disk::Map;
use crate::error::{Error, Result};
use crate::id::PackId;
use crate::pack::{self, Table};

use super::named::{Member, Named};
use super::{Each, Exam, Examined, Finding, Gravity, Object, Remedy};

/// What was found of a pack, and how many chunks and lobs it lists.
struct Looked {
    findings: Vec<Finding>,
    chunks: usize,
    lobs: usize,
}

impl Exam<'_> {
    /// Examines every pack with its table, and counts what they list.
    pub(super) fn tables(&self, named: &Named, each: Each<'_>) -> Result<Examined> {
        let mut examined = Examined::default();
        self.in_order(
            &named.packs,
            |member| Ok(self.look_at(member)),
            |member, looked| {
                examined.packs += 1;
                examined.chunks += looked.chunks as u64;
                examined.lobs += looked.lobs as u64;
                self.report(named, &member.id, looked.findings, each);
                Ok(())
            },
        )?;
        Ok(examined)
    }

    /// Reports findings about a pack, unless it was dropped meanwhile.
    pub(super) fn report(
        &self,
        named: &Named,
        pack: &PackId,
        findings: Vec<Finding>,
        each: Each<'_>,
    ) {
        if !findings.is_empty() && !self.news(named).1.contains(pack) {
            findings.into_iter().for_each(each);
        }
    }

    fn look_at(&self, member: &Member) -> Looked {
        let id = &member.id;
        // As every reader finds it: by either table, and only if all that it lists can be there.
        let table = self.packs.table(id);
        let in_pack = self.table_in(member);
        let mut findings = Vec::new();
        if let Err(error) = &in_pack {
            let gravity = match table {
                Ok(_) => Gravity::Damage,
                Err(_) => Gravity::Loss,
            };
            let remedy = match error {
                Error::NoPack(_) => Remedy::Fetch,
                _ => Remedy::Rewrite,
            };
            findings.push(Finding::of(error, Object::Pack(*id), gravity, remedy));
        }
        // Of one that is not there no more needs to be said.
        if !matches!(in_pack, Err(Error::NoPack(_)))
            && let Err(error) = self.check_alone(id, in_pack.as_ref().ok())
        {
            // Of one that no root names yet, it may not have come that far.
            let gravity = match (member.root, self.packs.table_path(id)) {
                (None, path) if matches!(self.disk.len(&path), Ok(None)) => Gravity::Leftover,
                _ => Gravity::Damage,
            };
            let remedy = Remedy::Rebuild;
            findings.push(Finding::of(&error, Object::Table(*id), gravity, remedy));
        }
        Looked {
            findings,
            chunks: table.as_ref().map_or(0, |table| table.chunk_count()),
            lobs: table.as_ref().map_or(0, |table| table.lob_count()),
        }
    }

    /// The table in a pack, of which all is examined that can be without reading it.
    fn table_in(&self, member: &Member) -> Result<Table> {
        let path = self.packs.path(&member.id);
        let what = path.display().to_string();
        let len = self.disk.len(&path).map_err(Error::at(&path))?;
        let len = len.ok_or(Error::NoPack(member.id))?;
        let bad = |why: String| Err(Error::damaged(&what, why));
        if let Some((named, seq)) = member.root
            && named != len
        {
            return bad(format!("it has {len} bytes, and {named} in root {seq}"));
        }
        let file = self.disk.open(&path).map_err(Error::at(&path))?;
        let nonce = pack::nonce_of(file.as_ref(), &path)?;
        let table = Table::open(Map::from(pack::read_table(file.as_ref(), &path)?), &what)?;
        if table.nonce() != nonce {
            return bad("its table is that of another pack".into());
        }
        Ok(table)
    }

    /// Fails unless the table beside a pack is the one in it or, where that is not good, good.
    fn check_alone(&self, id: &PackId, in_pack: Option<&Table>) -> Result<()> {
        let path = self.packs.table_path(id);
        let what = path.display().to_string();
        let map = self.disk.map(&path).map_err(Error::at(&path))?;
        match in_pack {
            Some(table) if table.bytes() == &map[..] => Ok(()),
            Some(_) => Err(Error::damaged(what, "it is not the table in the pack")),
            None => Table::open(map, &what).map(drop),
        }
    }
}

//! What stands at a path in given commits.

use super::Scope;
use super::blobs::classify;
use crate::git::records::Records;
use crate::git::{Oid, Pointer, Repo, Result, Seen};

/// For each path the pointer that the first of `commits` has there which has one. A hint: nothing is
/// found in a partial clone, where looking could fetch, and for a path with a newline.
pub fn pointers_at(
    repo: &Repo,
    seen: &mut Seen,
    commits: &[Oid],
    paths: &[&[u8]],
) -> Result<Vec<Option<Pointer>>> {
    let scope = Scope::of(repo)?;
    let mut found = vec![None; paths.len()];
    if scope.partial {
        return Ok(found);
    }
    for commit in commits {
        let mut asked = Vec::new();
        let mut input = Vec::new();
        for (n, path) in paths.iter().enumerate() {
            if found[n].is_none() && !path.is_empty() && !path.contains(&b'\n') {
                asked.push(n);
                input.extend_from_slice(format!("{commit}:").as_bytes());
                input.extend_from_slice(path);
                input.push(b'\n');
            }
        }
        if asked.is_empty() {
            break;
        }
        let words = ["cat-file", "--batch-check=%(objectname) ", "--buffer"];
        let mut records = Records::feed(&scope.git, words, input, b'\n')?;
        let mut oids = Vec::with_capacity(asked.len());
        for n in asked {
            // Otherwise git repeats the question, and that nothing is there.
            let line = records.read()?.unwrap_or_default();
            if let Some(oid) = line.strip_suffix(b" ").and_then(Oid::from_hex) {
                oids.push((n, oid));
            }
        }
        let unknown = oids.iter().filter(|(_, oid)| seen.get(oid).is_none());
        let unknown = unknown.map(|(_, oid)| *oid).collect();
        let new = classify(&scope, seen, unknown)?;
        for (n, oid) in oids {
            let blob = seen.get(&oid).or_else(|| new.get(&oid).copied());
            found[n] = blob.and_then(|blob| blob.pointer());
        }
    }
    Ok(found)
}

//! What somebody finds that is there already, which no prune may take for as long as if it had just come.

use lob_store::disk::SimDisk;
use lob_store::{LobId, Result};

use crate::store::noise;
use crate::store::witness::{ROOT, Witness};

/// When it is found, in seconds since 1970; all was stored at the beginning of time.
const NOW: u64 = 1_000_000;

fn contents() -> [Vec<u8>; 3] {
    [1, 2, 3].map(|n| noise(n, 400))
}

/// Two contents, each in a pack of its own.
pub fn two_packs(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    for content in &contents()[..2] {
        let mut writer = store.writer()?;
        witness.add(disk, &mut writer, content)?;
        writer.finish()?;
    }
    witness.durable(disk);
    Ok(())
}

/// A push asks for the first; the second is added again, together with something new.
pub fn found(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    disk.set_clock(NOW);
    let [first, second, third] = contents();
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    if writer.hold(&[LobId::of(&first)])?.contains(&None) {
        witness.complain("what is there is not found".into());
    }
    writer.finish()?;
    witness.stays_young(disk, ROOT, &first, NOW);
    let mut writer = store.writer()?;
    witness.add(disk, &mut writer, &second)?;
    witness.add(disk, &mut writer, &third)?;
    writer.sync()?;
    witness.stays_young(disk, ROOT, &second, NOW);
    writer.finish()?;
    witness.durable(disk);
    witness.stays_young(disk, ROOT, &third, NOW);
    Ok(())
}

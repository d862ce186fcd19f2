//! What a gc does to a remote store: packs are set aside, some come back, the others are deleted.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use lob_store::disk::{Disk, SimDisk};
use lob_store::{Error, LobId, Result};

use crate::store::noise;
use crate::store::witness::{ROOT, Witness};

const DAY: Duration = Duration::from_secs(86_400);

fn contents() -> [Vec<u8>; 4] {
    [1, 2, 3, 4].map(|n| noise(n, 400))
}

/// Each content in a pack of its own; and of an epoch only the name is left, as if somebody's machine
/// had lost power who does not sync.
pub fn four_packs(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    for content in contents() {
        let mut writer = store.writer()?;
        witness.add(disk, &mut writer, &content)?;
        writer.finish()?;
    }
    let epoch = Path::new(ROOT).join("state/epoch");
    let made = disk.create(&epoch).and_then(|file| file.sync());
    made.and_then(|()| disk.sync_dir(&Path::new(ROOT).join("state")))
        .map_err(Error::at(&epoch))?;
    witness.durable(disk);
    Ok(())
}

/// The first comes back, the second is stored again, the third goes, the fourth was never aside.
pub fn set_aside(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let [first, second, third, fourth] = contents();
    come_back(disk, witness)?;
    // Where this was done before, the third may be gone for good.
    let store = witness.open(disk)?;
    let mut there = Vec::new();
    for content in [&first, &second, &third] {
        if store.lob(&LobId::of(content))?.is_some() {
            there.push(content);
        }
    }
    for content in &there {
        witness.release(disk, content);
    }
    collect(disk, witness, &[&fourth], DAY)?;
    for content in &there {
        witness.set_aside(disk, content);
    }
    let back = witness.open(disk)?.bring_back(&[LobId::of(&first)])?;
    if back != 1 {
        witness.complain(format!("{back} of 1 come back"));
    }
    witness.arrived(disk, ROOT, &first);
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    witness.add(disk, &mut writer, &second)?;
    writer.finish()?;
    witness.durable(disk);
    witness.end_aside(disk);
    collect(disk, witness, &[&first, &second, &fourth], Duration::ZERO)
}

/// Whoever sets nothing aside leaves alone what others did, and all of it can come back.
fn come_back(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let aside = witness.is_aside(disk);
    let store = witness.open(disk)?;
    let prune = store.prune(UNIX_EPOCH)?.expect("the only one");
    prune.plan()?.run(&())?;
    for id in aside {
        if store.lob(&id)?.is_none() && store.bring_back(&[id])? != 1 {
            witness.complain(format!("{id} was set aside and does not come back"));
        }
    }
    Ok(())
}

/// All but `kept` is set aside, and what was for so long goes.
fn collect(disk: &SimDisk, witness: &mut Witness, kept: &[&[u8]], grace: Duration) -> Result<()> {
    let store = witness.open(disk)?;
    let young = UNIX_EPOCH + Duration::from_secs(1);
    let mut prune = store.prune(young)?.expect("the only one");
    prune.set_aside(grace);
    for content in kept {
        prune.keep(&LobId::of(content))?;
    }
    prune.plan()?.run(&())?;
    Ok(())
}

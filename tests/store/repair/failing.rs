//! Repairs on a disk that fails once: what they give up they name.

use std::io::ErrorKind;

use super::*;

/// Two lobs that share most of their chunks. Neither table of theirs is there, and that in the pack of
/// the second is damaged too.
fn hurt() -> (SimDisk, [Vec<u8>; 2]) {
    let first = noise(1, 300_000);
    let second = [first.as_slice(), &noise(2, 500)].concat();
    let disk = disk();
    let shared = Arc::new(disk.clone());
    let store = Store::open_or_create(shared, Path::new(ROOT)).expect("opens");
    let mut packs = Vec::new();
    for content in [&first, &second] {
        let mut writer = store.writer().expect("writes");
        writer.add(&mut content.as_slice(), &()).expect("adds");
        writer.finish().expect("publishes");
        let new = files(&disk).into_iter().find(|path| {
            let is_pack = path.extension().is_some_and(|end| end == "pack");
            is_pack && !packs.contains(path)
        });
        packs.push(new.expect("a pack"));
    }
    for pack in &packs {
        disk.remove(&pack.with_extension("idx")).expect("removes");
    }
    let mut changed = bytes(&disk, &packs[1]);
    *changed.last_mut().expect("not empty") ^= 1;
    put(&disk, &packs[1], &changed);
    (copy(&disk), [first, second])
}

/// Whether all could be looked at.
fn is_all(plan: &RepairPlan) -> bool {
    let mut others = plan.others().iter();
    others.all(|other| other.gravity > Gravity::Damage)
}

#[test]
fn p6_what_a_repair_gives_up_on_a_failing_disk_is_named_by_the_next() {
    let (hurt, contents) = hurt();
    let mut aside = 0;
    for at in 0.. {
        let disk = copy(&hurt);
        disk.fail_read_at(at, ErrorKind::Other);
        let shared = Arc::new(disk.clone());
        let planned = repair::plan(shared, Path::new(ROOT), Depth::Deep, None, &());
        let done = planned.map(|plan| (plan.run(&()), plan));
        if disk.injected() == 0 {
            break;
        }
        let next = plan(&disk);
        if let Ok((Ok(Some(done)), plan)) = done {
            aside += done.aside.len();
            if done.aside.is_empty() && done.failed.is_empty() && is_all(&plan) {
                assert_eq!(next.lost().count(), 0, "read {at}");
            }
        }
        // Of what it names the next run sets nothing aside that is not named as well.
        let named: BTreeSet<LobId> = next.lost().copied().collect();
        let _ = run(&next, "the next run");
        for content in &contents {
            let id = LobId::of(content);
            let is_here = read(&open(&disk), &id).is_ok_and(|read| read == *content);
            assert!(is_here || named.contains(&id), "read {at}: {id}");
        }
    }
    assert!(aside > 0, "nothing was ever given up");
}

/// Whoever plans is told of what could not be looked at: what is lost there is not known.
#[test]
fn p6_what_could_not_be_examined_is_told() {
    let (hurt, _) = hurt();
    let damaged = |disk: &SimDisk, pack: &Path| {
        let mut changed = bytes(disk, pack);
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        put(disk, pack, &changed);
    };
    let packs = files(&hurt).into_iter();
    let packs = packs.filter(|path| path.extension().is_some_and(|end| end == "pack"));
    packs.for_each(|pack| damaged(&hurt, &pack));
    let hurt = copy(&hurt);
    let lost: BTreeSet<LobId> = plan(&hurt).lost().copied().collect();
    assert_ne!(lost.len(), 0);
    let (mut told, mut refused) = (0, 0);
    for at in 0.. {
        let disk = copy(&hurt);
        disk.fail_read_at(at, ErrorKind::OutOfMemory);
        let shared = Arc::new(disk.clone());
        let planned = repair::plan(shared, Path::new(ROOT), Depth::Deep, None, &());
        if disk.injected() == 0 {
            break;
        }
        let Ok(plan) = planned else {
            refused += 1;
            continue;
        };
        let named: BTreeSet<LobId> = plan.lost().copied().collect();
        told += usize::from(!is_all(&plan));
        assert!(!is_all(&plan) || named == lost, "read {at}: {named:?}");
    }
    assert!(told > 0 && refused > 0, "{told} {refused}");
}

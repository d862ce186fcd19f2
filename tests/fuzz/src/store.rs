//! A store as a machine of states: whatever is done in whatever order, whoever is killed and whenever
//! power is lost, it holds what the model says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lob_store::disk::SimDisk;
use lob_store::fsck::{self, Depth, Gravity};
use lob_store::{LobId, Store, Writer};

use super::input::Input;
use super::place::{listed, read};

const ROOT: &str = "/store";
/// Most operations of one input.
const STEPS: usize = 40;

/// What is surely there. What was released may be there still.
#[derive(Debug, Default)]
struct Model {
    kept: BTreeMap<LobId, Vec<u8>>,
}

/// Does what the bytes say.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut disk = SimDisk::new();
    let mut model = Model::default();
    let made = Store::create(Arc::new(disk.clone()), Path::new(ROOT));
    drop(made.expect("an empty disk takes a store"));
    let mut left = STEPS;
    while !input.is_empty() && left > 0 {
        let store = open(&disk);
        let crash = session(&store, &disk, &mut model, &mut input, &mut left);
        drop(store);
        match crash {
            Crash::None => {}
            Crash::Kill => disk = disk.killed(disk.changes()),
            Crash::Power(pick) => {
                let mut states = disk.crash_states(disk.changes(), 8);
                disk = states.swap_remove(pick % states.len()).disk;
            }
        }
        model.check(&open(&disk));
    }
    model.check(&open(&disk));
    examine(&disk);
}

/// How a process ends.
enum Crash {
    None,
    Kill,
    Power(usize),
}

fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), Path::new(ROOT)).expect("a store opens")
}

fn add(writer: &mut Writer<'_>, content: &[u8]) -> LobId {
    let added = writer.add(&mut &*content, &()).expect("nothing fails");
    assert_eq!(
        (added.id, added.size),
        (LobId::of(content), content.len() as u64)
    );
    added.id
}

/// Contents that share chunks and frames, of few bytes of input.
fn content(input: &mut Input<'_>) -> Vec<u8> {
    let seed = [b's', input.byte() % 16];
    match input.byte() % 8 {
        0 => seed.repeat(30_000 + input.below(4) * 20_000),
        1 => [seed.repeat(40), input.some(30).to_vec()].concat(),
        _ => seed.repeat(1 + input.below(200)),
    }
}

/// One process: some writes, a prune, or nothing but reads, until it ends.
fn session(
    store: &Store,
    disk: &SimDisk,
    model: &mut Model,
    input: &mut Input<'_>,
    left: &mut usize,
) -> Crash {
    let mut writer = store.writer().expect("a writer");
    writer.set_pack_soft(200 + input.below(8) as u64 * 200);
    // What was added survives a kill from then on, the loss of power only once it is synced; and
    // others see it when it is published, or when somebody has taken over what was left.
    let mut added: BTreeMap<LobId, Vec<u8>> = BTreeMap::new();
    let mut synced: BTreeMap<LobId, Vec<u8>> = BTreeMap::new();
    while *left > 0 {
        *left -= 1;
        match input.byte() % 12 {
            0..=4 => {
                let content = content(input);
                added.insert(add(&mut writer, &content), content);
            }
            5 => {
                writer.sync().expect("nothing fails");
                synced.append(&mut added);
            }
            6 => {
                writer.publish().expect("nothing fails");
                model.kept.append(&mut synced);
                model.kept.append(&mut added);
                model.check(store);
            }
            7 => {
                if model.prune(store, disk, input) {
                    model.check(store);
                }
            }
            8 => model.check(&open(disk)),
            9 => {
                break;
            }
            10 => {
                model.kept.append(&mut synced);
                model.kept.append(&mut added);
                drop(writer);
                return Crash::Kill;
            }
            _ => {
                model.kept.append(&mut synced);
                drop(writer);
                return Crash::Power(input.byte().into());
            }
        }
    }
    writer.finish().expect("nothing fails");
    model.kept.append(&mut synced);
    model.kept.append(&mut added);
    Crash::None
}

impl Model {
    /// All of it is there, and comes back.
    fn check(&self, store: &Store) {
        for (id, content) in &self.kept {
            let found = read(store, id).unwrap_or_else(|error| panic!("{id}: {error}"));
            assert!(found == *content, "{id} is another content");
        }
        let (ids, unreadable) = listed(store).expect("a good store");
        assert!(
            unreadable.is_empty(),
            "{unreadable:?} are listed and not there"
        );
        assert!(self.kept.keys().all(|id| ids.contains(id)));
    }

    /// Releases what the input says, and prunes; says whether nobody else did.
    fn prune(&mut self, store: &Store, disk: &SimDisk, input: &mut Input<'_>) -> bool {
        let goes = |input: &mut Input<'_>| input.bool();
        self.kept.retain(|_, _| !goes(input));
        // Everything that is there is old, or nothing is.
        let young = UNIX_EPOCH + Duration::from_secs(u64::from(input.byte() % 2));
        disk.set_clock(u64::from(input.byte() % 2));
        let Some(mut prune) = store.prune(young).expect("nothing fails") else {
            return false;
        };
        if input.bool() {
            prune.set_step(500);
        }
        for id in self.kept.keys() {
            let _ = prune.keep(id).expect("it can be read");
        }
        let plan = prune.plan().expect("nothing fails");
        plan.run(&()).expect("nothing fails");
        true
    }
}

/// Fails if anything is wrong with a store.
pub(super) fn examine(disk: &SimDisk) {
    let mut found = Vec::new();
    let each = &mut |finding| found.push(finding);
    let disk = Arc::new(disk.clone());
    fsck::examine(disk, Path::new(ROOT), Depth::Deep, &(), each).expect("it is a store");
    let bad = found
        .iter()
        .find(|finding| finding.gravity <= Gravity::Damage);
    assert_eq!(bad, None);
}

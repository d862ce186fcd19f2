//! P9: peers that follow a script, at the real programs: the memory of a server and of a client stays
//! bounded, a server goes on serving others, and a client ends with what it came for or an error.

mod bytes;
mod messages;
mod servers;

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lob::remote::{Access, Served};
use lob::sync::plan::Asking;
use lob_store::Parts;

use self::messages::Known;
use super::report;
use crate::network::{Serving, means, over_http, patience};
use crate::served::{add, contents, opened, replicate};
use crate::support::{World, noise};

/// KiB of memory that either side may take.
const MEMORY: u64 = 256 << 10;
/// What the server bears without any progress.
const STALL: Duration = Duration::from_secs(2);
/// When a script is over at the latest; most of it is for a busy machine.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes of an answer that are read before nothing is for a while.
const READ: u64 = 4 << 20;

/// What a hostile client says: something, and then the same again and again.
pub struct Script {
    name: String,
    begin: Vec<u8>,
    again: Vec<u8>,
    times: usize,
}

impl Script {
    fn once(name: &str, begin: Vec<u8>) -> Script {
        Script::again(name, begin, Vec::new(), 0)
    }

    fn again(name: &str, begin: Vec<u8>, again: Vec<u8>, times: usize) -> Script {
        Script {
            name: name.into(),
            begin,
            again,
            times,
        }
    }

    /// Says it as far as the server takes it, reads some of the answer, and then nothing for a while.
    /// Returns whether the server left.
    fn run(&self, server: SocketAddr) -> bool {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_write_timeout(Some(LONGEST)).unwrap();
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        let began = Instant::now();
        let mut is_taken = stream.write_all(&self.begin).is_ok();
        for _ in 0..self.times {
            is_taken = is_taken && stream.write_all(&self.again).is_ok();
        }
        let mut is_open = copied(&mut stream, READ);
        if is_open {
            thread::sleep(STALL + Duration::from_secs(2));
            is_open = copied(&mut stream, u64::MAX);
        }
        !is_open && began.elapsed() < LONGEST
    }
}

/// Reads so much; returns whether more may come.
fn copied(stream: &mut TcpStream, most: u64) -> bool {
    match io::copy(&mut stream.take(most), &mut io::sink()) {
        Ok(read) => read == most,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// A server with short limits, over a store of several kinds of lobs.
fn server(world: &World) -> (Serving, Known) {
    let store = opened(&world.path().join("store"));
    let ids: Vec<_> = contents()
        .iter()
        .map(|content| add(&store, content))
        .collect();
    let manifest = store.manifest(&ids[1]).unwrap().unwrap();
    let Parts::Chunks(chunks) = manifest.parts else {
        panic!("a lob of some chunks")
    };
    let known = Known {
        store: store.id(),
        lob: *ids.last().unwrap(),
        chunk: chunks[0].0,
    };
    let config = format!(
        "root = '{}'\nlisten = '127.0.0.1:0'\nanonymous = 'append'\n[limits]\n\
         head-seconds = 1\nstall-seconds = {}\nidle-seconds = 2\ngrace-seconds = 1\n",
        world.path().display(),
        STALL.as_secs()
    );
    let file = world.path().join("serve.toml");
    fs::write(&file, config).unwrap();
    let mut command = world.command("lob");
    command.args(["--json", "serve", "--config"]).arg(&file);
    (Serving::run(&mut command), known)
}

fn scripts(known: &Known) -> Vec<Script> {
    let of_http1 = bytes::of_http1().into_iter();
    let of_http1 = of_http1.map(|bytes| Script::once("HTTP/1.1", bytes));
    let of_http2 = bytes::of_http2().into_iter();
    let of_http2 = of_http2.map(|bytes| Script::once("HTTP/2", bytes));
    of_http1
        .chain(of_http2)
        .chain(messages::scripts(known))
        .collect()
}

#[test]
fn p9_no_script_costs_a_server_its_memory_or_others_their_answers() {
    let world = World::in_memory();
    let (server, known) = server(&world);
    let scripts = scripts(&known);
    let is_over = AtomicBool::new(false);
    let (served, failed, stayed) = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (mut served, mut failed) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) || served == 0 {
                served += 1;
                let own = opened(&world.path().join("other"));
                add(&own, &noise(1000 + served, 50_000));
                let exchange = over_http(&server.url("team"), means(&world, patience()));
                let run = Served::connect(exchange, Access::Write, None)
                    .map_err(|error| error.to_string())
                    .and_then(|remote| replicate(Asking::ToPush, &own, &remote));
                failed.extend(run.err());
            }
            (served, failed)
        });
        let address = server.address;
        let run = |script| scope.spawn(move || Script::run(script, address));
        let running: Vec<_> = scripts.iter().map(run).collect();
        let left = running.into_iter().map(|script| script.join().unwrap());
        let stayed = scripts.iter().zip(left).filter(|(_, left)| !left);
        let stayed = stayed.map(|(script, _)| &script.name);
        let stayed: Vec<&String> = stayed.collect();
        is_over.store(true, Ordering::Relaxed);
        let (served, failed) = other.join().unwrap();
        (served, failed, stayed)
    });
    let peak = server.peak();
    report(
        "hostile clients",
        &[
            ("scripts at once", scripts.len() as u64),
            ("pushes of others meanwhile", served),
            ("peak KiB of the server", peak),
        ],
    );
    assert!(failed.is_empty(), "{failed:?}");
    assert!(stayed.is_empty(), "connections stay: {stayed:?}");
    assert!(scripts.len() >= 100, "{}", scripts.len());
    assert!(peak <= MEMORY, "{peak} KiB");
    let there = opened(&world.path().join("store"));
    let mut bad = Vec::new();
    for id in contents()
        .iter()
        .map(|content| lob_store::LobId::of(content))
    {
        bad.extend(crate::served::read(&there, &id).err());
    }
    assert!(bad.is_empty(), "{bad:?}");
}

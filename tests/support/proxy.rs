//! A proxy between a client and a server on this machine that does to their bytes what networks do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

/// What happens to a connection at some byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Both ends lose it.
    Cut,
    /// Nothing more arrives, and nobody says so.
    Stall,
    /// One bit is another.
    Corrupt,
    /// The last bytes come twice.
    Duplicate,
    /// This way it is closed; the other way it goes on.
    HalfClose,
    /// The next bytes come one at a time.
    Dribble,
}

impl Kind {
    pub const ALL: [Kind; 6] = [
        Kind::Cut,
        Kind::Stall,
        Kind::Corrupt,
        Kind::Duplicate,
        Kind::HalfClose,
        Kind::Dribble,
    ];
}

/// What is to happen once: at the first connection on which so many bytes go that way.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub way: Way,
    pub at: u64,
    pub kind: Kind,
}

/// Bytes that come twice, or one at a time.
const SOME: usize = 64;

/// What went over one connection each way.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    pub bytes: [Vec<u8>; 2],
    /// Where each piece ended, as it was read.
    pub pieces: [Vec<u64>; 2],
}

/// A proxy on a port of its own.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    fault: Mutex<Option<Fault>>,
    injected: AtomicU64,
    connections: AtomicU64,
    moved: [AtomicU64; 2],
    is_over: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    recorded: Mutex<Option<Vec<Recorded>>>,
}

impl Proxy {
    /// A proxy to `server`, which for now only passes on.
    pub fn to(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        let accepting = thread::spawn(move || accept(&listener, server, &seen));
        Proxy {
            address,
            shared,
            accepting: Some(accepting),
        }
    }

    /// Sets what is to happen next.
    pub fn inject(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = Some(fault);
    }

    /// Takes back what has not happened; returns whether something was to.
    pub fn clear(&self) -> bool {
        self.shared.fault.lock().unwrap().take().is_some()
    }

    /// Faults that happened.
    pub fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::SeqCst)
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Bytes that went that way so far.
    pub fn moved(&self, way: Way) -> u64 {
        self.shared.moved[way as usize].load(Ordering::SeqCst)
    }

    /// Bytes that went so far, both ways.
    pub fn moved_in_all(&self) -> u64 {
        self.moved(Way::Up) + self.moved(Way::Down)
    }

    /// Keeps from now on what goes over new connections.
    pub fn record(&self) {
        *self.shared.recorded.lock().unwrap() = Some(Vec::new());
    }

    /// What went over the connections since [`Proxy::record`], and no more is kept.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.shared.recorded.lock().unwrap().take().unwrap()
    }

    /// Breaks all connections.
    pub fn cut_all(&self) {
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            // Some have ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes up who accepts.
        let _ = TcpStream::connect(self.address);
        self.cut_all();
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.is_over.load(Ordering::SeqCst) {
            return;
        }
        let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else {
            continue;
        };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            let mut streams = shared.streams.lock().unwrap();
            streams.retain(|stream| stream.peer_addr().is_ok());
            streams.push(stream.try_clone().unwrap());
        }
        let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let number = shared.recorded.lock().unwrap().as_mut().map(|all| {
            all.push(Recorded::default());
            all.len() - 1
        });
        for (way, (from, to)) in [(Way::Up, (client, server)), (Way::Down, back)] {
            let shared = shared.clone();
            thread::spawn(move || pump((way, number), from, to, &shared));
        }
    }
}

impl Shared {
    fn note(&self, way: Way, number: Option<usize>, bytes: &[u8]) {
        let mut recorded = self.recorded.lock().unwrap();
        let of = number.and_then(|number| recorded.as_mut()?.get_mut(number));
        if let Some(of) = of {
            of.bytes[way as usize].extend_from_slice(bytes);
            let end = of.bytes[way as usize].len() as u64;
            of.pieces[way as usize].push(end);
        }
    }
}

/// Passes bytes on until there are no more.
fn pump(
    (way, number): (Way, Option<usize>),
    mut from: TcpStream,
    mut to: TcpStream,
    shared: &Shared,
) {
    let mut buffer = [0; 16 << 10];
    let mut passed = 0;
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..len];
        shared.note(way, number, bytes);
        let end = passed + len as u64;
        let is_due = |fault: &mut Fault| fault.way == way && (passed..end).contains(&fault.at);
        let fault = shared.fault.lock().unwrap().take_if(is_due);
        let done = match fault {
            None => to.write_all(bytes).is_ok(),
            Some(fault) => {
                shared.injected.fetch_add(1, Ordering::SeqCst);
                let at = usize::try_from(fault.at - passed).unwrap();
                strike(fault.kind, at, bytes, &from, &mut to)
            }
        };
        shared.moved[way as usize].fetch_add(len as u64, Ordering::SeqCst);
        passed = end;
        if !done {
            return;
        }
    }
    // The other way may go on.
    let _ = to.shutdown(Shutdown::Write);
}

/// Lets something happen at a byte of `bytes`; returns whether the connection goes on.
fn strike(kind: Kind, at: usize, bytes: &mut [u8], from: &TcpStream, to: &mut TcpStream) -> bool {
    let (before, after) = bytes.split_at_mut(at);
    if to.write_all(before).is_err() {
        return false;
    }
    match kind {
        Kind::Cut => {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            false
        }
        // The streams stay open in the list of them all.
        Kind::Stall => false,
        Kind::HalfClose => {
            let _ = to.shutdown(Shutdown::Write);
            false
        }
        Kind::Corrupt => {
            after[0] ^= 0x10;
            to.write_all(after).is_ok()
        }
        Kind::Duplicate => {
            let again = after.len().min(SOME);
            to.write_all(&after[..again]).is_ok() && to.write_all(after).is_ok()
        }
        Kind::Dribble => {
            let (slow, rest) = after.split_at(after.len().min(SOME));
            slow.chunks(1).all(|byte| to.write_all(byte).is_ok()) && to.write_all(rest).is_ok()
        }
    }
}

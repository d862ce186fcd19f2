//! A network between a client and a server on this machine: each byte takes its time on the way, and only
//! so many go in a second. Nothing of it is left to chance.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that go at once.
const PIECE: usize = 8 << 10;
/// Pieces on the way of one connection: 32 MiB, more than any such link holds.
const PIECES: usize = 4096;
/// How long a piece may wait for its turn before whoever sends must wait too: what a router holds.
const QUEUE: Duration = Duration::from_millis(20);

/// What a link is like.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// How long a byte takes, each way.
    pub delay: Duration,
    /// Bytes in a second, each way, of all connections together.
    pub rate: u64,
}

/// The ends of a link: who connects to the address talks to the server. It lasts as long as the process.
#[derive(Debug, Clone)]
pub struct Ends {
    pub address: SocketAddr,
    moved: Arc<[AtomicU64; 2]>,
}

/// One way of a link, which all connections share.
#[derive(Debug)]
struct Lane {
    link: Link,
    /// When what was sent so far has left.
    free: Mutex<Instant>,
    moved: Arc<[AtomicU64; 2]>,
    way: usize,
}

impl Link {
    /// Begins to carry connections to `server`.
    pub fn to(self, server: SocketAddr) -> io::Result<Ends> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let moved: Arc<[AtomicU64; 2]> = Arc::default();
        let ends = Ends {
            address: listener.local_addr()?,
            moved: moved.clone(),
        };
        let lane = |way| {
            Arc::new(Lane {
                link: self,
                free: Mutex::new(Instant::now()),
                moved: moved.clone(),
                way,
            })
        };
        let lanes = [lane(0), lane(1)];
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let lanes = lanes.clone();
                thread::spawn(move || carry(client, server, lanes));
            }
        });
        Ok(ends)
    }
}

impl Ends {
    /// Bytes that went up and down so far.
    pub fn moved(&self) -> [u64; 2] {
        [0, 1].map(|way| self.moved[way].load(Ordering::Relaxed))
    }
}

/// Carries one connection. That it is made takes one way and back, as everywhere.
fn carry(client: TcpStream, server: SocketAddr, [up, down]: [Arc<Lane>; 2]) {
    thread::sleep(2 * up.link.delay);
    let Ok(server) = TcpStream::connect(server) else {
        return;
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (Ok(from), Ok(to)) = (server.try_clone(), client.try_clone()) else {
        return;
    };
    thread::spawn(move || down.pass(from, to));
    up.pass(client, server);
}

impl Lane {
    /// Passes on what comes, each piece when its time has come.
    fn pass(&self, mut from: TcpStream, to: TcpStream) {
        let (sender, pieces) = sync_channel(PIECES);
        thread::scope(|scope| {
            scope.spawn(move || arrive(to, &pieces));
            let mut buffer = [0; PIECE];
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                if self.leave(&buffer[..len], &sender).is_err() {
                    break;
                }
            }
            // That there is no more takes its time too.
            let _ = sender.send((Instant::now() + self.link.delay, Vec::new()));
        });
    }

    fn leave(&self, bytes: &[u8], to: &SyncSender<(Instant, Vec<u8>)>) -> Result<(), ()> {
        let cost = Duration::from_secs_f64(bytes.len() as f64 / self.link.rate as f64);
        let left = {
            let mut free = self.free.lock().unwrap_or_else(|held| held.into_inner());
            *free = (*free).max(Instant::now()) + cost;
            *free
        };
        self.moved[self.way].fetch_add(bytes.len() as u64, Ordering::Relaxed);
        thread::sleep(left.saturating_duration_since(Instant::now() + QUEUE));
        to.send((left + self.link.delay, bytes.to_vec()))
            .map_err(drop)
    }
}

fn arrive(mut to: TcpStream, pieces: &Receiver<(Instant, Vec<u8>)>) {
    for (at, bytes) in pieces {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

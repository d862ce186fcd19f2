//! A service on a machine that dies at any moment, and a network to it that loses requests and answers.

use std::fmt;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use lob::serve::service::Service;
use lob::wire::{Body, Caller, Exchange, ExchangeError, Rights, Serve, Standing, Verb};
use lob_store::Store;
use lob_store::disk::SimDisk;

use super::turns::Turns;

pub const ROOT: &str = "/store";

/// The machine of the service.
pub struct Place {
    pub turns: Arc<Turns>,
    machine: Mutex<Machine>,
}

/// What there is of it between two crashes.
#[derive(Clone)]
struct Machine {
    disk: SimDisk,
    service: Arc<Service>,
    crashes: u64,
    lost: u64,
    now: u64,
    /// Changes of the disk when somebody was last told something: a crash takes nothing of that back.
    told: usize,
}

/// What happened to those who asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Harm {
    pub crashes: u64,
    /// Requests and answers that did not arrive.
    pub lost: u64,
}

pub fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), Path::new(ROOT)).unwrap()
}

impl Place {
    pub fn new(turns: Arc<Turns>) -> Place {
        let disk = SimDisk::new();
        let store = Store::create(Arc::new(disk.clone()), Path::new(ROOT)).unwrap();
        let machine = Machine {
            disk,
            service: Arc::new(Service::over(Arc::new(store))),
            crashes: 0,
            lost: 0,
            now: 1,
            told: 0,
        };
        Place {
            turns,
            machine: Mutex::new(machine),
        }
    }

    pub fn disk(&self) -> SimDisk {
        self.machine.lock().unwrap().disk.clone()
    }

    pub fn harm(&self) -> Harm {
        let machine = self.machine.lock().unwrap();
        Harm {
            crashes: machine.crashes,
            lost: machine.lost,
        }
    }

    pub fn now(&self) -> u64 {
        self.machine.lock().unwrap().now
    }

    /// Lets time go by.
    pub fn pass(&self, seconds: u64) {
        let mut machine = self.machine.lock().unwrap();
        machine.now += seconds;
        machine.disk.set_clock(machine.now);
    }

    /// The machine dies at one of the changes of its disk since `before`: of the process, or of the power.
    /// It is up again at once.
    pub fn crash(&self, before: usize) {
        let mut machine = self.machine.lock().unwrap();
        let before = before.max(machine.told);
        let changes = machine.disk.changes() - before;
        let at = before + self.turns.below(changes as u64 + 1) as usize;
        machine.disk = match self.turns.below(2) {
            0 => machine.disk.killed(at),
            _ => {
                let mut states = machine.disk.crash_states(at, 6);
                let pick = self.turns.below(states.len() as u64) as usize;
                states.swap_remove(pick).disk
            }
        };
        machine.disk.set_clock(machine.now);
        machine.service = Arc::new(Service::over(Arc::new(open(&machine.disk))));
        machine.told = 0;
        machine.crashes += 1;
    }
}

/// The way of one client to the place.
pub struct Link {
    pub place: Arc<Place>,
    pub actor: usize,
    /// Whether anything goes wrong on it.
    pub is_bad: bool,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// Not to be tried again at once: who asked begins anew, as users do.
fn broken() -> ExchangeError {
    ExchangeError::Broken {
        message: "the connection broke".into(),
        hint: None,
        transient: false,
    }
}

/// A body that others get their turns in between.
struct Slow<'a> {
    rest: Cursor<Vec<u8>>,
    end: u64,
    piece: u64,
    link: &'a Link,
}

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let at = self.rest.position();
        if at >= self.end {
            let is_whole = self.end == self.rest.get_ref().len() as u64;
            return match is_whole {
                true => Ok(0),
                false => Err(io::ErrorKind::ConnectionReset.into()),
            };
        }
        if at.is_multiple_of(self.piece) {
            self.link.place.turns.step(self.link.actor);
        }
        let most = self.piece - at % self.piece;
        let most = most.min(self.end - at).min(out.len() as u64) as usize;
        self.rest.read(&mut out[..most])
    }
}

impl Link {
    fn harmed(&self, of: u64) -> bool {
        self.is_bad && self.place.turns.below(of) == 0
    }
}

impl Exchange for Link {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        let mut request = Vec::new();
        match body {
            Body::Bytes(bytes) => request = bytes,
            Body::Stream(mut stream) => {
                stream.read_to_end(&mut request).map_err(|_| broken())?;
            }
        }
        let turns = &self.place.turns;
        turns.step(self.actor);
        self.place.pass(1);
        let Machine {
            disk,
            service,
            crashes,
            ..
        } = self.place.machine.lock().unwrap().clone();
        let len = request.len() as u64;
        let end = match self.harmed(16) {
            true => turns.below(len),
            false => len,
        };
        let mut body = Slow {
            piece: (len / 3).max(1),
            rest: Cursor::new(request),
            end,
            link: self,
        };
        let caller = Caller {
            name: "client".into(),
            from: "there".into(),
            rights: Rights::Append,
            standing: Standing::default(),
        };
        let before = disk.changes();
        let mut answer = Vec::new();
        let served = service.serve(&caller, verb, &mut body, &mut answer);
        // Others may have had their turns meanwhile, and the machine a crash.
        let is_gone = self.place.machine.lock().unwrap().crashes != crashes;
        if !is_gone && self.harmed(24) {
            self.place.crash(before);
        } else if !is_gone && end == len && !self.harmed(24) {
            self.place.machine.lock().unwrap().told = disk.changes();
            return match served {
                Ok(()) => Ok(Box::new(Cursor::new(answer))),
                Err(refusal) => Err(ExchangeError::Refused(refusal)),
            };
        }
        self.place.machine.lock().unwrap().lost += 1;
        Err(broken())
    }

    fn describe(&self) -> String {
        "test://place".into()
    }
}

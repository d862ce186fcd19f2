//! Answers the requests of smart remotes from a store (docs/protocol.md).
//!
//! A service keeps nothing between two requests but the open store, and a few sketches of what is in it,
//! which only spare it work. What it is told is taken for hostile: every length is bounded before anything
//! is reserved, what is to be stored is verified, and nothing is answered that the store does not show to
//! everybody who may read it.

mod answer;
mod care;
mod differences;
mod held;
mod hold;
mod put;
mod refuse;
mod rolled;
mod shares;

pub use care::{CareError, Cleaner};
pub use shares::Shares;

use std::fmt;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lob_store::reconcile::Sketches;
use lob_store::{LobInfo, StoreId};

use crate::remote::{self, Access, Remote, open_dir};
use crate::wire::care::{CAN_CARE, Examining};
use crate::wire::message::{CAN_DIFFERENCES, CAN_HOLD_OTHERS, VERSION};
use crate::wire::{
    Asked, Caller, Differing, FieldReader, FieldWriter, Hello, Refusal, RefusalKind, Rights,
};
use crate::wire::{Rolled, Serve, Verb, Welcome};
use held::Question;
use refuse::{of_error, of_wire};

/// Bytes of an answer that are gathered before they are sent.
const BUFFER: usize = 64 << 10;

/// Opens the store; `true` says to make it where there is none.
type Open = dyn Fn(bool) -> remote::Result<Arc<dyn Remote>> + Send + Sync;

/// Is told what was stored.
pub trait Witness: Send + Sync {
    /// Somebody is going to rely on the store in `dir`; `elsewhere` says that his commits go to another
    /// repository than the one that has it inside, if one has. It must be known there before anything
    /// counts.
    fn relied_on(&self, _dir: &Path, _elsewhere: bool) -> io::Result<()> {
        Ok(())
    }

    /// A store was changed. Of what is not acknowledged by itself, as that lobs came back, it is durable
    /// when this returns.
    fn changed(&self, _change: &Change<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// What somebody changed in a store.
#[derive(Debug)]
pub struct Change<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// Which store.
    pub store: StoreId,
    /// What.
    pub what: What,
    /// The lobs; for [`What::HeldOthers`] those that were left out.
    pub lobs: &'a [LobInfo],
    /// Bytes of frames that came, or of files that went.
    pub bytes: u64,
}

/// How a store was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Lobs were named, whose chunks had come.
    Stored,
    /// Of a request that broke off, the chunks that came stay, and no lob.
    Cut,
    /// Lobs count as stored just now.
    Held,
    /// All lobs do but some.
    HeldOthers,
    /// Lobs that were set aside came back.
    Recalled,
    /// Lobs are going to be set aside, which nobody needs.
    SetAside,
    /// Files were deleted of what had been set aside; the bytes are theirs.
    Deleted,
}

/// Nobody is told.
impl Witness for () {}

/// The service of one store.
pub struct Service {
    dir: Option<PathBuf>,
    open: Box<Open>,
    store: Mutex<Option<Arc<dyn Remote>>>,
    witness: Arc<dyn Witness>,
    cleaner: Arc<dyn Cleaner>,
    sketches: Sketches,
    shares: Arc<Shares>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// Serves the store in a directory, which is opened when it is asked for first, and made by who may
    /// write and asks for that.
    pub fn of_dir(dir: PathBuf) -> Service {
        let place = dir.clone();
        let open = Box::new(move |create| -> remote::Result<Arc<dyn Remote>> {
            let access = match create {
                true => Access::Write,
                false => Access::Read,
            };
            Ok(Arc::new(open_dir(&dir, access, None)?))
        });
        Service::new(Some(place), open)
    }

    /// Serves a store that is open.
    pub fn over(store: Arc<dyn Remote>) -> Service {
        Service::new(None, Box::new(move |_| Ok(store.clone())))
    }

    fn new(dir: Option<PathBuf>, open: Box<Open>) -> Service {
        Service {
            dir,
            open,
            store: Mutex::new(None),
            witness: Arc::new(()),
            cleaner: Arc::new(()),
            sketches: Sketches::default(),
            shares: Arc::default(),
        }
    }

    /// Tells `witness` what is stored.
    pub fn with_witness(self, witness: Arc<dyn Witness>) -> Service {
        Service { witness, ..self }
    }

    /// Lets `cleaner` clean the store up, for who may ask for that.
    pub fn with_cleaner(self, cleaner: Arc<dyn Cleaner>) -> Service {
        Service { cleaner, ..self }
    }

    /// With a part in what others have too.
    pub fn with_shares(self, shares: Arc<Shares>) -> Service {
        Service { shares, ..self }
    }

    fn store(&self, create: bool) -> Result<Arc<dyn Remote>, Refusal> {
        let mut slot = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = slot.as_ref() {
            return Ok(store.clone());
        }
        let store = (self.open)(create).map_err(of_error)?;
        Ok(slot.insert(store).clone())
    }

    /// The store, which must be the one that is meant, as it is now.
    fn meant(&self, id: StoreId) -> Result<Arc<dyn Remote>, Refusal> {
        let store = self.store(false)?;
        if store.store_id() != id {
            let found = store.store_id();
            let message = format!("the store {found} is here, and not {id}");
            return Err(Refusal::new(RefusalKind::Conflict, message));
        }
        store.refresh().map_err(of_error)?;
        Ok(store)
    }

    /// Lets it be known that somebody relies on the store from now on.
    fn rely(&self, elsewhere: bool) -> Result<(), Refusal> {
        let Some(dir) = &self.dir else {
            return Ok(());
        };
        let noted = self.witness.relied_on(dir, elsewhere);
        noted.map_err(|error| refuse::internal("cannot write down who uses the store", &error))
    }

    fn hello(
        &self,
        caller: &Caller,
        body: &mut dyn Read,
        to: &mut FieldWriter<impl Write>,
    ) -> Result<(), Refusal> {
        let hello = Hello::read(body).map_err(of_wire)?;
        if caller.rights < hello.wants {
            return Err(Refusal::forbidden(&caller.name, hello.wants));
        }
        let store = self.store(hello.create && caller.rights >= Rights::Append)?;
        // Before anything is seen of the store: what is seen then, no earlier epoch has taken away.
        let epoch = store.epoch().map_err(of_error)?;
        store.refresh().map_err(of_error)?;
        let may = |verb: &Verb| caller.rights >= verb.needs();
        let welcome = Welcome {
            version: VERSION,
            store: store.store_id(),
            cursor: store.cursor().map_err(of_error)?,
            epoch,
            free: store.free_space().map_err(of_error)?,
            verbs: Verb::ALL
                .iter()
                .filter(|verb| may(verb))
                .map(|verb| verb.name().to_owned())
                .collect(),
            program: concat!("lob ", env!("CARGO_PKG_VERSION")).into(),
            can: [CAN_DIFFERENCES, CAN_HOLD_OTHERS, CAN_CARE]
                .map(String::from)
                .to_vec(),
        };
        welcome.write(to).map_err(refuse::of_sink)
    }
}

impl Serve for Service {
    fn serve(
        &self,
        caller: &Caller,
        verb: Verb,
        body: &mut dyn Read,
        answer: &mut dyn Write,
    ) -> Result<(), Refusal> {
        if caller.rights < verb.needs() {
            return Err(Refusal::forbidden(&caller.name, verb.needs()));
        }
        let mut out = BufWriter::with_capacity(BUFFER, answer);
        let mut to = FieldWriter::new(&mut out);
        let done = match verb {
            Verb::Hello => self.hello(caller, body, &mut to),
            Verb::Put => self.put(caller, &mut FieldReader::new(body)),
            Verb::Differ => Differing::read(body).map_err(of_wire).and_then(|asked| {
                let store = self.meant(asked.store)?;
                answer::differ(store.as_ref(), &asked.question, &self.sketches, &mut to)
            }),
            Verb::Delta => Rolled::read(body).map_err(of_wire).and_then(|asked| {
                let store = self.meant(asked.store)?;
                rolled::answer(store.as_ref(), &self.shares.turns, &asked, &mut to)
            }),
            Verb::Gc => self.gc(caller, body, &mut to),
            Verb::Fsck => Examining::read(body)
                .map_err(of_wire)
                .and_then(|asked| self.fsck(&asked, &mut to)),
            verb => {
                let mut question = Question::new(body);
                question.read(Asked::read).and_then(|asked| {
                    let store = self.meant(asked.store)?;
                    let store = store.as_ref();
                    hold::check_flags(&asked, verb == Verb::Hold)?;
                    match verb {
                        Verb::Hold => self.hold(caller, store, &asked, &mut to),
                        Verb::Recall => self.recall(caller, store, &asked, &mut to),
                        verb => answer::answer(store, &self.shares.turns, verb, asked, &mut to),
                    }
                })
            }
        };
        match done {
            Ok(()) => to.end().map(drop).map_err(refuse::of_sink),
            Err(refusal) if !to.has_begun() => Err(refusal),
            // Where it cannot be told any more, the answer has no end, which says enough.
            Err(refusal) => {
                let _ = to.refuse(&refusal);
                Ok(())
            }
        }
    }
}

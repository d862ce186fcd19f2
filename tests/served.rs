//! Stores behind a service, without a socket: what carries the requests is a call.

mod announced;
mod care;
mod conformance;
mod differ;
mod differences;
mod faults;
mod held;
mod rolled;
mod transcripts;

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use lob::remote::{Access, Remote, Served, open_dir};
use lob::serve::service::Service;
use lob::sync::plan::{Asking, Plan, Planner};
use lob::sync::wanted::{Reason, Want};
use lob::sync::{Pace, Sides, carry_out, push_all};
use lob::wire::{Body, Caller, Exchange, ExchangeError, Rights, Serve, Standing, Verb};
use lob_store::{LobId, LobInfo, Store};

use crate::support::noise;

/// Carries requests by calling who answers them.
pub struct Direct {
    pub service: Arc<dyn Serve>,
    pub rights: Rights,
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Direct")
    }
}

impl Exchange for Direct {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        let mut body: Box<dyn Read> = match body {
            Body::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
            Body::Stream(stream) => stream,
        };
        let mut answer = Vec::new();
        let caller = Caller {
            name: "tester".into(),
            from: "here".into(),
            rights: self.rights,
            standing: Standing::default(),
        };
        self.service
            .serve(&caller, verb, &mut body, &mut answer)
            .map_err(ExchangeError::Refused)?;
        Ok(Box::new(io::Cursor::new(answer)))
    }

    fn describe(&self) -> String {
        "test://served".into()
    }
}

/// The store in a directory, as its service shows it.
pub fn direct(dir: &Path, rights: Rights) -> Arc<dyn Exchange> {
    Arc::new(Direct {
        service: Arc::new(Service::of_dir(dir.to_path_buf())),
        rights,
    })
}

pub fn served(dir: &Path) -> Served {
    Served::connect(direct(dir, Rights::Write), Access::Write, None).unwrap()
}

pub fn opened(dir: &Path) -> Store {
    open_dir(dir, Access::Write, None).unwrap()
}

pub fn add(store: &Store, content: &[u8]) -> LobId {
    let mut writer = store.writer().unwrap();
    let added = writer.add(&mut &*content, &()).unwrap();
    writer.finish().unwrap();
    added.id
}

pub fn read(store: &Store, id: &LobId) -> lob_store::Result<Vec<u8>> {
    let mut out = Vec::new();
    store.write_to(id, &mut out, &()).map(|_| out)
}

/// A run of everything that one store holds and the other lacks, with the proof at its end.
pub fn replicate(asking: Asking, local: &dyn Remote, remote: &dyn Remote) -> Result<u64, String> {
    let from = match asking {
        Asking::ToPull => remote,
        _ => local,
    };
    let mut lobs = Vec::new();
    let listed = from.each_lob(&mut |lob| {
        lobs.push(lob);
        Ok(())
    });
    listed.map_err(|error| error.to_string())?;
    carry(asking, local, remote, &lobs)
}

/// The same of these lobs.
pub fn carry(
    asking: Asking,
    local: &dyn Remote,
    remote: &dyn Remote,
    lobs: &[LobInfo],
) -> Result<u64, String> {
    let (from, to) = match asking {
        Asking::ToPull => (remote, local),
        _ => (local, remote),
    };
    let plan = || -> lob::remote::Result<Plan> {
        let mut planner = Planner::new(asking, from, to);
        for lob in lobs {
            planner.want(Want::bare(*lob, Reason::Held))?;
        }
        planner.finish()
    };
    let mut plan = plan().map_err(|error| error.to_string())?;
    let sides = Sides {
        local,
        remote,
        reserve: 0,
    };
    let pace = Pace::unlimited();
    let done = match asking {
        Asking::ToPull => carry_out(&mut plan, sides, &pace, &()),
        _ => push_all(&mut plan, sides, &pace, &()),
    };
    let report = done.map_err(|error| error.to_string())?;
    match plan.missing.first() {
        None => Ok(report.lobs),
        Some(missing) => Err(missing.why.to_string()),
    }
}

/// Contents of all kinds: of one chunk, of several, with a part in common, and with a long manifest.
pub fn contents() -> Vec<Vec<u8>> {
    let (small, middle) = (noise(1, 300), noise(2, 1 << 20));
    let shared = [middle.as_slice(), &noise(3, 200_000)].concat();
    let text = b"the same line again\n".repeat(40_000);
    vec![small, middle, shared, text, noise(4, 40 << 20)]
}

//! The requests, and the answers that are more than a list.

use std::io::{self, Read, Write};

use lob_store::reconcile::REQUEST_MAX;
use lob_store::{Cursor, Epoch, StoreId};

use super::Rights;
use super::field::{FieldReader, FieldWriter, PART_MAX, Tag, WireError};
use super::list::{take_ids, take_pairs, write_ids, write_pairs};

/// The version of the protocol that this program speaks: that in the path of requests.
pub const VERSION: u16 = 1;
/// Most ids in one request. Whoever asks about more asks again.
pub const IDS_MAX: usize = 32 << 10;
/// Most bases in one request for frames.
pub const RELIED_MAX: usize = 8 * IDS_MAX;

/// Most lobs in one request for frames that may come as differences.
pub const AGAINST_MAX: usize = 16 << 10;
/// Longest signature of a file: that of one of some 16 GiB.
pub const SIGNATURE_MAX: usize = 4 << 20;
/// Says in [`Welcome::can`] that frames are made against what who asks holds.
pub const CAN_DIFFERENCES: &str = "differences";
/// Says in [`Welcome::can`] that all lobs but some are held at once.
pub const CAN_HOLD_OTHERS: &str = "hold-others";

/// What comes first: who is there?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hello {
    /// Whether a store is to be made where none is.
    pub create: bool,
    /// What is going to be asked for: who may not do that is told at once, or asked who he is.
    pub wants: Rights,
}

/// The answer to a [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The version of the protocol that both speak.
    pub version: u16,
    /// Which store it is.
    pub store: StoreId,
    /// Where its changes stand.
    pub cursor: Cursor,
    /// Its epoch.
    pub epoch: Epoch,
    /// Bytes that can be stored there, where that can be told.
    pub free: Option<u64>,
    /// Names of the verbs that it answers.
    pub verbs: Vec<String>,
    /// The program and its version, for messages.
    pub program: String,
    /// Names of what it does beside the verbs.
    pub can: Vec<String>,
}

/// A request about ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The store that is meant: another one refuses.
    pub store: StoreId,
    /// Ids of lobs or chunks, at most [`IDS_MAX`].
    pub ids: Vec<[u8; 32]>,
    /// Chunks that frames may stand on, at most [`RELIED_MAX`].
    pub relied: Vec<[u8; 32]>,
    /// Lobs that the chunks are of, each with one that who asks holds whole, and on whose chunks frames
    /// may stand too; at most [`AGAINST_MAX`]. Who does not know it makes none.
    pub against: Vec<[[u8; 32]; 2]>,
    /// Whether what needs the lobs is in no repository that has this store inside.
    pub elsewhere: bool,
    /// Whether all lobs are meant but for the ids. Who does not know it refuses.
    pub others: bool,
}

fn whole(write: impl FnOnce(&mut FieldWriter<Vec<u8>>) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut to = FieldWriter::new(Vec::new());
    write(&mut to)?;
    to.end()
}

/// The two numbers in a field of versions.
fn versions(bytes: &[u8]) -> Option<(u16, u16)> {
    let &[a, b, c, d] = bytes else { return None };
    Some((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
}

fn exactly<const N: usize>(tag: Tag, bytes: &[u8]) -> Result<[u8; N], WireError> {
    bytes
        .try_into()
        .map_err(|_| WireError::bad(format!("{tag:?} of {} bytes", bytes.len())))
}

impl Hello {
    /// The whole request.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        whole(|to| {
            let version = VERSION.to_le_bytes();
            to.field(Tag::Speaks, &[&version, &version])?;
            if self.create {
                to.field(Tag::Create, &[])?;
            }
            match self.wants {
                Rights::Read => Ok(()),
                wants => to.field(Tag::Wants, &[&[wants.number()]]),
            }
        })
    }

    /// Reads a request.
    pub fn read(from: &mut dyn Read) -> Result<Hello, WireError> {
        let mut from = FieldReader::new(from);
        let mut hello = Hello::default();
        let mut speaks = None;
        let tags = [Tag::Speaks, Tag::Create, Tag::Wants];
        while let Some((tag, bytes)) = from.next(&tags)? {
            match tag {
                Tag::Speaks => speaks = versions(&bytes),
                Tag::Wants => {
                    let wants = bytes.first().and_then(|number| Rights::numbered(*number));
                    hello.wants =
                        wants.ok_or_else(|| WireError::bad("rights that there are not"))?;
                }
                _ => hello.create = true,
            }
        }
        match speaks {
            Some((lowest, highest)) if (lowest..=highest).contains(&VERSION) => Ok(hello),
            Some((lowest, highest)) => Err(WireError::Later(format!(
                "versions {lowest} to {highest} of the protocol, where {VERSION} is spoken"
            ))),
            None => Err(WireError::bad("no version")),
        }
    }
}

impl Welcome {
    /// Writes the fields of the answer.
    pub fn write(&self, to: &mut FieldWriter<impl Write>) -> io::Result<()> {
        let version = self.version.to_le_bytes();
        to.field(Tag::Speaks, &[&version, &version])?;
        to.field(Tag::Store, &[self.store.as_bytes()])?;
        let Cursor { seq, hash } = self.cursor;
        to.field(Tag::Cursor, &[&seq.to_le_bytes(), &hash])?;
        to.field(Tag::Epoch, &[self.epoch.as_bytes()])?;
        if let Some(free) = self.free {
            to.field(Tag::Free, &[&free.to_le_bytes()])?;
        }
        to.field(Tag::Verbs, &[self.verbs.join(" ").as_bytes()])?;
        to.field(Tag::Program, &[self.program.as_bytes()])?;
        match self.can.is_empty() {
            true => Ok(()),
            false => to.field(Tag::Can, &[self.can.join(" ").as_bytes()]),
        }
    }

    /// Reads an answer.
    pub fn read(from: &mut dyn Read) -> Result<Welcome, WireError> {
        let mut from = FieldReader::new(from);
        let (mut version, mut store, mut cursor, mut epoch) = (None, None, None, None);
        let (mut free, mut verbs, mut program) = (None, String::new(), String::new());
        let mut can = String::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let expected = [
            Tag::Speaks,
            Tag::Store,
            Tag::Cursor,
            Tag::Epoch,
            Tag::Free,
            Tag::Verbs,
            Tag::Program,
            Tag::Can,
        ];
        while let Some((tag, bytes)) = from.next(&expected)? {
            match tag {
                Tag::Speaks => version = versions(&bytes),
                Tag::Store => store = Some(StoreId::from_bytes(exactly(tag, &bytes)?)),
                Tag::Cursor => cursor = Some(decode_cursor(&exactly(tag, &bytes)?)),
                Tag::Epoch => epoch = Some(Epoch::from_bytes(exactly(tag, &bytes)?)),
                Tag::Free => free = Some(u64::from_le_bytes(exactly(tag, &bytes)?)),
                Tag::Verbs => verbs = text(&bytes),
                Tag::Can => can = text(&bytes),
                _ => program = text(&bytes),
            }
        }
        let (version, _) = version.ok_or_else(|| WireError::bad("no version"))?;
        if version != VERSION {
            return Err(WireError::Later(format!(
                "version {version} of the protocol"
            )));
        }
        let (Some(store), Some(cursor), Some(epoch)) = (store, cursor, epoch) else {
            return Err(WireError::bad(
                "a greeting that does not say which store it is",
            ));
        };
        Ok(Welcome {
            version,
            store,
            cursor,
            epoch,
            free,
            verbs: words(&verbs),
            can: words(&can),
            program: program.chars().filter(|c| !c.is_control()).collect(),
        })
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn decode_cursor(bytes: &[u8; 24]) -> Cursor {
    let (mut seq, mut hash) = ([0; 8], [0; 16]);
    seq.copy_from_slice(&bytes[..8]);
    hash.copy_from_slice(&bytes[8..]);
    Cursor {
        seq: u64::from_le_bytes(seq),
        hash,
    }
}

impl Asked {
    /// A request about these ids, and nothing else.
    pub fn about(store: StoreId, ids: Vec<[u8; 32]>) -> Asked {
        Asked {
            store,
            ids,
            relied: Vec::new(),
            against: Vec::new(),
            elsewhere: false,
            others: false,
        }
    }

    /// The whole request.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        whole(|to| {
            to.field(Tag::Store, &[self.store.as_bytes()])?;
            write_ids(to, Tag::Ids, &self.ids)?;
            write_ids(to, Tag::Relied, &self.relied)?;
            write_pairs(to, Tag::Against, &self.against)?;
            for (is_set, tag) in [(self.elsewhere, Tag::Elsewhere), (self.others, Tag::Others)] {
                if is_set {
                    to.field(tag, &[])?;
                }
            }
            Ok(())
        })
    }

    /// Reads a request.
    pub fn read(from: &mut dyn Read) -> Result<Asked, WireError> {
        let mut from = FieldReader::new(from);
        let mut store = None;
        let (mut ids, mut relied, mut against) = (Vec::new(), Vec::new(), Vec::new());
        let (mut elsewhere, mut others) = (false, false);
        let tags = [
            Tag::Store,
            Tag::Ids,
            Tag::Relied,
            Tag::Against,
            Tag::Elsewhere,
            Tag::Others,
        ];
        while let Some((tag, bytes)) = from.next(&tags)? {
            match tag {
                Tag::Store => store = Some(StoreId::from_bytes(exactly(tag, &bytes)?)),
                Tag::Ids => take_ids(&bytes, &mut ids, IDS_MAX)?,
                Tag::Relied => take_ids(&bytes, &mut relied, RELIED_MAX)?,
                Tag::Against => take_pairs(&bytes, &mut against, AGAINST_MAX)?,
                Tag::Elsewhere => elsewhere = true,
                _ => others = true,
            }
        }
        let store = store.ok_or_else(|| WireError::bad("it does not say which store it means"))?;
        Ok(Asked {
            store,
            ids,
            relied,
            against,
            elsewhere,
            others,
        })
    }
}

/// A request about what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// The store that is meant: another one refuses.
    pub store: StoreId,
    /// What is asked, as docs/reconcile.md says.
    pub question: Vec<u8>,
}

impl Differing {
    /// The whole request.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        whole(|to| {
            to.field(Tag::Store, &[self.store.as_bytes()])?;
            to.field(Tag::Differ, &[&self.question])
        })
    }

    /// Reads a request.
    pub fn read(from: &mut dyn Read) -> Result<Differing, WireError> {
        let mut from = FieldReader::new(from);
        let store = read_store(&mut from)?;
        let question = read_differ(&mut from, REQUEST_MAX)?;
        Ok(Differing { store, question })
    }
}

/// A request for the delta that makes a lob from a file of which the service gets the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    /// The store that is meant: another one refuses.
    pub store: StoreId,
    /// The lob.
    pub lob: [u8; 32],
    /// Most bytes of the delta: a longer one is worth nothing.
    pub most: u64,
    /// The signature of the file, at most [`SIGNATURE_MAX`] bytes.
    pub signature: Vec<u8>,
}

impl Rolled {
    /// The whole request.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        whole(|to| {
            to.field(Tag::Store, &[self.store.as_bytes()])?;
            to.field(Tag::Ids, &[&self.lob])?;
            to.field(Tag::Most, &[&self.most.to_le_bytes()])?;
            write_parts(to, Tag::Signature, &self.signature)
        })
    }

    /// Reads a request.
    pub fn read(from: &mut dyn Read) -> Result<Rolled, WireError> {
        let mut from = FieldReader::new(from);
        let (mut store, mut lob, mut most) = (None, None, None);
        let mut signature = Vec::new();
        let tags = [Tag::Store, Tag::Ids, Tag::Most, Tag::Signature];
        while let Some((tag, bytes)) = from.next(&tags)? {
            match tag {
                Tag::Store => store = Some(StoreId::from_bytes(exactly(tag, &bytes)?)),
                Tag::Ids => lob = Some(exactly(tag, &bytes)?),
                Tag::Most => most = Some(u64::from_le_bytes(exactly(tag, &bytes)?)),
                _ if signature.len() + bytes.len() > SIGNATURE_MAX => {
                    return Err(WireError::bad("a signature that is too long"));
                }
                _ => signature.extend_from_slice(&bytes),
            }
        }
        match (store, lob, most) {
            (Some(store), Some(lob), Some(most)) => Ok(Rolled {
                store,
                lob,
                most,
                signature,
            }),
            _ => Err(WireError::bad("it does not say which delta it means")),
        }
    }
}

/// Writes something long, in as many fields as it takes.
pub fn write_parts(to: &mut FieldWriter<impl Write>, tag: Tag, bytes: &[u8]) -> io::Result<()> {
    bytes
        .chunks(PART_MAX)
        .try_for_each(|part| to.field(tag, &[part]))
}

/// Reads the one field of what differs, of at most so many bytes, and the end of the message.
pub fn read_differ(from: &mut FieldReader<'_>, most: usize) -> Result<Vec<u8>, WireError> {
    let field = from.next(&[Tag::Differ])?;
    from.end()?;
    match field {
        Some((_, bytes)) if bytes.len() <= most => Ok(bytes),
        Some((_, bytes)) => Err(WireError::bad(format!("{} bytes, not {most}", bytes.len()))),
        None => Err(WireError::bad("nothing about what differs")),
    }
}

/// Reads the first field of a request that goes on: which store it means.
pub fn read_store(from: &mut FieldReader<'_>) -> Result<StoreId, WireError> {
    match from.next(&[Tag::Store])? {
        Some((tag, bytes)) => Ok(StoreId::from_bytes(exactly(tag, &bytes)?)),
        None => Err(WireError::bad("it does not say which store it means")),
    }
}

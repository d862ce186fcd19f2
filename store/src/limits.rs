//! Every number that bounds memory, disk or work, in one place, with its reason.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Shortest chunk, except the last of a lob. Half the mean dedups as well as less and doubles the
/// speed of cutting (measured, docs/format.md).
pub const CHUNK_MIN: usize = 32 << 10;
/// Longest chunk.
pub const CHUNK_MAX: usize = 256 << 10;

/// Raw bytes after which a frame of new chunks is closed.
pub const FRAME_TARGET: usize = 512 << 10;
/// Most raw bytes that a frame may declare; a reader refuses more before it allocates.
pub const FRAME_RAW_MAX: usize = 1 << 20;
/// Most bytes that a frame may take as it is stored: compression never adds as much as this allows.
pub const FRAME_STORED_MAX: usize = FRAME_RAW_MAX + FRAME_RAW_MAX / 8;
/// Most chunks in one frame.
pub const FRAME_CHUNKS_MAX: usize = 4096;
/// Most base chunks that one delta frame may name.
pub const FRAME_BASES_MAX: usize = 8;
/// Longest chain of bases behind a frame: a reader of one version of a file decodes up to so many
/// others, and each version goes as the difference from the one before.
pub const DELTA_DEPTH_MAX: u8 = 8;
/// Most chunks behind a frame, however they are based on each other.
pub const BEHIND_MAX: usize = 1024;
/// Longest chain that is followed: what was a base at its place may be gone, and a deeper copy left.
pub const READ_DEPTH_MAX: u8 = 2 * DELTA_DEPTH_MAX;
/// Base chunks that are decoded together: 16 MiB of them, 64 at the most.
pub const BASES_TOGETHER_MAX: usize = 256;
/// Features of a base that are remembered to align what changed: 16 MiB of them.
pub const FEATURES_MAX: usize = 1 << 20;
/// Chunks of a base that a delta between files may copy: those of some 250 GiB, in 176 MiB.
pub const BASE_CHUNKS_MAX: usize = 4 << 20;
/// Most bytes of a base that are the prefix of one piece of a delta between files.
pub const PREFIX_MAX: usize = 1 << 20;
/// Shortest block of a signature: below it the hashes of the blocks weigh more than what they save.
pub const SIGNATURE_BLOCK_MIN: usize = 512;
/// Longest block of a signature: that of the longest lob in as many blocks as there may be.
pub const SIGNATURE_BLOCK_MAX: usize = 16 << 20;
/// Most blocks in a signature: 20 MiB of hashes, and as much to look them up.
pub const SIGNATURE_BLOCKS_MAX: u64 = 1 << 20;
/// Bytes that may be hashed in vain for each byte in which blocks of a signature are looked for: beyond
/// it the short hashes are no use, by chance or on purpose.
pub const SIGNATURE_VAIN: usize = 8;
/// Level of plain frames: the knee of the curve (docs/format.md).
pub const ZSTD_LEVEL: i32 = 3;
/// Level of delta frames, and of what a signature does not tell the place of: 5 % smaller than at the
/// level of plain ones, for half the speed, which is still more than that of most links.
pub const DELTA_LEVEL: i32 = 6;
/// Longest chain of bases behind a frame that a repack makes: so that the oldest version is read at about
/// half the speed of the newest, which has none.
pub const REPACK_DEPTH: u8 = 2;
/// Versions that stand on one without bases until it keeps this place, though newer ones come.
pub const REPACK_GROUP: usize = 8;
/// Chunks of a version that are tried to find out what it is best based on.
pub const REPACK_SAMPLE: usize = 16;
/// Chunks of a version that one unit of a repack turns into delta frames: 64 GiB.
pub const REPACK_TURNED_MAX: usize = 1 << 20;
/// Bytes of packs that a repack writes anew before it drops them, about; more where one version has more.
pub const REPACK_STEP: u64 = 32 << 20;
/// Levels of the plain frames and the delta frames of a deep repack.
pub const DEEP_LEVELS: (i32, i32) = (12, 19);
/// Sizes of zstd's tables, as powers of two, where a prefix is to be found in them: room for each byte of it
/// and of what is compressed, or else what comes later takes the places of the begin of the prefix.
pub const PREFIX_HASH_LOG: RangeInclusive<u32> = 18..=20;
/// Window, as a power of two, that reaches from the end of a run of chunks to the begin of its prefix.
pub const PREFIX_WINDOW_LOG: u32 = 21;
/// Largest zstd window that a reader accepts, as a power of two.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A pack is closed when it has grown past this.
pub const PACK_SOFT: u64 = 32 << 20;
/// No pack is longer than this.
pub const PACK_HARD: u64 = 64 << 20;
/// Most frames, chunks or lobs in the table of one pack.
pub const PACK_ENTRIES_MAX: usize = 1 << 16;

/// Chunk entries in one segment of a long manifest.
pub const SEGMENT_MIN: usize = 64;
/// Most chunk entries in one segment: a segment is a chunk and must fit a frame.
pub const SEGMENT_MAX: usize = 1024;
/// Most segments that a manifest lists itself: with more it lists groups of them, so that a small edit
/// costs as little in a lob of a TiB as in one of 3 GiB.
pub const SEGMENTS_MAX: usize = 256;
/// Longest manifest in a pack, in bytes: some 1.1 million groups or segments.
pub const MANIFEST_MAX: usize = 48 << 20;
/// Largest lob, in bytes.
pub const LOB_MAX: u64 = 16 << 40;

/// Chunks and segments in received manifests that a writer holds before it verifies them.
pub const UNVERIFIED_MAX: usize = 1 << 20;
/// Lobs that a writer found and remembers one by one; beyond it, it remembers their packs.
pub const RELIED_MAX: usize = 1 << 16;
/// Packs that a writer fills before it publishes them together.
pub const PUBLISH_BATCH: usize = 16;
/// Packs of one writer that stay in the system's cache of files, to be pushed soon. What a writer
/// adds beyond them would only drive out what the user has open.
pub const WARM_PACKS: u32 = 6;
/// Packs not covered by an index run, above which a writer merges them into one.
pub const TAIL_PACKS_MAX: usize = 8;
/// A pack of which less than one part in so many would come back is not worth writing anew.
pub const PRUNE_SHARE: u64 = 4;
/// Bytes that a prune moves before it drops the packs that they came from.
pub const PRUNE_STEP: u64 = 512 << 20;
/// Chunks and lobs that it moves before that: some 20 MiB of what a writer remembers of them.
pub const PRUNE_STEP_ITEMS: usize = 1 << 17;
/// Bytes of tables that a prune keeps in memory, about; beyond it they are read again.
pub const PRUNE_TABLES: u64 = 32 << 20;
/// How often a prune looks again which packs are worth it, now that others stay.
pub const PRUNE_ROUNDS: usize = 8;
/// How often a step of a prune is taken up again because others wrote meanwhile.
pub const PRUNE_TRIES: usize = 50;
/// How often a writer finds the roots broken that were just made whole, before it gives up.
pub const BROKEN_ROOTS_TRIES: u32 = 3;
/// How long a prune that sets nothing aside leaves alone what another one did.
pub const ASIDE_GRACE: Duration = Duration::from_secs(14 * 86_400);
/// How old a draft of a small file of state is that nobody will ever finish: writing one takes moments.
pub const DRAFT_AGE: Duration = Duration::from_secs(86_400);
/// Bytes that a read decodes at a time: one window is written while the next is decoded.
pub const READ_WINDOW: usize = 8 << 20;
/// Most chunks in such a window, however short they are.
pub const WINDOW_ITEMS_MAX: usize = 1024;
/// Bytes that an add processes at a time: one window is read while the one before is hashed and
/// compressed and the one before that is written.
pub const ADD_WINDOW: usize = 4 << 20;
/// Content up to this length is added without a pipeline of its own.
pub const SMALL_LOB: usize = 1 << 20;
/// Bytes of small lobs in a pack from which on they are synced while more are gathered.
pub const SYNC_BEHIND: usize = 2 << 20;
/// Open tables that a store keeps mapped at once.
pub const OPEN_TABLES_MAX: usize = 8192;
/// Open pack files that a store keeps at once.
pub const OPEN_PACKS_MAX: usize = 64;
/// Places of a chunk or a manifest that a read tries, where packs are damaged.
pub const PLACES_MAX: usize = 4;
/// Chunks that an examination remembers to be lost; beyond it reads what it could know.
pub const LOST_CHUNKS_MAX: usize = 1 << 20;
/// Decoded frames that a store keeps for the next small lob.
pub const RECENT_FRAMES_MAX: usize = 8;
/// Cells of a sketch that are asked for first: enough for differences of up to some 170 lobs, and to tell
/// how large others are within a fifth or so.
pub const SKETCH_FIRST: usize = 256;
/// Cells that are made when the first ones are asked for, so that differences of up to some 2,000 lobs take
/// going through a set once: 64 KiB of them.
pub const SKETCH_AHEAD: usize = 4096;
/// Sketches that a service remembers for those who go on asking.
pub const SKETCHES_MAX: usize = 8;
/// Most cells of a sketch in one answer: 1 MiB of them, for each core and each who asks.
pub const SKETCH_ANSWER_MAX: usize = 1 << 16;
/// Most cells of a sketch: enough for differences of 1.2 million lobs, and some 100 MiB while they are
/// taken apart.
pub const SKETCH_MAX: usize = 1 << 21;
/// Most lobs in one answer to what symbols stand for: 2.5 MiB of them.
pub const SKETCH_FOUND_MAX: usize = 1 << 16;
/// Most lobs in the list of another store, where sketches do not tell what differs.
pub const SKETCH_LISTED_MAX: u64 = 1 << 26;
/// Lobs of another store that are planned together, at some 200 bytes each; those behind them are found when
/// these are here.
pub const PART_LOBS: usize = 1 << 19;
/// How often two sets are compared anew, because one of them changed meanwhile.
pub const SKETCH_TURNS: u8 = 3;

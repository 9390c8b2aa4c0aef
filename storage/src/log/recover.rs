//! Opening: reads every segment, checks every record, and either has the complete log or refuses.
//!
//! What a crash can leave behind is repaired: a torn tail is wiped, a segment that was begun but never used is removed,
//! so are segments that a purge was about to remove. Everything else is damage. Before anything read here is trusted,
//! it is synced: a process that died may have left it in the page cache only.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::LogOptions;
use super::error::LogError;
use super::ledger::Ledger;
use super::marker;
use super::record::{self, Found, Kind};
use super::segment::{self, FORMAT, HEAD_SALT, Head};
use super::shared::SegmentFile;
use super::slots::{Place, Slots};
use super::tail::{self, End};
use super::writer::{Active, CLOSE_BYTES, Closed};
use crate::{codec, files};

/// A log that is ready to go on.
pub(super) struct Recovered {
    pub(super) identity: Vec<u8>,
    pub(super) ledger: Ledger,
    pub(super) slots: Slots,
    pub(super) next_seq: u64,
    pub(super) segments: BTreeMap<u64, Arc<SegmentFile>>,
    pub(super) closed: Vec<Closed>,
    pub(super) active: Active,
}

/// Opens what is in `dir`, or begins a new log there.
pub(super) fn recover(dir: &Path, options: &LogOptions) -> Result<Recovered, LogError> {
    files::remove_temporaries(dir).map_err(LogError::io("clean up", dir))?;
    let mut found = segment::list(dir).map_err(LogError::io("list", dir))?;
    let identity = match marker::read(dir)? {
        Some(identity) => identity,
        None => {
            begin(dir, &found, options)?;
            found = segment::list(dir).map_err(LogError::io("list", dir))?;
            options.identity.clone()
        }
    };
    let Some((newest, _)) = found.last().cloned() else {
        return Err(LogError::damaged(dir, 0, "the marker says that a log was here, but there is no segment of it"));
    };
    let needed = contiguous_suffix(&found);
    let leftover: Vec<PathBuf> = found.drain(..found.len() - needed).map(|(_, path)| path).collect();
    let mut replay = Replay::default();
    let mut last = None;
    for (number, path) in &found {
        if let Some(before) = last.take() {
            last = Some(unused_successor(&mut replay, before, *number == newest, path)?);
            continue;
        }
        last = replay.segment(*number, path)?;
    }
    let Some(last) = last else {
        let path = found.last().map_or(dir, |(_, path)| path);
        return Err(LogError::damaged(path, 0, "the segment is closed, so another one must follow it, but it is gone"));
    };
    replay.check_complete(dir, &found[0].1)?;
    let active = settle(dir, &replay, &last, &leftover)?;
    Ok(Recovered {
        identity,
        ledger: replay.ledger,
        slots: replay.slots,
        next_seq: replay.next_seq,
        segments: replay.segments,
        closed: replay.closed,
        active,
    })
}

/// A new log: its first segment, then the marker. A crash in between leaves a segment without records: begun again.
fn begin(dir: &Path, found: &[(u64, PathBuf)], options: &LogOptions) -> Result<(), LogError> {
    for (number, path) in found {
        let opened = Opened::read(path)?;
        let records = record::parse(&opened.bytes, opened.head_bytes, opened.head.salt).is_ok();
        if *number != 1 || records {
            return Err(LogError::damaged(
                dir,
                0,
                format!("there are segments, but their marker {} is gone", marker::MARKER),
            ));
        }
        fs::remove_file(path).map_err(LogError::io("remove", path))?;
    }
    let path = dir.join("spare.tmp");
    let make = || {
        let file = segment::allocate(&path, options.segment_bytes)?;
        segment::publish(dir, &path, &file, &Head::new(1, options.segment_bytes, Ledger::default()), 1)
    };
    make().map_err(LogError::io("create a segment in", dir))?;
    marker::write(dir, &options.identity)
}

/// How many segments at the end have numbers without a gap. What is older was purged while its removal was under way;
/// if it wasn't, entries will be missing.
fn contiguous_suffix(found: &[(u64, PathBuf)]) -> usize {
    let gaps = found.windows(2).rposition(|pair| pair[0].0 + 1 != pair[1].0);
    found.len() - gaps.map_or(0, |at| at + 1)
}

/// A segment's bytes and its head.
struct Opened {
    file: File,
    bytes: Vec<u8>,
    head: Head,
    seq: u64,
    head_bytes: usize,
}

impl Opened {
    fn read(path: &Path) -> Result<Self, LogError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(LogError::io("open", path))?;
        let bytes = fs::read(path).map_err(LogError::io("read", path))?;
        let found = record::parse(&bytes, 0, HEAD_SALT).ok().filter(|found| found.header.kind == Kind::Head);
        let Some(found) = found else {
            return Err(LogError::damaged(path, 0, "the segment does not begin with a whole head record"));
        };
        let head: Head = codec::decode(FORMAT, &found.payload())
            .map_err(|error| LogError::damaged(path, 0, format!("the head cannot be read: {error}")))?;
        let (seq, head_bytes) = (found.header.seq, found.stored);
        if head.bytes != bytes.len() as u64 {
            let what = format!("the file has {} bytes, it should have {}", bytes.len(), head.bytes);
            return Err(LogError::damaged(path, bytes.len() as u64, what));
        }
        if path.file_name().is_none_or(|name| name != head.file_name().as_str()) {
            return Err(LogError::damaged(path, 0, format!("this is the file that was called {}", head.file_name())));
        }
        Ok(Self { file, bytes, head, seq, head_bytes })
    }
}

/// The last segment, which has no close record.
struct Last {
    number: u64,
    bytes: u64,
    tail: u64,
    end: End,
    last_index: Option<u64>,
    unused: Option<PathBuf>,
}

/// All that has been read so far.
#[derive(Default)]
struct Replay {
    ledger: Ledger,
    slots: Slots,
    next_seq: u64,
    segments: BTreeMap<u64, Arc<SegmentFile>>,
    closed: Vec<Closed>,
}

impl Replay {
    /// Reads one segment. `None` when it is closed.
    fn segment(&mut self, number: u64, path: &Path) -> Result<Option<Last>, LogError> {
        let opened = Opened::read(path)?;
        self.follow(path, &opened)?;
        let (mut at, mut last_index, mut closed) = (opened.head_bytes, None, false);
        let end = loop {
            match record::parse(&opened.bytes, at, opened.head.salt) {
                Ok(found) => {
                    closed = found.header.kind == Kind::Close;
                    self.record(number, path, at, &found)?;
                    if found.header.kind == Kind::Entry {
                        last_index = last_index.max(Some(found.header.index));
                    }
                    at += found.stored;
                }
                Err(flaw) => break tail::judge(&opened.bytes, at, opened.head.salt, flaw),
            }
            if closed && opened.bytes[at..].iter().any(|byte| *byte != 0) {
                break End::Damaged(at, "there is something behind the segment's close record".into());
            }
        };
        if let End::Damaged(at, what) = end {
            return Err(LogError::damaged(path, at as u64, what));
        }
        let used = AtomicU64::new(at as u64);
        let file = SegmentFile { path: path.to_owned(), file: opened.file, salt: opened.head.salt, used };
        self.segments.insert(number, Arc::new(file));
        if closed {
            self.closed.push(Closed { number, last_index });
            return Ok(None);
        }
        Ok(Some(Last { number, bytes: opened.head.bytes, tail: at as u64, end, last_index, unused: None }))
    }

    /// The first segment's head begins the replay; every other must say exactly what the replay has come to.
    fn follow(&mut self, path: &Path, opened: &Opened) -> Result<(), LogError> {
        if self.segments.is_empty() {
            self.ledger = opened.head.ledger.clone();
            self.slots = Slots::starting_at(self.ledger.next);
            self.next_seq = opened.seq;
        } else if opened.seq != self.next_seq || opened.head.ledger != self.ledger {
            let what = format!(
                "the segment follows record {} and entry {}, but the segment before it ends with record {} and entry {}",
                opened.seq, opened.head.ledger.next, self.next_seq, self.ledger.next
            );
            return Err(LogError::damaged(path, 0, what));
        }
        Ok(())
    }

    fn record(&mut self, segment: u64, path: &Path, at: usize, found: &Found<'_>) -> Result<(), LogError> {
        let header = found.header;
        let offset = at as u64;
        if header.seq != self.next_seq {
            let what = format!("record {} stands where record {} should be", header.seq, self.next_seq);
            return Err(LogError::damaged(path, offset, what));
        }
        let impossible = |error: LogError| LogError::damaged(path, offset, error.to_string());
        self.next_seq += 1;
        match header.kind {
            Kind::Entry => {
                self.ledger.append(header.index).map_err(impossible)?;
                let bytes = found.payload_bytes();
                self.slots.push(header.index, header.seq);
                self.slots.settle(header.index, header.seq, Place { segment, offset, bytes });
            }
            Kind::Vote => self.ledger.vote = Some(found.payload()),
            Kind::Committed => self.ledger.committed = Some(found.payload()),
            Kind::Truncate => {
                self.ledger.truncate(header.index).map_err(impossible)?;
                self.slots.truncate(header.index);
            }
            Kind::Purge => {
                self.ledger.purge(header.index, found.payload());
                self.slots.purge(header.index);
            }
            Kind::Close => self.next_seq -= 1,
            Kind::Head => return Err(LogError::damaged(path, offset, "a second head record")),
        }
        Ok(())
    }

    /// Every entry that was not purged must have been found.
    fn check_complete(&mut self, dir: &Path, oldest: &Path) -> Result<(), LogError> {
        let Ledger { first, next, .. } = self.ledger;
        if first == next {
            self.slots = Slots::starting_at(next);
        } else if self.slots.first() > first {
            let oldest = oldest.file_name().unwrap_or_default().display();
            let what =
                format!("entries {first} to {} are missing: a segment before {oldest} is gone", self.slots.first() - 1);
            return Err(LogError::damaged(dir, 0, what));
        }
        if let Some(purged) = first.checked_sub(1) {
            self.slots.purge(purged);
        }
        if self.slots.range() != (first..next) {
            let what = format!("entries {:?} were found where {first}..{next} should be", self.slots.range());
            return Err(LogError::damaged(dir, 0, what));
        }
        Ok(())
    }
}

/// `before` has no close record, but another segment follows: fine if that one is the newest and was never used.
fn unused_successor(replay: &mut Replay, before: Last, newest: bool, path: &Path) -> Result<Last, LogError> {
    let opened = Opened::read(path)?;
    replay.follow(path, &opened)?;
    let blank = opened.bytes[opened.head_bytes..].iter().all(|byte| *byte == 0);
    if !newest || !blank || before.unused.is_some() {
        let closed = replay.segments.get(&before.number).map_or(path, |file| &file.path);
        return Err(LogError::damaged(
            closed,
            before.tail,
            "the segment's end is missing, but later segments follow it",
        ));
    }
    Ok(Last { unused: Some(path.to_owned()), ..before })
}

/// Repairs, and makes durable what was read.
fn settle(dir: &Path, replay: &Replay, last: &Last, leftover: &[PathBuf]) -> Result<Active, LogError> {
    for path in leftover.iter().chain(&last.unused) {
        files::remove_if_there(path).map_err(LogError::io("remove", path))?;
    }
    let Some(file) = replay.segments.get(&last.number).cloned() else {
        return Err(LogError::damaged(dir, 0, "there is no segment to go on with"));
    };
    if last.end == End::Torn {
        tracing::warn!(file = %file.path.display(), offset = last.tail, "wiping a write that was never finished");
        segment::fill_with_zeros(&file.file, last.tail, last.bytes).map_err(LogError::io("repair", &file.path))?;
    }
    for file in replay.segments.values() {
        file.file.sync_all().map_err(LogError::io("sync", &file.path))?;
    }
    files::sync_dir(dir).map_err(LogError::io("sync", dir))?;
    debug_assert!(last.tail + CLOSE_BYTES <= last.bytes);
    Ok(Active { number: last.number, file, bytes: last.bytes, tail: last.tail, last_index: last.last_index })
}

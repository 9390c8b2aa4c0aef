//! Reading entries back: from memory when they are new, else from their segments, each checked again.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::error::LogError;
use super::record;
use super::shared::{SegmentFile, Shared};
use super::slots::Place;

enum Source {
    Memory(Bytes),
    Disk(Place, Arc<SegmentFile>),
}

/// See [`super::Log::read`]. The lock is held for looking up only; a segment that is dropped meanwhile stays readable.
pub(super) fn read(shared: &Shared, range: Range<u64>, max_bytes: usize) -> Result<Vec<(u64, Bytes)>, LogError> {
    locate(shared, range, max_bytes)
        .into_iter()
        .map(|(index, source)| match source {
            Source::Memory(entry) => Ok((index, entry)),
            Source::Disk(place, segment) => Ok((index, fetch(index, place, &segment)?)),
        })
        .collect()
}

fn locate(shared: &Shared, range: Range<u64>, max_bytes: usize) -> Vec<(u64, Source)> {
    let view = shared.view.lock();
    let live = view.slots.range();
    let mut found = Vec::new();
    let mut bytes = 0;
    for index in range.start.max(live.start)..range.end.min(live.end) {
        let (source, size) = if let Some(entry) = view.cache.get(index) {
            (Source::Memory(entry.clone()), entry.len())
        } else if let Some((place, segment)) =
            view.slots.place(index).and_then(|place| Some((place, view.segments.get(&place.segment)?)))
        {
            (Source::Disk(place, segment.clone()), place.bytes as usize)
        } else {
            break; // unreachable: an entry that is not written is in the cache
        };
        bytes += size;
        if bytes > max_bytes && !found.is_empty() {
            break;
        }
        found.push((index, source));
    }
    found
}

fn fetch(index: u64, place: Place, segment: &SegmentFile) -> Result<Bytes, LogError> {
    let mut bytes = vec![0; record::stored_bytes(place.bytes as usize)];
    segment.file.read_exact_at(&mut bytes, place.offset).map_err(LogError::io("read", &segment.path))?;
    match record::parse(&bytes, 0, segment.salt) {
        Ok(found) if found.header.index == index => Ok(found.payload().into()),
        _ => Err(LogError::damaged(
            &segment.path,
            place.offset,
            format!("entry {index} has changed since it was written"),
        )),
    }
}

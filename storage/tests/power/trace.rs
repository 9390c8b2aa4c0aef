//! The trace that `shim.c` writes: what happened to files and names, in order.

use std::collections::BTreeMap;

/// One recorded operation. Files are meant by what their descriptor was opened as.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Open { fd: i32, path: String, create: bool, truncate: bool },
    Close { fd: i32 },
    Write { fd: i32, offset: u64, bytes: Vec<u8> },
    Truncate { fd: i32, length: u64 },
    Sync { fd: i32 },
    Rename { from: String, to: String },
    Remove { path: String },
    MakeDir { path: String },
}

const HEAD: usize = 25;

/// Reads a whole trace; paths lose their `root`.
pub(crate) fn parse(raw: &[u8], root: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let head = raw.get(at..at + HEAD).ok_or("the trace ends within a record")?;
        let word = |from: usize| u32::from_ne_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
        let (fd, flags, one, two) = (word(1) as i32, word(5), word(17) as usize, word(21) as usize);
        let offset = u64::from(word(9)) | u64::from(word(13)) << 32;
        let bytes = raw.get(at + HEAD..at + HEAD + one + two).ok_or("the trace ends within a record")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_start_matches(root).trim_matches('/').to_owned();
        let path = text(&bytes[..one]);
        events.push(match head[0] {
            1 => Event::Open { fd, path, create: flags & 1 != 0, truncate: flags & 2 != 0 },
            2 => Event::Close { fd },
            3 => Event::Write { fd, offset, bytes: bytes[..one].to_vec() },
            4 => Event::Truncate { fd, length: offset },
            5 => Event::Sync { fd },
            6 => Event::Rename { from: path, to: text(&bytes[one..]) },
            7 | 9 => Event::Remove { path },
            8 => Event::MakeDir { path },
            other => return Err(format!("operation {other} is unknown")),
        });
        at += HEAD + one + two;
    }
    Ok(events)
}

/// The trace of a program with a bug: without every `nth` sync of a file or directory whose path `is_meant`.
pub(crate) fn without_syncs(events: &[Event], nth: usize, is_meant: impl Fn(&str) -> bool) -> Vec<Event> {
    let mut paths = BTreeMap::new();
    let mut count = 0;
    let mut kept = Vec::new();
    for event in events {
        if let Event::Open { fd, path, .. } = event {
            paths.insert(*fd, path.clone());
        }
        if let Event::Sync { fd } = event
            && paths.get(fd).is_some_and(|path| is_meant(path))
        {
            count += 1;
            if count % nth == 0 {
                continue;
            }
        }
        kept.push(event.clone());
    }
    kept
}

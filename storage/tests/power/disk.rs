//! A disk that forgets: replays a trace and says what a power loss at any moment could leave.
//!
//! Of a file: what its last sync made durable, then of each 512-byte sector any state since. Of a directory: the names
//! of its last sync, then any subset of the later changes (a rename is one change). Harder than most file systems: a
//! synced file whose directory was not synced may have no name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::random::Random;
use super::trace::Event;

const SECTOR: u64 = 512;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate(u64),
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

#[derive(Debug)]
enum Node {
    File { durable: Vec<u8>, pending: Vec<Change> },
    Dir { durable: BTreeMap<String, usize>, now: BTreeMap<String, usize>, pending: Vec<NameChange> },
}

/// The disk after some events. Node 0 is the root directory.
#[derive(Debug)]
pub(crate) struct Disk {
    nodes: Vec<Node>,
    descriptors: BTreeMap<i32, usize>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![directory()], descriptors: BTreeMap::new() }
    }

    pub(crate) fn play(&mut self, event: &Event) {
        match event {
            Event::Open { fd, path, create, truncate } => self.open(*fd, path, *create, *truncate),
            Event::Close { fd } => {
                self.descriptors.remove(fd);
            }
            Event::Write { fd, offset, bytes } => {
                self.change(*fd, Change::Write { offset: *offset, bytes: bytes.clone() });
            }
            Event::Truncate { fd, length } => self.change(*fd, Change::Truncate(*length)),
            Event::Sync { fd } => self.sync(*fd),
            Event::Rename { from, to } => {
                let Some(node) = self.find(from) else { return };
                let (dir, old) = self.parent(from);
                let new = name(to).to_owned();
                self.name_change(dir, NameChange::Rename(old, new, node));
            }
            Event::Remove { path } => {
                let (dir, name) = self.parent(path);
                self.name_change(dir, NameChange::Remove(name));
            }
            Event::MakeDir { path } => {
                self.nodes.push(directory());
                let (dir, name) = self.parent(path);
                self.name_change(dir, NameChange::Set(name, self.nodes.len() - 1));
            }
        }
    }

    /// The file that a descriptor means, by its current content's owner: for the caller's own marks.
    fn open(&mut self, fd: i32, path: &str, create: bool, truncate: bool) {
        let node = self.find(path).or_else(|| {
            create.then(|| {
                self.nodes.push(Node::File { durable: Vec::new(), pending: Vec::new() });
                let (dir, name) = self.parent(path);
                let node = self.nodes.len() - 1;
                self.name_change(dir, NameChange::Set(name, node));
                node
            })
        });
        let Some(node) = node else { return };
        self.descriptors.insert(fd, node);
        if truncate {
            self.change(fd, Change::Truncate(0));
        }
    }

    fn change(&mut self, fd: i32, change: Change) {
        if let Some(Node::File { pending, .. }) = self.descriptors.get(&fd).and_then(|node| self.nodes.get_mut(*node)) {
            pending.push(change);
        }
    }

    fn sync(&mut self, fd: i32) {
        match self.descriptors.get(&fd).and_then(|node| self.nodes.get_mut(*node)) {
            Some(Node::File { durable, pending }) => {
                for change in pending.drain(..) {
                    apply(durable, &change);
                }
            }
            Some(Node::Dir { durable, now, pending }) => {
                durable.clone_from(now);
                pending.clear();
            }
            None => {}
        }
    }

    fn find(&self, path: &str) -> Option<usize> {
        let mut node = 0;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let Node::Dir { now, .. } = &self.nodes[node] else { return None };
            node = *now.get(part)?;
        }
        Some(node)
    }

    fn parent(&self, path: &str) -> (usize, String) {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        (self.find(above).unwrap_or(0), name(path).to_owned())
    }

    fn name_change(&mut self, dir: usize, change: NameChange) {
        if let Node::Dir { now, pending, .. } = &mut self.nodes[dir] {
            rename(now, &change);
            pending.push(change);
        }
    }

    /// Writes into `target` what a power loss now could leave.
    pub(crate) fn lose_power(&self, target: &Path, random: &mut Random) -> io::Result<()> {
        let luck = random.below(5); // from "nothing unsynced survived" to "nearly all did"
        self.leave(0, target, luck, random)
    }

    fn leave(&self, node: usize, target: &Path, luck: u64, random: &mut Random) -> io::Result<()> {
        match &self.nodes[node] {
            Node::File { durable, pending } => fs::write(target, survivors(durable, pending, luck, random)),
            Node::Dir { durable, pending, .. } => {
                let mut names = durable.clone();
                for change in pending {
                    if random.below(4) < luck {
                        rename(&mut names, change);
                    }
                }
                fs::create_dir_all(target)?;
                names.iter().try_for_each(|(name, node)| self.leave(*node, &target.join(name), luck, random))
            }
        }
    }
}

fn directory() -> Node {
    Node::Dir { durable: BTreeMap::new(), now: BTreeMap::new(), pending: Vec::new() }
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn rename(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Set(name, node) => {
            names.insert(name.clone(), *node);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(length) => content.resize(*length as usize, 0),
        Change::Write { offset, bytes } => {
            let (from, to) = (*offset as usize, *offset as usize + bytes.len());
            if content.len() < to {
                content.resize(to, 0);
            }
            content[from..to].copy_from_slice(bytes);
        }
    }
}

/// The durable content, and of every sector its state after a random one of the pending writes to it. Whether the file
/// has grown is a matter of luck of its own.
fn survivors(durable: &[u8], pending: &[Change], luck: u64, random: &mut Random) -> Vec<u8> {
    let mut content = durable.to_vec();
    let mut lost_from: BTreeMap<u64, usize> = BTreeMap::new(); // by sector: the first pending write that is lost
    let mut full = content.len();
    for (number, change) in pending.iter().enumerate() {
        match change {
            Change::Truncate(_) => {
                if random.below(4) < luck {
                    apply(&mut content, change);
                    full = content.len();
                }
            }
            Change::Write { offset, bytes } => {
                full = full.max(*offset as usize + bytes.len());
                let mut from = *offset;
                let end = offset + bytes.len() as u64;
                while from < end {
                    let to = ((from / SECTOR + 1) * SECTOR).min(end);
                    let lost = lost_from.entry(from / SECTOR).or_insert_with(|| match random.below(4) < luck {
                        true => usize::MAX,
                        false => number + random.below((pending.len() - number) as u64) as usize,
                    });
                    if number < *lost {
                        let piece = bytes[(from - offset) as usize..(to - offset) as usize].to_vec();
                        apply(&mut content, &Change::Write { offset: from, bytes: piece });
                    }
                    from = to;
                }
            }
        }
    }
    if content.len() < full && random.below(2) == 0 {
        content.resize(full, 0);
    } else if content.len() > durable.len() && random.below(4) == 0 {
        content.truncate(durable.len());
    }
    content
}

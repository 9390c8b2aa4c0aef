//! Breaking things, and making them whole again.

use super::{Act, Fault, Files, SLOW_BYTES_PER_SECOND, SLOW_DELAY, Who, evidence::Before};
use crate::{
    net::{Flow, Node},
    nodes::{Cluster, Member},
    support::Random,
};
use std::{fs, path::Path, time::Duration};

/// How long a node that comes and goes is there, or not, at most.
const FLAP_MAX_MS: u64 = 400;
/// Pause between two resets, at most.
const RESET_PAUSE_MAX_MS: u64 = 300;
/// What is left of a full disk: less than the reserve, or nothing, so that it ends the node sooner or later.
const LEFT_BYTES: [u64; 2] = [6 << 20, 0];
/// What a damaged file keeps whole at its beginning: its header.
const HEADER_BYTES: usize = 64;

/// What was broken.
#[derive(Debug, Default)]
pub struct Injected {
    pub victims: Vec<Node>,
    pub is_bridge: bool,
    /// How a victim's process ended.
    pub ended: Option<Option<i32>>,
    /// What goes on until it is healed.
    lasting: Option<Lasting>,
}

/// What is done again and again while a fault lasts.
#[derive(Clone, Copy, Debug)]
enum Lasting {
    Flap { next: tokio::time::Instant, is_cut: bool },
    Reset { next: tokio::time::Instant },
}

/// Breaks it.
pub async fn inject(fault: &Fault, cluster: &mut Cluster, (before, random): (&Before, &mut Random)) -> Injected {
    let victims = victims(fault.act, cluster, before.leader, random);
    let mut injected = Injected { victims, ..Injected::default() };
    let hits = |node: Node| injected.victims.contains(&node);
    let now = tokio::time::Instant::now();
    match fault.act {
        Act::Kill(_) => injected.victims.iter().for_each(|node| cluster.member(*node).server.kill()),
        Act::Pause(_) => injected.victims.iter().for_each(|node| pause(cluster.member(*node))),
        Act::Unplug(_) => injected.victims.iter().for_each(|node| plug(cluster.member(*node), false)),
        Act::Lose(_) => {
            for node in &injected.victims {
                plug(cluster.member(*node), false);
                cluster.member(*node).server.kill();
            }
        }
        Act::Isolate(_) => cluster.network.cut(|from, to| hits(from) != hits(to)),
        Act::Deafen(_) => cluster.network.cut(|from, to| hits(to) && !hits(from)),
        Act::Mute(_) => cluster.network.cut(|from, to| hits(from) && !hits(to)),
        Act::Bridge => {
            injected.is_bridge = true;
            cluster.network.cut(|from, to| hits(from) && hits(to));
        }
        Act::Flap(_) => injected.lasting = Some(Lasting::Flap { next: now, is_cut: false }),
        Act::Reset => injected.lasting = Some(Lasting::Reset { next: now }),
        Act::Slow => {
            let slow = Flow { is_open: true, delay: SLOW_DELAY, bytes_per_second: Some(SLOW_BYTES_PER_SECOND) };
            cluster.network.set(slow, |_, _| true);
        }
        Act::Fill(_) => {
            for node in &injected.victims {
                let disk = cluster.members[node].disk.as_ref().expect("only where disks can be mounted");
                disk.fill(LEFT_BYTES[random.index(LEFT_BYTES.len())]);
            }
        }
        Act::Damage(_, files) => {
            for node in injected.victims.clone() {
                injected.ended = damage(cluster.member(node), files, random);
            }
        }
        Act::Replace => {
            for node in injected.victims.clone() {
                let mut gone = cluster.remove(node).await;
                let ended = tokio::task::block_in_place(|| gone.server.ended());
                injected.ended = Some(ended.code);
            }
            injected.victims.clear();
        }
    }
    injected
}

/// Goes on with what has to be done again and again; called often.
pub fn go_on(injected: &mut Injected, cluster: &Cluster, random: &mut Random) {
    let now = tokio::time::Instant::now();
    let victims = injected.victims.clone();
    match &mut injected.lasting {
        Some(Lasting::Flap { next, is_cut }) if *next <= now => {
            *is_cut = !*is_cut;
            *next = now + Duration::from_millis(50 + random.below(FLAP_MAX_MS));
            if *is_cut {
                cluster.network.cut(|from, to| victims.contains(&from) != victims.contains(&to));
            } else {
                cluster.network.heal();
            }
        }
        Some(Lasting::Reset { next }) if *next <= now => {
            *next = now + Duration::from_millis(random.below(RESET_PAUSE_MAX_MS));
            let nodes = cluster.nodes();
            let (one, other) = (nodes[random.index(nodes.len())], nodes[random.index(nodes.len())]);
            cluster.network.reset(|from, to| from == one || to == other);
        }
        _ => {}
    }
}

/// Makes it whole; the nodes are started, but not waited for.
pub async fn heal(fault: &Fault, cluster: &mut Cluster, injected: &mut Injected) {
    injected.lasting = None;
    cluster.network.heal();
    for node in &injected.victims {
        let member = cluster.member(*node);
        if member.is_paused {
            member.server.resume();
            member.is_paused = false;
        }
        if let Some(disk) = &member.disk {
            disk.empty();
        }
        plug(member, true);
    }
    if matches!(fault.act, Act::Damage(_, Files::Log)) {
        for node in injected.victims.drain(..) {
            cluster.remove(node).await;
        }
    }
    cluster.start_all();
    if matches!(fault.act, Act::Replace | Act::Damage(_, Files::Log)) {
        cluster.join().await;
        cluster.whole().await;
        cluster.roll().await;
    }
}

fn victims(act: Act, cluster: &Cluster, leader: Node, random: &mut Random) -> Vec<Node> {
    let nodes = cluster.nodes();
    let mut followers: Vec<Node> = nodes.iter().copied().filter(|node| *node != leader).collect();
    // In any order.
    for at in (1..followers.len()).rev() {
        followers.swap(at, random.index(at + 1));
    }
    let few = (nodes.len() - 1) / 2;
    let who = match act {
        Act::Kill(who) | Act::Pause(who) | Act::Isolate(who) | Act::Deafen(who) | Act::Mute(who) => who,
        Act::Unplug(who) | Act::Lose(who) | Act::Flap(who) | Act::Fill(who) | Act::Damage(who, _) => who,
        Act::Bridge => return vec![leader, followers[0]],
        Act::Replace => Who::Follower,
        Act::Reset | Act::Slow => Who::Everybody,
    };
    match who {
        Who::Leader => vec![leader],
        Who::Follower => vec![followers[0]],
        Who::MinorityWithLeader => [&[leader], &followers[..few - 1]].concat(),
        Who::MinorityWithoutLeader => followers[..few].to_vec(),
        Who::Everybody => nodes,
    }
}

fn plug(member: &Member, is_in: bool) {
    if let Some(plug) = &member.plug {
        plug.set(is_in);
    }
}

fn pause(member: &mut Member) {
    member.server.pause();
    member.is_paused = true;
}

/// Kills it, turns bits over, and starts it; how it ended if it refuses.
fn damage(member: &mut Member, files: Files, random: &mut Random) -> Option<Option<i32>> {
    member.server.kill();
    let dir = member.server.data_dir();
    match files {
        Files::Tables => {
            flip(&dir.join("tables/db"), 4_096, random);
            // Bits alone may hit what is not needed, or only send the tables back to an older state of theirs.
            fs::remove_file(dir.join("tables/COMPLETE")).expect("removed");
        }
        Files::Log => {
            let mut segments = names(&dir.join("log"), ".seg");
            segments.sort();
            flip(&dir.join("log").join(&segments[0]), 1_024, random);
        }
    }
    tokio::task::block_in_place(|| member.server.try_start()).err().map(|ended| ended.code)
}

/// Turns a bit over in every so many bytes of the part that is not empty: much of a file may be of no use any more.
fn flip(file: &Path, every: u64, random: &mut Random) {
    let mut bytes = fs::read(file).expect("read");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("not empty");
    for piece in bytes[..used].chunks_mut(usize::try_from(every).expect("small")).skip(1) {
        let at = random.index(piece.len());
        piece[at] ^= 1 << random.below(8);
    }
    if let Some(byte) = bytes.get_mut(HEADER_BYTES..used).and_then(|body| body.last_mut()) {
        *byte ^= 1;
    }
    fs::write(file, bytes).expect("written");
}

fn names(dir: &Path, ending: &str) -> Vec<String> {
    let names = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.ends_with(ending)).collect()
}

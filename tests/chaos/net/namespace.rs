//! Network namespaces: one for this process, with a switch in it, and one for each node, plugged into the switch. A node
//! whose plug is pulled has no network at all: nobody is told, no connection ends, every packet is lost.
//!
//! Only where this process may make them; else everything stays on the loopback interface, and no plug is pulled.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
};

/// The addresses of a run; nobody else sees them.
const NETWORK: [u8; 2] = [10, 99];
const SWITCH: &str = "switch";

/// A namespace; it is gone with whoever is in it.
#[derive(Debug)]
struct Namespace {
    /// Holds it, and ends when this process does.
    holder: Child,
}

/// The switch, and this thread's place at it. Threads and processes that begin here stay here.
#[derive(Debug)]
pub struct Switch {
    _here: Namespace,
}

/// A node's place at the switch.
#[derive(Debug)]
pub struct Plug {
    place: Namespace,
    /// The end at the switch.
    port: String,
    pub address: Ipv4Addr,
}

impl Namespace {
    fn new() -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo made && exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = command.spawn().ok()?;
        let mut said = String::new();
        // It says nothing where it is not allowed, or there is no such program.
        let _ = BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut said);
        let namespace = Self { holder };
        (said == "made\n").then_some(namespace)
    }

    fn id(&self) -> String {
        self.holder.id().to_string()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Switch {
    /// Moves this thread to a switch of its own; `None` where that is not allowed.
    pub fn enter() -> Option<Self> {
        let here = Namespace::new()?;
        let entrance = File::open(format!("/proc/{}/ns/net", here.id())).ok()?;
        let network = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(rustix::fd::AsFd::as_fd(&entrance), Some(network)).ok()?;
        let own = format!("{}/16", Self::address());
        let made = ip(&["link", "add", SWITCH, "type", "bridge"])
            && ip(&["address", "add", &own, "dev", SWITCH])
            && ip(&["link", "set", SWITCH, "up"]);
        assert!(made, "a namespace without a switch in it");
        Some(Self { _here: here })
    }

    /// This process's own address at the switch.
    pub fn address() -> Ipv4Addr {
        Ipv4Addr::new(NETWORK[0], NETWORK[1], 0, 1)
    }

    /// The place of a node; each number has one, once.
    pub fn plug(&self, number: u64) -> Plug {
        let place = Namespace::new().expect("another one");
        let (port, id) = (format!("port{number}"), place.id());
        let [high, low] = u16::try_from(number).expect("few nodes").to_be_bytes();
        let address = Ipv4Addr::new(NETWORK[0], NETWORK[1], high + 1, low);
        let own = format!("{address}/16");
        let made = ip(&["link", "add", &port, "type", "veth", "peer", "name", "plug", "netns", &id])
            && ip(&["link", "set", &port, "master", SWITCH, "up"]);
        let plug = Plug { place, port, address };
        let made = made && plug.ip(&["address", "add", &own, "dev", "plug"]) && plug.ip(&["link", "set", "plug", "up"]);
        assert!(made, "node {number} has no place at the switch");
        plug
    }
}

impl Plug {
    /// What goes before a command that is to run there.
    pub fn prefix(&self) -> Vec<String> {
        ["nsenter", "--net", "--target", &self.place.id()].map(str::to_owned).to_vec()
    }

    /// Pulls the plug, or puts it in again.
    pub fn set(&self, is_in: bool) {
        assert!(ip(&["link", "set", &self.port, if is_in { "up" } else { "down" }]), "the plug is stuck");
    }

    fn ip(&self, args: &[&str]) -> bool {
        let prefix = self.prefix();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).arg("ip").args(args).status().is_ok_and(|status| status.success())
    }
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).status().is_ok_and(|status| status.success())
}

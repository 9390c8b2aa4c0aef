//! The network between nodes: a proxy for each pair and direction of dialling, lanes that faults close.

mod lane;
mod namespace;
mod proxy;

pub use lane::{Flow, Lane};
pub use namespace::{Plug, Switch};
use proxy::Proxy;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// A node's number; [`ANYBODY`] stands for whoever dials a node that has just joined.
pub type Node = u64;
pub const ANYBODY: Node = 0;

/// Everything between nodes.
#[derive(Debug)]
pub struct Network {
    /// Where this process is, and so the proxies.
    at: IpAddr,
    switch: Option<Switch>,
    lanes: BTreeMap<(Node, Node), Arc<Lane>>,
    proxies: BTreeMap<(Node, Node), Proxy>,
}

/// What it has done to whom so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub held: u64,
    pub slowed: u64,
    pub broken: u64,
}

impl Network {
    /// With a switch, or on the loopback interface.
    pub fn new(switch: Option<Switch>) -> Self {
        let at = if switch.is_some() { Switch::address() } else { Ipv4Addr::LOCALHOST };
        Self { at: at.into(), switch, lanes: BTreeMap::new(), proxies: BTreeMap::new() }
    }

    /// A node's own place, if there are any.
    pub fn plug(&self, node: Node) -> Option<Plug> {
        self.switch.as_ref().map(|switch| switch.plug(node))
    }

    /// Where `from` dials `to`, which listens at `target`.
    pub async fn way(&mut self, (from, to): (Node, Node), target: SocketAddr) -> SocketAddr {
        if let Some(proxy) = self.proxies.get(&(from, to)) {
            return proxy.address;
        }
        let (there, back) = (self.lane(from, to), self.lane(to, from));
        let proxy = Proxy::start((self.at, target), (there, back)).await;
        let address = proxy.address;
        self.proxies.insert((from, to), proxy);
        address
    }

    /// The direction from one to the other.
    pub fn lane(&mut self, from: Node, to: Node) -> Arc<Lane> {
        self.lanes.entry((from, to)).or_default().clone()
    }

    /// Sets every direction for which `is_meant`.
    pub fn set(&self, flow: Flow, is_meant: impl Fn(Node, Node) -> bool) {
        for ((from, to), lane) in &self.lanes {
            if is_meant(*from, *to) {
                lane.set(flow);
            }
        }
    }

    /// Closes directions.
    pub fn cut(&self, is_meant: impl Fn(Node, Node) -> bool) {
        self.set(Flow { is_open: false, ..Flow::default() }, is_meant);
    }

    /// Everything gets through, as fast as it goes.
    pub fn heal(&self) {
        self.set(Flow::default(), |_, _| true);
    }

    /// Ends connections with an RST.
    pub fn reset(&self, is_meant: impl Fn(Node, Node) -> bool) {
        for ((from, to), proxy) in &self.proxies {
            if is_meant(*from, *to) {
                proxy.reset();
            }
        }
    }

    pub fn done(&self) -> Done {
        Done {
            held: self.lanes.values().map(|lane| lane.held()).sum(),
            slowed: self.lanes.values().map(|lane| lane.slowed()).sum(),
            broken: self.proxies.values().map(Proxy::broken).sum(),
        }
    }
}

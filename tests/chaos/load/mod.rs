//! Clients of all kinds, who know several nodes and go elsewhere when one does not answer.

pub mod marker;
pub mod people;
pub mod publisher;
pub mod resumer;
pub mod viewer;
pub mod watcher;
pub mod writer;

use crate::{
    board::{Board, Stage},
    history::User,
    net::Node,
    nodes::{KEY_ID, SECRET},
    support::{Api, Random, User as Person, socket::request},
};
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long a client waits for an answer, or a greeting, before it goes elsewhere.
const CLIENT_PATIENCE: Duration = Duration::from_millis(2_500);
/// A client that was refused everywhere would ask again and again.
const PAUSE: Duration = Duration::from_millis(20);

pub type Wired = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What every client has.
pub struct Client {
    pub board: Arc<Board>,
    pub random: Random,
    apis: HashMap<SocketAddr, Api>,
}

impl Client {
    pub fn new(board: Arc<Board>, seed: u64) -> Self {
        Self { board, random: Random::new(seed), apis: HashMap::new() }
    }

    /// Any node.
    pub fn any_node(&mut self) -> (Node, SocketAddr) {
        let nodes = self.board.nodes();
        nodes[self.random.index(nodes.len())]
    }

    pub fn api(&mut self, address: SocketAddr) -> Api {
        self.apis.entry(address).or_insert_with(|| Api::new(address)).clone()
    }

    /// A socket at an address; `None` if it is not let in, whyever.
    pub async fn open(&self, address: SocketAddr, path: &str, (who, edition): (&str, &str)) -> Option<Wired> {
        let mut request =
            request(address, path, Some(&Person::named(who).token_signed_with(KEY_ID, SECRET.as_bytes())));
        request.headers_mut().insert("sec-websocket-protocol", edition.parse().expect("ASCII"));
        let connected = tokio::time::timeout(CLIENT_PATIENCE, connect_async(request)).await;
        match connected {
            Ok(Ok((wired, _))) => Some(wired),
            _ => {
                self.board.count("sockets that were not let in");
                None
            }
        }
    }

    /// A little while, at most so long. Nothing waits for this: it is how often clients do something.
    pub async fn pause(&mut self, most_ms: u64) {
        let pause = Duration::from_millis(self.random.below(most_ms) + 1);
        tokio::time::sleep(pause).await;
    }

    pub async fn pause_after_refusal(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    pub fn is_over(&self) -> bool {
        self.board.is(Stage::Over) || self.board.failure().is_some()
    }
}

/// How users are called in paths.
pub fn name(user: User) -> String {
    user.to_string()
}

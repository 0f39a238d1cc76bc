//! Clients of a local node.

use std::time::{Duration, Instant};

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{GetData, Inventory, Message, NotFound, Txid};
use bsv_p2p::{Connection, ConnectionConfig, Network};

/// The timeout of every wait, for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn config() -> ConnectionConfig {
    ConnectionConfig::new(Network::Regtest)
}

pub(crate) fn client(node: &LocalNode) -> Connection {
    client_with(node, &config())
}

pub(crate) fn client_with(node: &LocalNode, config: &ConnectionConfig) -> Connection {
    Connection::connect(node.address().to_string(), config).expect("a local node")
}

/// Returns the first result of `wanted`. Other messages are skipped.
#[track_caller]
pub(crate) fn expect<T>(
    client: &mut Connection,
    mut wanted: impl FnMut(Message) -> Option<T>,
) -> T {
    let end = Instant::now() + DEADLINE;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let message = client.receive_timeout(left).expect("a connection");
        if let Some(found) = message.and_then(&mut wanted) {
            return found;
        }
    }
    panic!("what is wanted did not come within {DEADLINE:?}");
}

/// Returns everything that the node has sent up to its `notfound` for an unknown transaction. As it
/// answers in order, this includes all earlier responses. Messages of the handshake are excluded.
pub(crate) fn all_that_is_said(client: &mut Connection) -> Vec<Message> {
    let marker = vec![Inventory::Tx(Txid([0xee; 32]))];
    let question = GetData::from(marker.clone()).into();
    client.send(&question).expect("a question");
    let end = NotFound::from(marker).into();
    let mut said = Vec::new();
    loop {
        match client.receive_timeout(DEADLINE).expect("a connection") {
            Some(message) if message == end => return said,
            Some(Message::SendHeaders) => {}
            Some(message) => said.push(message),
            None => panic!("the node did not answer within {DEADLINE:?}"),
        }
    }
}

/// Sends a request and returns all responses.
pub(crate) fn ask(client: &mut Connection, question: impl Into<Message>) -> Vec<Message> {
    client.send(question).expect("a question");
    all_that_is_said(client)
}

/// Returns the hashes of announced blocks, if a message announces any.
pub(crate) fn announced_block(message: &Message) -> Option<Inventory> {
    match message {
        Message::Inv(inv) => inv
            .inventory
            .iter()
            .find(|entry| matches!(entry, Inventory::Block(_)))
            .copied(),
        _ => None,
    }
}

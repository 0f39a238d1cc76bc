//! Clients of a local node.

use std::time::{Duration, Instant};

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{GetData, Inventory, Message, NotFound, Txid};
use bsv_p2p::{Connection, ConnectionConfig, Network};

/// How long anything here may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn config() -> ConnectionConfig {
    ConnectionConfig::new(Network::Regtest)
}

pub(crate) fn client(node: &LocalNode) -> Connection {
    client_with(node, &config())
}

pub(crate) fn client_with(node: &LocalNode, config: &ConnectionConfig) -> Connection {
    Connection::connect(&node.address().to_string(), config).expect("a local node")
}

/// The first message for which `wanted` gives something; others are passed over.
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

/// Everything that the node has sent when it says that it does not have a transaction which nobody has: as it answers in
/// order, whatever it had to say to earlier questions is among it. What belongs to the handshake is left out.
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

/// Sends a question and gives everything that is said to it.
pub(crate) fn ask(client: &mut Connection, question: impl Into<Message>) -> Vec<Message> {
    client.send(&question.into()).expect("a question");
    all_that_is_said(client)
}

/// Whether a message announces blocks, and their hashes.
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

//! The public API as a new user guesses it, without reading more than the front page.
//!
//! Each expression compiles and does what its name says. [`tasks`] has complete short programs for
//! common tasks. These guesses are not supported:
//!
//! | guess | reason | write instead |
//! | --- | --- | --- |
//! | `ManagerConfig::builder()` | The fields are public, so a builder would repeat each of them. | `ManagerConfig { target_connections: 4, ..ManagerConfig::new(network) }` |
//! | `config.network = network` on a `ManagerConfig` | Two fields for one value could differ. | `config.connection.network = network`, or `config.with_network(network)` |
//! | `Manager::start(config)` | Subscriptions before the start receive every event. | `Manager::new(config)?`, then `manager.start()?` |
//! | `connection.disconnect()` | A blocking connection has one name for it. | `connection.close()`, or drop it |
//! | `for message in connection` | The connection is needed to answer a message. | `for message in &mut connection`, or `connection.messages()` |
//! | `chain.save(path)`, `HeaderChain::load(path)` | Storage is separate from the chain. | `HeaderStore::export(&chain, path)`, `HeaderStore::open(path, network)` |
//! | `connection.merkle_block(hash)` | Nodes serve it only with a filter, which is a state of the connection. | `send` a `FilterLoad` and a `GetData`, then `receive`: see [`spv`] |
//! | `"203.0.113.9:8333".parse::<NetworkAddress>()` | The services are part of the address. | `NetworkAddress::new(services, "203.0.113.9:8333".parse()?)` |
//! | a SOCKS5 proxy | Connections dial TCP addresses only. | a local forwarder, and its address |

mod chain;
mod configuration;
mod connections;
mod messages;
mod peers;
mod spv;
mod tasks;

use std::time::Duration;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{OutPoint, Transaction, TransactionInput, TransactionOutput, Txid};
use bsv_p2p::{Connection, ConnectionConfig, Network};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// The maximum duration of each wait.
const TIMEOUT: Duration = Duration::from_secs(20);

fn config() -> ConnectionConfig {
    ConnectionConfig::new(Network::Regtest)
}

/// Returns a node with `blocks` mined blocks, and a connection to it.
///
/// The node announces nothing to a peer before it has completed the handshake as well.
fn node_and_peer(blocks: usize) -> Result<(LocalNode, Connection), Box<dyn std::error::Error>> {
    let node = LocalNode::start()?;
    node.mine(blocks)?;
    let peer = Connection::connect(node.address(), &config())?;
    assert!(node.wait_for_peers(1, TIMEOUT));
    Ok((node, peer))
}

/// Returns a transaction that a local node accepts.
fn payment() -> Transaction {
    Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([1; 32]),
                index: 0,
            },
            script: vec![0x51],
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            value: 1_000,
            script: vec![0x51],
        }],
        lock_time: 0,
    }
}

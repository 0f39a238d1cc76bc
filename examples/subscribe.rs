//! Subscribes to the messages of a peer, and prints the transactions that it announces.
//!
//! Usage: `subscribe HOST:PORT [NETWORK]`

use std::time::Duration;

use bsv_p2p::wire::{Inventory, Message};
use bsv_p2p::{Manager, ManagerConfig, Network};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .ok_or("usage: subscribe HOST:PORT [NETWORK]")?;
    let network: Network = arguments.next().as_deref().unwrap_or("mainnet").parse()?;

    let manager = Manager::new(ManagerConfig::new(network))?;
    // A subscription before the start receives every message.
    let messages = manager.subscribe_messages();
    manager.start_fixed([&address])?;
    manager.wait_for_peers(1, Duration::from_secs(30))?;
    println!("connected to {address}");
    for event in messages {
        let event = event?;
        let Message::Inv(inv) = &*event.message else {
            continue;
        };
        let txids = inv.inventory.iter().filter_map(|entry| match entry {
            Inventory::Tx(txid) => Some(*txid),
            _ => None,
        });
        let txids: Vec<_> = txids.collect();
        // Failed requests are skipped, and so are transactions that the peer does not have.
        let found = manager.transactions(event.peer_id, &txids, Duration::from_secs(10));
        for tx in found.iter().flatten().flatten() {
            println!("transaction {}: {} bytes", tx.txid(), tx.bytes().len());
        }
    }
    Ok(())
}

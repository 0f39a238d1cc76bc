//! Maintains connections to peers, and prints each new tip of the chain with the most work.
//!
//! Usage: `manager NETWORK [HOST:PORT]...`

use bsv_p2p::{Manager, ManagerConfig, Network};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let network: Network = arguments
        .next()
        .ok_or("usage: manager NETWORK [HOST:PORT]...")?
        .parse()?;
    let peers: Vec<String> = arguments.collect();

    let manager = Manager::new(ManagerConfig::new(network))?;
    let tips = manager.subscribe_blocks()?;
    if peers.is_empty() {
        // Finds peers by the DNS seeds of the network, and by the addresses that peers advertise.
        manager.start()?;
    } else {
        // Connects to these peers only, and dials them again after a disconnect.
        manager.start_fixed(peers)?;
    }

    // Headers are verified. Blocks can be downloaded by `manager.fetch_block(tip.hash, timeout)`.
    for tip in tips {
        let tip = tip?;
        println!(
            "height {}: {}, {} connected",
            tip.height,
            tip.hash,
            manager.connected_count()
        );
    }
    Ok(())
}

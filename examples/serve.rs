//! Serves a regtest chain to inbound peers, and mines a block every ten seconds.
//!
//! Usage: `serve IP:PORT`

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use bsv_p2p::local_node::LocalNode;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: serve IP:PORT")?;
    let address: SocketAddr = address.parse()?;

    // The node answers requests for headers, blocks and transactions on its own threads.
    let node = LocalNode::start_at(address, LocalNode::default_config())?;
    node.mine(10)?;
    // Port 0 selects a free port.
    println!("listening on {}", node.address());

    loop {
        // New blocks are announced to all peers.
        println!("height {}, peers {}", node.height(), node.peer_count());
        sleep(Duration::from_secs(10));
        node.mine(1)?;
    }
}

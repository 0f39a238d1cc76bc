//! Connects to a peer, prints its version, and measures a round trip.
//!
//! Usage: `connect HOST:PORT [NETWORK]`

use std::time::Duration;

use bsv_p2p::{Connection, ConnectionConfig, Network};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .ok_or("usage: connect HOST:PORT [NETWORK]")?;
    let network: Network = arguments.next().as_deref().unwrap_or("mainnet").parse()?;

    // Blocks until the handshake is complete. Every wait has a timeout in the configuration.
    let config = ConnectionConfig::new(network);
    let mut connection = Connection::connect(&address, &config)?;

    let peer = connection.peer_info();
    println!("user agent {}", peer.user_agent);
    println!("version {}", peer.version);
    println!("services {}", peer.services);
    println!("height {}", peer.start_height);
    println!("round trip {:?}", connection.ping(Duration::from_secs(10))?);

    // Lets the peer read all messages, and blocks for at most a second.
    connection.close();
    Ok(())
}

//! Downloads all headers of a node into a file, and continues from the file at the next run.
//!
//! Usage: `sync_headers HOST:PORT FILE [NETWORK]`

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bsv_p2p::wire::BlockHash;
use bsv_p2p::{Connection, ConnectionConfig, HeaderStore, Network};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: sync_headers HOST:PORT FILE [NETWORK]";
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or(usage)?;
    let path = arguments.next().ok_or(usage)?;
    let network: Network = arguments.next().as_deref().unwrap_or("mainnet").parse()?;

    // Verifies the headers in the file, and locks it.
    let (mut store, mut chain, _) = HeaderStore::open(path, network.clone())?;
    println!("resuming at height {}", chain.tip().0);

    let config = ConnectionConfig::new(network);
    let mut connection = Connection::connect(&address, &config)?;
    loop {
        // Each request returns at most 2,000 headers.
        let no_stop = BlockHash::ZERO;
        let headers = connection.headers(&chain.locator(), no_stop, Duration::from_secs(60))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let before = chain.tip();
        chain.extend(&headers, u32::try_from(now)?)?;
        if chain.tip() == before {
            break;
        }
        store.update(&chain)?;
    }
    store.sync()?;
    println!("height {}: {}", chain.tip().0, chain.tip().1);
    Ok(())
}

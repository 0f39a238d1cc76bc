//! Command-line tool that prints the identity of a node and its round-trip times.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bsv_p2p::{Connection, Network};
use clap::Parser;
use serde_json::json;

#[path = "shared/dial.rs"]
mod dial;
#[path = "shared/milliseconds.rs"]
mod milliseconds;
#[path = "shared/node.rs"]
mod node;
mod shared;
#[path = "shared/user_agent.rs"]
mod user_agent;

use dial::Dial;
use milliseconds::milliseconds;
use node::NamedNode;

/// Print the identity of a Bitcoin SV node and its round-trip times.
///
/// A node may close the connection before it sends a version. Usual causes: the node belongs to
/// another network than --network, has banned this host, or is full. Nodes ban hosts of other
/// networks for 24 hours.
#[derive(Parser)]
#[command(name = "ping", version)]
struct Arguments {
    #[command(flatten)]
    node: NamedNode,
    /// The number of pings to send
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    #[command(flatten)]
    dial: Dial,
}

/// Maximum time to wait for a `pong`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Interval between two pings.
const INTERVAL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    shared::run(ping)
}

fn ping(arguments: Arguments) -> Result<(), shared::Failure> {
    let common = &arguments.dial.common;
    let config = arguments
        .dial
        .connection_config(common.network_or(Network::Mainnet));
    let mut node = Connection::connect(arguments.node.name()?, &config)?;
    let peer = node.peer_info().clone();
    if !common.json {
        shared::say(format_args!(
            "{}: {}, version {}, services {}, height {}",
            node.peer_addr(),
            peer.user_agent,
            peer.version,
            peer.services,
            peer.start_height
        ))?;
    }
    let mut times = Vec::new();
    for number in 1..=arguments.count {
        let next = Instant::now() + INTERVAL;
        let time = node.ping(TIMEOUT)?;
        times.push(milliseconds(time));
        if !common.json {
            shared::say(format_args!("ping {number}: {:.3} ms", milliseconds(time)))?;
        }
        // Receiving during the interval also answers the pings of the node.
        while number < arguments.count && Instant::now() < next {
            node.receive_timeout(next.saturating_duration_since(Instant::now()))?;
        }
    }
    let min = times.iter().copied().fold(f64::INFINITY, f64::min);
    let max = times.iter().copied().fold(0.0, f64::max);
    let avg = times.iter().sum::<f64>() / times.len() as f64;
    if common.json {
        let fields = json!({
            "peer": node.peer_addr().to_string(),
            "user_agent": peer.user_agent.to_string(),
            "version": peer.version,
            "services": peer.services.0,
            "height": peer.start_height,
            "min_ms": min,
            "avg_ms": avg,
            "max_ms": max,
        });
        shared::say_json("Summary", &fields)?;
    } else {
        shared::say(format_args!(
            "min {min:.3} ms, avg {avg:.3} ms, max {max:.3} ms"
        ))?;
    }
    Ok(())
}

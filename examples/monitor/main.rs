//! Shows what peers say: handshakes, announcements, blocks, and a summary at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bsv_p2p::Network;
use bsv_p2p::connection::EventBus;
use bsv_p2p::event::Event;
use clap::Parser;
use crossbeam_channel::{at, bounded, never, select};

#[path = "../shared/mod.rs"]
mod shared;

mod local_network;
mod peers;
mod report;

use local_network::LocalNetwork;
use peers::Peers;
use report::Report;

/// Watch Bitcoin SV peers: their handshakes, announcements and blocks, and a summary of each at the end.
///
/// Without peers it starts a small network of its own in the process, whose three nodes mine a block about every second, and
/// watches that for ten seconds.
#[derive(Parser)]
#[command(name = "monitor")]
struct Arguments {
    /// A peer to watch: HOST:PORT, or HOST for the network's own port; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    peer: Vec<String>,
    /// How long to watch, in seconds; with peers the default is until Ctrl-C, or until no peer is left
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<Duration>,
    /// The peers' network: mainnet, testnet, stn or regtest; mainnet unless the network is our own
    #[arg(long, value_parser = shared::network())]
    network: Option<Network>,
    /// Print every event as a JSON object in a line of its own
    #[arg(long)]
    json: bool,
}

/// How long our own network is watched.
const LOCAL_SECONDS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    shared::run(monitor)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "a number of seconds is needed".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn monitor(arguments: Arguments) -> Result<(), shared::Failure> {
    let own_network = arguments.peer.is_empty();
    let network = match arguments.network {
        Some(network) if own_network && network != Network::Regtest => {
            let text = format!("--network {network} needs a --peer to connect to");
            return Err(shared::WrongUsage(text).into());
        }
        Some(network) => network,
        None if own_network => Network::Regtest,
        None => Network::Mainnet,
    };
    let (interrupt, interrupted) = bounded(1);
    ctrlc::set_handler(move || {
        // A second Ctrl-C says nothing new.
        let _ = interrupt.try_send(());
    })?;

    let local = if own_network {
        Some(LocalNetwork::start()?)
    } else {
        None
    };
    let names = local
        .as_ref()
        .map_or(arguments.peer, LocalNetwork::addresses);
    let seconds = arguments.seconds.or(own_network.then_some(LOCAL_SECONDS));
    let end = match seconds.and_then(|seconds| Instant::now().checked_add(seconds)) {
        Some(end) => at(end),
        None => never(),
    };

    let report = Report::new(arguments.json);
    let bus = EventBus::new();
    let events = bus.subscribe();
    let mut peers = Peers::new(network, bus);
    for name in &names {
        if let Err(reason) = peers.watch(name)? {
            report.unresolved(name, &reason)?;
        }
    }
    // Without a limit of time there is nothing to wait for once all peers are gone.
    let mut all_gone = peers.all_gone();
    while !(all_gone && seconds.is_none()) {
        select! {
            recv(events) -> event => match event {
                Ok(Event::Control(event)) => {
                    report.control(&event)?;
                    peers.on_control(&event)?;
                }
                Ok(Event::Message(event)) => {
                    if let Some(address) = peers.address(event.peer_id) {
                        report.message(address, &event.message)?;
                        peers.on_message(event.peer_id, &event.message);
                    }
                }
                Err(_) => break,
            },
            recv(end) -> _ => break,
            recv(interrupted) -> _ => break,
        }
        all_gone = peers.all_gone();
    }
    report.summary(&peers.summary())?;
    if all_gone && seconds.is_none() {
        return Err("no peer is left".into());
    }
    Ok(())
}

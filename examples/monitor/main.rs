//! Prints the handshakes, announcements and blocks of peers, and a summary at the end.

use std::io::Write;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bsv_p2p::event::Event;
use bsv_p2p::peers::InMemoryPeerStore;
use bsv_p2p::{Manager, ManagerConfig, Network};
use clap::Parser;
use crossbeam_channel::select;

#[path = "../shared/dial.rs"]
mod dial;
#[path = "../shared/events.rs"]
mod events;
#[path = "../shared/lasting.rs"]
mod lasting;
#[path = "../shared/listening.rs"]
mod listening;
#[path = "../shared/milliseconds.rs"]
mod milliseconds;
#[path = "../shared/plural.rs"]
mod plural;
#[path = "../shared/seeds.rs"]
mod seeds;
#[path = "../shared/mod.rs"]
mod shared;
#[path = "../shared/user_agent.rs"]
mod user_agent;

mod local_network;
mod peers;
mod report;
mod table;

use dial::Dial;
use lasting::{interrupts, over, seconds};
use listening::listen_address;
use local_network::LocalNetwork;
use peers::Peers;
use report::Report;
use seeds::Seeds;

/// Print the handshakes, announcements and blocks of Bitcoin SV peers, and a summary at the end.
///
/// Without peers, seeds and --listen, it starts three local nodes in the process, which mine a
/// block about every second, and monitors them for ten seconds.
///
/// With --peer, only these peers are dialed. With --listen and without --peer, the peers in the
/// --store file are dialed. With --seed, --dns or --default-port, the stored peers are dialed, and
/// further peers are discovered: through the given seeds or those of the network, and through the
/// addresses that peers advertise.
#[derive(Parser)]
#[command(name = "monitor", version)]
#[command(mut_arg("network", |network| network.help(NETWORK_HELP)))]
struct Arguments {
    /// A peer to monitor: HOST:PORT, or HOST for the default port of the network. No other peers
    /// are dialed then. Can be repeated
    #[arg(long, value_name = "HOST:PORT")]
    peer: Vec<String>,
    #[command(flatten)]
    seeds: Seeds,
    /// Accept inbound peers at this address: HOST:PORT or IP:PORT. Port 0 selects a free port. A
    /// lost --peer is dialed again then
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Number of connections to maintain, at most --max. Has no effect with --peer [default: 8]
    #[arg(long, value_name = "N")]
    target: Option<usize>,
    /// Maximum number of connections. Lowers the default of --target if that is larger [default:
    /// 20, or the number of --peer options if that is larger]
    #[arg(long, value_name = "N")]
    max: Option<NonZeroUsize>,
    /// A file that stores peers and bans. Created if missing
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Duration of the whole run, in seconds. Defaults to ten seconds for the local nodes,
    /// otherwise until Ctrl-C. With --peer but neither --listen nor --timeout, the tool also ends
    /// when no peer is left
    #[arg(long, alias = "seconds", value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    dial: Dial,
}

/// Description of `--network`, which has another default than in most tools.
const NETWORK_HELP: &str = "The network: mainnet, testnet, stn, regtest, teratestnet, tstn, or a \
                            JSON file that defines one [default: mainnet, or regtest for the \
                            local nodes]";

impl Arguments {
    /// Returns whether peers are discovered through seeds and advertised addresses.
    fn seeks(&self) -> bool {
        let Seeds {
            seed,
            dns,
            default_port,
        } = &self.seeds;
        !seed.is_empty() || !dns.is_empty() || default_port.is_some()
    }
}

/// Default of `--timeout` for the local nodes.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    shared::run(monitor)
}

fn monitor(arguments: Arguments) -> Result<(), shared::Failure> {
    let listens = arguments.listen.is_some();
    let seeks = arguments.seeks();
    let own_network = arguments.peer.is_empty() && !listens && !seeks;
    let config = config(&arguments, own_network)?;
    let network = config.network().clone();
    let interrupted = interrupts()?;
    let manager = match &arguments.store {
        Some(file) => Manager::with_store(config, open(file, network)?)?,
        None => Manager::new(config)?,
    };
    let events = manager.subscribe(); // before the start, so that no event is missed
    let report = Report::new(arguments.dial.common.json);
    let mut peers = Peers::new(&manager);

    let local = own_network.then(LocalNetwork::start).transpose()?;
    let names = local
        .as_ref()
        .map_or(arguments.peer, LocalNetwork::addresses);
    let timeout = arguments.timeout.or(own_network.then_some(LOCAL_TIMEOUT));
    let end = over(timeout);
    match (listens || seeks, names.is_empty()) {
        (true, true) => manager.start()?,
        (true, false) => peers.keep(&names, &report)?,
        (false, _) => peers.dial_once(&names, &report)?,
    }
    // Without a time limit, listener and discovery, no events follow once all peers are gone.
    let waits = listens || seeks || timeout.is_some();
    let mut failure = None;
    while waits || !peers.all_gone() {
        select! {
            recv(events.as_receiver()) -> event => match events.with_end_reason(event) {
                Ok(Event::Control(event)) => {
                    report.control(&event)?;
                    peers.on_control(&event)?;
                }
                Ok(Event::Message(event)) => {
                    report.message(&event.address.to_string(), &event.message)?;
                    peers.on_message(event.peer_id, &event.message);
                }
                Ok(_) => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            },
            recv(end) -> _ => break,
            recv(interrupted) -> _ => break,
        }
    }
    report.summary(&peers.summary())?;
    if let Some(error) = failure {
        return Err(error.into());
    }
    if !waits && peers.all_gone() {
        return Err("no peer is left".into());
    }
    manager.shutdown()?;
    Ok(())
}

/// Returns the configuration of the manager.
///
/// # Errors
///
/// - [`WrongUsage`](shared::WrongUsage) if the arguments contradict each other.
/// - If the listening address cannot be resolved.
fn config(arguments: &Arguments, own_network: bool) -> Result<ManagerConfig, shared::Failure> {
    let usual = if own_network {
        Network::Regtest
    } else {
        Network::Mainnet
    };
    let network = arguments.dial.common.network_or(usual);
    if own_network && network != Network::Regtest {
        let text = format!("--network {network} requires --peer, --seed or --listen");
        return Err(shared::WrongUsage(text).into());
    }
    let mut config = ManagerConfig::new(network.clone());
    config.connection = arguments.dial.connection_config(network);
    look_for_peers(arguments, &mut config)?;
    // Each manual peer needs a slot.
    let max = config.max_connections.max(arguments.peer.len());
    config.max_connections = arguments.max.map_or(max, NonZeroUsize::get);
    let target = config.target_connections.min(config.max_connections);
    config.target_connections = arguments.target.unwrap_or(target);
    if config.target_connections > config.max_connections {
        let (target, max) = (config.target_connections, config.max_connections);
        let text = format!("--target {target} is above --max {max}");
        return Err(shared::WrongUsage(text).into());
    }
    if let Some(name) = &arguments.listen {
        config.listener.enabled = true;
        config.listener.address = Some(listen_address(name, config.network())?);
    } else if !arguments.seeks() {
        // Lost peers must not be dialed again.
        config.restarts.max_immediate_restarts = 0;
        config.restarts.max_delayed_restarts = Some(0);
    }
    Ok(config)
}

/// Configures discovery. It is disabled unless [`Arguments::seeks`] returns true.
///
/// # Errors
///
/// - If discovery is combined with `--peer`, or if neither arguments nor network have seeds.
fn look_for_peers(
    arguments: &Arguments,
    config: &mut ManagerConfig,
) -> Result<(), shared::WrongUsage> {
    let (seeds, network) = (&arguments.seeds, config.network().clone());
    let discovery = &mut config.discovery;
    discovery.seeds = Some(Vec::new());
    discovery.request_addresses = arguments.seeks();
    if !arguments.seeks() {
        return Ok(());
    }
    if let Some(peer) = arguments.peer.first() {
        let text = format!("--peer {peer} cannot be combined with --seed, --dns or --default-port");
        return Err(shared::WrongUsage(text));
    }
    discovery.seeds = Some(seeds.names(&network)?);
    discovery.name_servers = seeds.dns.clone();
    discovery.default_port = seeds.default_port.map(NonZeroU16::get);
    Ok(())
}

/// Opens or creates the file of `--store`. Reports damage on standard error.
fn open(file: &Path, network: Network) -> Result<Arc<InMemoryPeerStore>, shared::Failure> {
    let max_peers = InMemoryPeerStore::DEFAULT_MAX_PEERS;
    let (store, damaged) = InMemoryPeerStore::open(file, network, max_peers, SystemTime::now())?;
    if let Some(damaged) = damaged {
        // Standard error may be closed.
        let _ = writeln!(std::io::stderr(), "warning: {damaged}");
    }
    Ok(Arc::new(store))
}

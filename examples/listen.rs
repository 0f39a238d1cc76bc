//! Accepts inbound peers, serves a mined chain, and prints the events of the connections.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bsv_p2p::connection::SubscriptionOptions;
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent, Event};
use bsv_p2p::local_node::{Chain, MAX_BLOCK_HASHES};
use bsv_p2p::peers::PeerId;
use bsv_p2p::wire::{BlockHash, Command, Headers, Inv, Inventory, Message, NotFound, Services};
use bsv_p2p::{Manager, ManagerConfig, Network};
use clap::Parser;
use crossbeam_channel::select;

#[path = "shared/events.rs"]
mod events;
#[path = "shared/lasting.rs"]
mod lasting;
#[path = "shared/listening.rs"]
mod listening;
#[path = "shared/milliseconds.rs"]
mod milliseconds;
mod shared;
#[path = "shared/user_agent.rs"]
mod user_agent;

use events::say_event;
use lasting::{interrupts, over, seconds};
use listening::listen_address;
use user_agent::OwnUserAgent;

/// Accept inbound Bitcoin SV peers and show each connection and the reason for its end.
///
/// Mines a chain with the difficulty of regtest and serves its headers and blocks. With
/// --handshakes-only it serves nothing and works on any network.
#[derive(Parser)]
#[command(name = "listen", version)]
#[command(mut_arg("network", |network| network.help(NETWORK_HELP)))]
struct Arguments {
    /// The listening address: HOST:PORT or IP:PORT. Port 0 selects a free port. Without a port, the
    /// default port of the network is used
    #[arg(value_name = "ADDR")]
    address: String,
    /// Serve nothing. Works on any network
    #[arg(long)]
    handshakes_only: bool,
    /// Number of blocks to mine, at most 5,000
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "handshakes_only",
        value_parser = clap::value_parser!(u64).range(..=5_000))]
    blocks: u64,
    /// Duration of the whole run, in seconds [default: until Ctrl-C]
    #[arg(long, alias = "seconds", value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    agent: OwnUserAgent,
    #[command(flatten)]
    common: shared::Common,
}

/// Description of `--network`, which has another default than in most tools.
const NETWORK_HELP: &str = "The network: mainnet, testnet, stn, regtest, teratestnet, tstn, or a \
                            JSON file that defines one [default: regtest, or mainnet with \
                            --handshakes-only]";

/// The requests that this tool answers. The library answers pings and performs handshakes.
const REQUESTS: [Command; 3] = [
    Command::new("getheaders"),
    Command::new("getblocks"),
    Command::new("getdata"),
];

fn main() -> ExitCode {
    shared::run(listen)
}

fn listen(arguments: Arguments) -> Result<(), shared::Failure> {
    let usual = if arguments.handshakes_only {
        Network::Mainnet
    } else {
        Network::Regtest
    };
    let network = arguments.common.network_or(usual);
    let mut config = ManagerConfig::new(network.clone());
    config.connection.session.user_agent = arguments.agent.user_agent;
    config.target_connections = 0; // no peers are dialed
    config.listener.enabled = true;
    config.listener.address = Some(listen_address(&arguments.address, &network)?);
    let mut server = if arguments.handshakes_only {
        None
    } else {
        let chain = mine(&network, arguments.blocks)?;
        config.connection.session.services = Services::NETWORK;
        config.connection.session.start_height = i32::try_from(chain.tip().0)?;
        Some(Server::new(chain))
    };

    let interrupted = interrupts()?;
    let manager = Manager::new(config)?;
    let events = manager.subscribe_with(SubscriptionOptions::default().with_commands(REQUESTS));
    manager.start()?;
    let end = over(arguments.timeout);
    let mut is_listening = false;
    loop {
        select! {
            recv(events.as_receiver()) -> event => match events.with_end_reason(event)? {
                Event::Control(event) => {
                    match (&event, &mut server) {
                        (ControlEvent::ListenerStarted { .. }, _) => is_listening = true,
                        // The manager would try again. The first failure ends the tool.
                        (ControlEvent::ListenerBindFailed { address, error, .. }, _) if !is_listening => {
                            let error = shared::with_sources(error);
                            return Err(format!("cannot listen on {address}: {error}").into());
                        }
                        (ControlEvent::ConnectionLost { peer_id, .. }, Some(server)) => {
                            server.on_lost(*peer_id);
                        }
                        _ => {}
                    }
                    say_event(&event, arguments.common.json)?;
                }
                Event::Message(request) => if let Some(server) = &mut server {
                    server.serve(&manager, &request);
                },
                _ => {}
            },
            recv(end) -> _ => break,
            recv(interrupted) -> _ => break,
        }
    }
    manager.shutdown()?;
    Ok(())
}

/// Mines a chain of `blocks` blocks above the genesis block of the network.
///
/// # Errors
///
/// - [`WrongUsage`](shared::WrongUsage) if the network does not have the difficulty of regtest.
/// - If the chain rejects a block.
fn mine(network: &Network, blocks: u64) -> Result<Chain, shared::Failure> {
    let chain = Chain::for_network(network.clone(), Chain::DEFAULT_MAX_BYTES);
    let mut chain = chain.map_err(|_| {
        let reason = "blocks are mined on networks with the difficulty of regtest only";
        let text = format!("--network {network} needs --handshakes-only: {reason}");
        shared::WrongUsage(text)
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs() as u32);
    for number in 0..blocks {
        chain.accept(&chain.template(now, number).mine(), now)?;
    }
    Ok(chain)
}

/// Serves a chain to all peers.
struct Server {
    chain: Chain,
    /// The last block of a full answer to `getblocks`, by peer. When the peer requests that block,
    /// the tip is announced after it, so that the peer requests the next part.
    continued_at: HashMap<PeerId, BlockHash>,
}

impl Server {
    fn new(chain: Chain) -> Self {
        Self {
            chain,
            continued_at: HashMap::new(),
        }
    }

    fn on_lost(&mut self, peer: PeerId) {
        self.continued_at.remove(&peer);
    }

    /// Answers a request. Disconnects a peer that does not read its answers. Does not block.
    fn serve(&mut self, manager: &Manager, request: &BitcoinMessageEvent) {
        let peer = request.peer_id;
        let Ok(connection) = manager.connection(peer) else {
            return;
        };
        let max_inventory = connection.max_inventory();
        for answer in self.answers(peer, &request.message, max_inventory) {
            if let Err(error) = connection.try_send(&answer) {
                log::info!("{}", shared::with_sources(&error));
                // Fails if the connection has ended already.
                let _ = manager.disconnect(peer);
                return;
            }
        }
    }

    /// Returns the answers to a request. As in SV Node, `notfound` lists missing transactions but
    /// no missing blocks. It has at most `max_inventory` entries.
    fn answers(&mut self, peer: PeerId, request: &Message, max_inventory: usize) -> Vec<Message> {
        match request {
            Message::GetHeaders(request) => {
                let headers = self
                    .chain
                    .headers_for_locator(&request.locator, request.stop);
                let answer = headers.map(|headers| Headers { headers }.into());
                Vec::from_iter(answer)
            }
            Message::GetBlocks(request) => {
                let hashes = self
                    .chain
                    .hashes_for_locator(&request.locator, request.stop);
                if hashes.len() == MAX_BLOCK_HASHES {
                    self.continued_at
                        .extend(hashes.last().map(|last| (peer, *last)));
                }
                let blocks: Vec<_> = hashes.into_iter().map(Inventory::Block).collect();
                let answer = (!blocks.is_empty()).then(|| Inv::from(blocks).into());
                Vec::from_iter(answer)
            }
            Message::GetData(request) => {
                let mut answers = Vec::new();
                let mut missing = Vec::new();
                for entry in &request.inventory {
                    match entry {
                        Inventory::Block(hash) => {
                            answers.extend(self.chain.block(hash).cloned().map(Message::from));
                            if self.continued_at.get(&peer) == Some(hash) {
                                self.continued_at.remove(&peer);
                                let tip = Inventory::Block(self.chain.tip().1);
                                answers.push(Inv::from(vec![tip]).into());
                            }
                        }
                        Inventory::Tx(_) => missing.push(*entry),
                        _ => {}
                    }
                }
                answers.extend(NotFound::split(&missing, max_inventory).map(Message::from));
                answers
            }
            _ => Vec::new(),
        }
    }
}

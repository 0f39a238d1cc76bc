//! Lets peers in that dial us, serves them a chain, and shows who comes and goes.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bsv_p2p::connection::SubscriptionOptions;
use bsv_p2p::event::{BitcoinMessageEvent, Event};
use bsv_p2p::local_node::Chain;
use bsv_p2p::wire::{Command, Headers, Inventory, Message, NotFound, Services};
use bsv_p2p::{Manager, ManagerConfig, Network};
use clap::Parser;
use crossbeam_channel::select;

#[path = "shared/events.rs"]
mod events;
#[path = "shared/lasting.rs"]
mod lasting;
#[path = "shared/listening.rs"]
mod listening;
mod shared;
#[path = "shared/user_agent.rs"]
mod user_agent;

use events::say_event;
use lasting::{interrupts, over, seconds};
use listening::listen_address;
use user_agent::OwnUserAgent;

/// Let Bitcoin SV peers in that dial us, and show who comes, who goes, and why.
///
/// It mines a regtest chain of its own and serves its headers and blocks; with --handshakes-only it serves nothing, on any network.
#[derive(Parser)]
#[command(name = "listen")]
struct Arguments {
    /// Where to listen: HOST:PORT or IP:PORT, port 0 is a free one; without a port it is the network's own
    #[arg(value_name = "ADDR")]
    address: String,
    /// Serve nothing
    #[arg(long)]
    handshakes_only: bool,
    /// How many blocks to mine
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "handshakes_only",
        value_parser = clap::value_parser!(u64).range(..=5_000))]
    blocks: u64,
    /// How long to listen, in seconds; until Ctrl-C by default
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<Duration>,
    #[command(flatten)]
    agent: OwnUserAgent,
    /// The network: mainnet, testnet, stn, regtest, teratestnet, tstn, or a JSON file that defines one; regtest where blocks are served, otherwise mainnet by default
    #[arg(long, value_name = "NAME|FILE", value_parser = shared::network)]
    network: Option<Network>,
    /// Print every event as a JSON object in a line of its own
    #[arg(long)]
    json: bool,
}

/// What peers ask for that is answered here. Pings, and all that belongs to a handshake, are the library's own business.
const QUESTIONS: [Command; 2] = [Command::new("getheaders"), Command::new("getdata")];

fn main() -> ExitCode {
    shared::run(listen)
}

fn listen(arguments: Arguments) -> Result<(), shared::Failure> {
    let usual = if arguments.handshakes_only {
        Network::Mainnet
    } else {
        Network::Regtest
    };
    let network = arguments.network.unwrap_or(usual);
    let mut config = ManagerConfig::new(network.clone());
    config.connection.session.user_agent = arguments.agent.user_agent;
    config.target_connections = 0; // nobody is dialled
    config.listener.enabled = true;
    config.listener.address = Some(listen_address(&arguments.address, &network)?);
    let chain = if arguments.handshakes_only {
        None
    } else {
        let chain = mine(&network, arguments.blocks)?;
        config.connection.session.services = Services::NETWORK;
        config.connection.session.start_height = i32::try_from(chain.tip().0)?;
        Some(chain)
    };

    let interrupted = interrupts()?;
    let manager = Manager::new(config)?;
    let events = manager.subscribe_with(SubscriptionOptions::default().only(QUESTIONS));
    manager.start()?;
    let end = over(arguments.seconds);
    loop {
        select! {
            recv(events) -> event => match event {
                Ok(Event::Control(event)) => say_event(&event, arguments.json)?,
                Ok(Event::Message(question)) => if let Some(chain) = &chain {
                    serve(&manager, chain, &question);
                },
                Err(_) => break,
            },
            recv(end) -> _ => break,
            recv(interrupted) -> _ => break,
        }
    }
    manager.shutdown()?;
    Ok(())
}

fn mine(network: &Network, blocks: u64) -> Result<Chain, shared::Failure> {
    let chain = Chain::for_network(network.clone(), Chain::DEFAULT_MAX_BYTES);
    let mut chain = chain.map_err(|_| {
        let reason = "only networks with the difficulty of regtest are mined";
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

/// Answers a peer, and nobody waits for another: one that does not take what it asks for is sent away.
fn serve(manager: &Manager, chain: &Chain, question: &BitcoinMessageEvent) {
    let peer = question.peer_id;
    let Ok(connection) = manager.connection(peer) else {
        return;
    };
    for answer in answers(chain, &question.message, connection.max_inventory()) {
        if let Err(error) = connection.try_send(&answer) {
            log::info!("{error}");
            // It may have gone by itself.
            let _ = manager.disconnect(peer);
            return;
        }
    }
}

/// Returns the answers of a node. Blocks that it does not have are left out, transactions are listed as missing, at most
/// `max_inventory` in one message.
fn answers(chain: &Chain, question: &Message, max_inventory: usize) -> Vec<Message> {
    match question {
        Message::GetHeaders(wanted) => {
            let headers = chain.headers_after(&wanted.locator, wanted.stop);
            headers
                .map(|headers| Headers { headers }.into())
                .into_iter()
                .collect()
        }
        Message::GetData(wanted) => {
            let mut answers = Vec::new();
            let mut missing = Vec::new();
            for entry in &wanted.inventory {
                match entry {
                    Inventory::Block(hash) => {
                        answers.extend(chain.block(hash).cloned().map(Message::from))
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

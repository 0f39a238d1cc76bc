//! `listen`.

use std::net::TcpListener;
use std::time::Duration;

use bsv_p2p::wire::{
    Block, BlockHash, GetData, HeaderChain, Inventory, Message, Reject, RejectCode, Services, Txid,
};
use bsv_p2p::{Connection, ConnectionConfig, Error, Network};
use serde_json::Value;
use test_support::raw_peer::{RawPeer, version};

use crate::broadcast::transaction;
use crate::tool::{DEADLINE, Tool, integer, run, text};

/// Starts `listen` on its own port. Returns its address, too.
fn listen(arguments: &[&str]) -> (Tool, String) {
    let arguments = [&["127.0.0.1:0", "--json"], arguments].concat();
    let listen = Tool::start("listen", &arguments);
    let started = event(&listen, "ListenerStarted");
    let address = text(&started, "address").to_owned();
    (listen, address)
}

#[track_caller]
fn event(listen: &Tool, name: &'static str) -> Value {
    listen.object(|_| (), move |object| object["event"] == name)
}

fn connect(address: &str, network: Network) -> Connection {
    let mut config = ConnectionConfig::new(network);
    config.session.user_agent = "/visitor:1(BSV)/".into();
    config.session.start_height = 42;
    Connection::connect(address, &config).unwrap()
}

#[test]
fn listen_serves_its_chain_to_a_peer() {
    let (listen, address) = listen(&["--blocks", "7"]);
    let mut peer = connect(&address, Network::Regtest);
    let shaken = event(&listen, "HandshakeComplete");
    assert_eq!(text(&shaken, "user_agent"), "/visitor:1(BSV)/");
    assert_eq!(integer(&shaken, "height"), 42);
    let name = text(&shaken, "peer").to_owned();
    assert_eq!(peer.peer_info().start_height, 7);
    assert!(peer.peer_info().services.contains(Services::NETWORK));

    let mut chain = HeaderChain::new(Network::Regtest);
    let headers = peer.headers(&chain.locator(), BlockHash::ZERO, DEADLINE);
    chain.extend(&headers.unwrap(), u32::MAX).unwrap();
    assert_eq!(chain.tip().0, 7);
    let block = peer.block(chain.tip().1, DEADLINE).unwrap();
    assert_eq!(block.hash(), chain.tip().1);
    // Unknown objects.
    let unknown = peer.block(BlockHash([9; 32]), DEADLINE);
    assert!(
        matches!(unknown, Err(Error::NotFound { .. })),
        "{unknown:?}"
    );
    let unknown = peer.transactions(&[Txid([9; 32])], DEADLINE).unwrap();
    assert_eq!(unknown, [None]);

    drop(peer);
    let lost = event(&listen, "ConnectionLost");
    assert_eq!(text(&lost, "peer"), name);
    assert!(text(&lost, "reason").contains("connection closed by peer"));
    // Another example requests the chain.
    let ended = run("headers", &[&address, "--network", "regtest"]);
    assert_eq!(ended.assert_success().lines[0], "height 7");
    listen.interrupt();
    listen.finish().assert_success();
}

#[test]
fn handshakes_alone_are_served_on_any_network() {
    for network in [Network::Mainnet, Network::Testnet, Network::Regtest] {
        let name = ["--network", network.name()];
        let arguments = match network {
            // By default.
            Network::Mainnet => vec!["--handshakes-only"],
            _ => [&["--handshakes-only"], &name[..]].concat(),
        };
        let (listen, address) = listen(&arguments);
        let mut peer = connect(&address, network.clone());
        assert_eq!(peer.peer_info().services, Services::NONE);
        assert_eq!(peer.peer_info().start_height, 0);
        event(&listen, "HandshakeComplete");
        // If blocks are served, the response is delayed.
        let genesis = Block::genesis(&network).hash();
        let headers = peer.headers(&[genesis], BlockHash::ZERO, Duration::from_millis(200));
        assert!(matches!(headers, Err(Error::Timeout { .. })), "{headers:?}");
        listen.interrupt();
        listen.finish().assert_success();
    }
}

#[test]
fn listen_text_reports_address_and_peers() {
    let listen = Tool::start("listen", &["localhost:0"]);
    let line = listen.line_with("listening on ");
    let address = line.strip_prefix("listening on ").unwrap().to_owned();
    let peer = connect(&address, Network::Regtest);
    let shaken = listen.line_with("handshake complete");
    assert!(shaken.contains("/visitor:1(BSV)/"), "{shaken}");
    assert!(shaken.ends_with("height 42"), "{shaken}");
    drop(peer);
    listen.line_with("connection lost: connection closed by peer");
    listen.interrupt();
    listen.finish().assert_success();
}

#[test]
fn every_tool_sends_chosen_user_agent() {
    let agent = "/wallet:2(BSV)/";
    let (listen, address) = listen(&["--user-agent", agent]);
    let peer = connect(&address, Network::Regtest);
    assert_eq!(peer.peer_info().user_agent.to_string(), agent);
    event(&listen, "HandshakeComplete");
    let (transaction, _) = transaction(1);
    let genesis = Block::genesis(&Network::Regtest).hash().to_string();
    let out = std::env::temp_dir().join(format!("bsv-p2p-agent-{}", std::process::id()));
    let out = out.to_str().unwrap();
    let node = ["--peer", &address];
    for (name, arguments) in [
        ("ping", vec![&address[..]]),
        ("headers", vec![&address]),
        ("block", [&[&genesis[..], "--out", out], &node[..]].concat()),
        ("broadcast", [&[&transaction[..]], &node[..]].concat()),
        ("crawl", node.to_vec()),
        ("follow", node.to_vec()),
        ("monitor", node.to_vec()),
    ] {
        let common = ["--network", "regtest", "--user-agent", agent];
        let tool = Tool::start(name, &[&arguments[..], &common].concat());
        let shaken = event(&listen, "HandshakeComplete");
        assert_eq!(text(&shaken, "user_agent"), agent, "{name}");
        drop(tool);
    }
    let _ = std::fs::remove_file(out);
}

/// Teranode dials, sends `version` and `verack` at once, and rejects the answer.
#[test]
fn reject_of_dialing_node_is_shown() {
    let (listen, address) = listen(&[]);
    let mut node = RawPeer::dial(address.parse().unwrap());
    node.send(version());
    node.send(Message::Verack);
    event(&listen, "HandshakeComplete");
    let text_of_reject = "Only Bitcoin SV clients are supported";
    node.send(Reject::new(
        "version",
        RejectCode::NONSTANDARD,
        text_of_reject,
    ));
    // Without a read: the system sends a reset.
    node.close();
    let lost = event(&listen, "ConnectionLost");
    assert!(text(&lost, "reason").contains(text_of_reject), "{lost}");
}

#[test]
fn listen_ends_after_given_time() {
    // The second is a former name of the option.
    for option in ["--timeout", "--seconds"] {
        run("listen", &["127.0.0.1:0", option, "0.2"]).assert_success();
    }
}

/// One line, and neither an event nor a log record.
#[test]
fn listen_fails_if_address_cannot_be_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let system = TcpListener::bind(&address).unwrap_err();
    for arguments in [&[&address[..]][..], &[&address, "--json"]] {
        let ended = run("listen", arguments);
        ended.assert_failure(1, &format!("cannot listen on {address}: {system}"));
        assert!(ended.lines.is_empty(), "{ended:#?}");
    }
}

#[test]
fn listen_disconnects_greedy_peer_and_serves_others() {
    let (listen, address) = listen(&[]);
    let mut greedy = connect(&address, Network::Regtest);
    event(&listen, "HandshakeComplete");
    let genesis = Inventory::Block(Block::genesis(&Network::Regtest).hash());
    // 25,000 blocks of 285 bytes with each question: more than sockets and queues hold.
    let question = Message::from(GetData::from(vec![genesis; 25_000]));
    for _ in 0..6 {
        if greedy.send(&question).is_err() {
            break; // it is sent away already
        }
    }
    let mut good = connect(&address, Network::Regtest);
    let time = good.ping(DEADLINE).unwrap();
    assert!(time < Duration::from_secs(10), "{time:?}");
    let genesis = Block::genesis(&Network::Regtest);
    assert_eq!(good.block(genesis.hash(), DEADLINE).unwrap(), genesis);
    event(&listen, "ConnectionLost");
    listen.interrupt();
    listen.finish().assert_success();
}

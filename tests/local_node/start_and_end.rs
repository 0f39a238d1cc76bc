//! Start and shutdown of local nodes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use bsv_p2p::local_node::{Chain, InsertOutcome, LocalNode};
use bsv_p2p::{ConnectionConfig, Error, Network};
use test_support::private_network::private_params;

use crate::support::{DEADLINE, client};
use test_support::with_sources::with_sources;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn network_with_other_difficulty_is_refused() {
    let mut retargeting = private_params("lab", 1);
    retargeting.retargeting = true;
    let retargeting = Network::custom(retargeting).unwrap();
    for network in [
        Network::Mainnet,
        Network::Testnet,
        Network::Tstn,
        retargeting,
    ] {
        let mut config = LocalNode::default_config();
        config.network = network.clone();
        let error = LocalNode::start_at(ANY, config).unwrap_err();
        assert!(
            matches!(&error, Error::Config(error) if error.field == "network"),
            "{error:?}"
        );
        let text = with_sources(&error).to_lowercase();
        assert!(
            text.contains(network.name()) && text.contains("regtest"),
            "{text}"
        );
    }
}

#[test]
fn configuration_of_another_network_is_refused() {
    let network = Network::custom(private_params("lab", 1)).unwrap();
    let config = ConnectionConfig {
        network: network.clone(),
        ..LocalNode::default_config()
    };
    let error = LocalNode::start_with(Chain::new(), ANY, config).unwrap_err();
    assert!(
        matches!(&error, Error::Config(error) if error.field == "network"),
        "{error:?}"
    );
    let chain = Chain::for_network(network, 1_000_000).unwrap();
    let config = LocalNode::default_config();
    assert!(LocalNode::start_with(chain, ANY, config).is_err());
}

#[test]
fn invalid_configuration_field_is_named() {
    let mut config = LocalNode::default_config();
    config.max_send_queue_messages = 0;
    let error = LocalNode::start_at(ANY, config).unwrap_err();
    let text = with_sources(&error);
    assert!(text.contains("max_send_queue_messages"), "{text}");
}

#[test]
fn occupied_address_is_named() {
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();
    let error = LocalNode::start_at(address, LocalNode::default_config()).unwrap_err();
    let text = with_sources(&error);
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(
        text.contains(&address.to_string()) && text.contains("in use"),
        "{text}"
    );
}

/// This includes the unspecified address.
#[test]
fn node_listens_at_the_given_address() {
    for ip in ["0.0.0.0", "127.0.0.2"] {
        let address = SocketAddr::new(ip.parse().unwrap(), 0);
        let node = LocalNode::start_at(address, LocalNode::default_config()).unwrap();
        assert_eq!(node.address().ip(), address.ip());
        assert_ne!(node.address().port(), 0);
        // Shutdown without any connection.
        node.shutdown();
    }
}

#[test]
fn self_connection_does_not_stop_node() {
    let node = LocalNode::start().unwrap();
    node.connect(node.address()).unwrap();
    node.mine(1).unwrap();
    client(&node).ping(DEADLINE).unwrap();
}

#[test]
fn address_is_free_after_shutdown() {
    let node = LocalNode::start().unwrap();
    let address = node.address();
    let peer = client(&node);
    assert!(node.wait_for_peers(1, DEADLINE));
    node.shutdown();
    drop(peer);
    drop(LocalNode::start_at(address, LocalNode::default_config()).unwrap());
}

#[test]
fn node_serves_the_chain_it_starts_with() {
    let now = 1_700_000_000;
    let mut chain = Chain::new();
    for extra_nonce in 0..5 {
        let block = chain.template(now, extra_nonce).mine();
        chain.accept(&block, now).unwrap();
    }
    let block = chain.block(&chain.tip().1).unwrap().clone();
    let node = LocalNode::start_with(chain, ANY, LocalNode::default_config()).unwrap();
    let mut peer = client(&node);
    assert_eq!(peer.peer_info().start_height, 5);
    assert_eq!(peer.block(block.hash(), DEADLINE).unwrap(), block);

    // A transaction that is mined already does not enter the pool.
    let mined = block.transactions().next().unwrap().into();
    assert_eq!(node.submit(&mined), Ok(InsertOutcome::Known));
    assert_eq!(node.mine(1).unwrap(), [node.tip()]);
    assert_eq!(node.height(), 6);
}

/// Counts threads and descriptors in a process of its own.
#[cfg(target_os = "linux")]
mod leaves_nothing_behind {
    use std::io::Write;
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use bsv_p2p::local_node::LocalNode;
    use bsv_p2p::wire::{GetData, Inventory, Message};
    use bsv_p2p::{Connection, Network};

    use super::{ANY, DEADLINE, client};
    use crate::support::config;
    use test_support::own_process::{run_in_own_process, threads_and_descriptors};
    use test_support::payment::payment;

    /// The maximum shutdown time of a node on a busy machine. It usually takes milliseconds.
    const PROMPT: Duration = Duration::from_secs(5);

    #[test]
    fn with_many_peers_in_all_states() {
        run_in_own_process(
            "start_and_end::leaves_nothing_behind::with_many_peers_in_all_states",
            count,
        );
    }

    fn count() {
        // Resources that are allocated once and stay, for example the source of randomness.
        end_with_peers_in_all_states(LocalNode::shutdown);
        let before = threads_and_descriptors();
        for _ in 0..3 {
            end_with_peers_in_all_states(LocalNode::shutdown);
            end_with_peers_in_all_states(drop);
            // A node without connections.
            drop(LocalNode::start().unwrap());
        }
        // A joined thread is listed for a short time.
        let end = Instant::now() + DEADLINE;
        while threads_and_descriptors() != before {
            let now = threads_and_descriptors();
            assert!(
                Instant::now() < end,
                "threads, descriptors: {before:?} before, {now:?} after"
            );
            std::thread::yield_now();
        }
    }

    fn end_with_peers_in_all_states(end: impl FnOnce(LocalNode)) {
        let node = LocalNode::start().unwrap();
        let (other, third) = (LocalNode::start().unwrap(), LocalNode::start().unwrap());
        for number in 0..30 {
            let mut big = payment(number);
            big.outputs[0].script = vec![0x6a; 10_000];
            node.submit(&big).unwrap();
        }
        let block = node.mine(1).unwrap()[0];

        // Nodes in both directions, one of them during its download.
        other.mine(300).unwrap();
        node.connect(other.address()).unwrap();
        third.connect(node.address()).unwrap();
        // A dial that is refused, and one that is not answered.
        node.connect("127.0.0.1:1".parse().unwrap()).unwrap();
        let deaf = std::net::TcpListener::bind(ANY).unwrap();
        node.connect(deaf.local_addr().unwrap()).unwrap();
        let itself = node.address();
        node.connect(itself).unwrap();
        let ready: Vec<_> = (0..20).map(|_| client(&node)).collect();
        // Clients that do not read the requested blocks.
        let mut stuck: Vec<_> = (0..3).map(|_| client(&node)).collect();
        for stuck in &mut stuck {
            let question = GetData::from(vec![Inventory::Block(block); 100]);
            stuck.send(question).unwrap();
        }
        // Clients that send nothing, half a header, and a header without its payload.
        let mut silent = Vec::new();
        for said in [0, 10, 24] {
            let mut header = Network::Regtest.magic().0.to_vec();
            header.extend_from_slice(b"version\0\0\0\0\0\x66\0\0\0\0\0\0\0");
            for _ in 0..5 {
                let mut stream = TcpStream::connect(node.address()).unwrap();
                stream.write_all(&header[..said]).unwrap();
                silent.push(stream);
            }
        }
        // Clients that have disconnected already.
        for _ in 0..5 {
            drop(TcpStream::connect(node.address()).unwrap());
            drop(Connection::connect(itself.to_string(), &config()).unwrap());
        }
        // The dials are not awaited: any of their states is tested.
        assert!(node.wait_for_peers(25, DEADLINE), "{node:?}");
        let mut last = client(&node);
        last.send(&Message::GetAddr).unwrap();

        let began = Instant::now();
        end(node);
        let took = began.elapsed();
        assert!(took < PROMPT, "the end took {took:?}");
        // The peers notice the shutdown.
        while last.receive().is_ok() {}
        assert!(
            TcpStream::connect(itself).is_err(),
            "nobody listens any more"
        );
        drop((ready, stuck, silent));
    }
}

//! Local nodes connected to each other.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::NonceRegistry;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, HeaderChain, Headers, Inv, Inventory, Message, Services, Tx,
};
use bsv_p2p::{Connection, ConnectionConfig, Error, Network};
use test_support::payment::payment;
use test_support::private_network::private_params;

use crate::support::{
    DEADLINE, all_that_is_said, announced_block, client, client_with, config, expect,
};

fn nodes<const N: usize>() -> [LocalNode; N] {
    [(); N].map(|()| LocalNode::start().unwrap())
}

/// Connects each node to the one before it.
fn connect_in_a_row(nodes: &[LocalNode]) {
    for pair in nodes.windows(2) {
        pair[1].connect(pair[0].address()).unwrap();
    }
    for (at, node) in nodes.iter().enumerate() {
        let ends = at == 0 || at == nodes.len() - 1;
        assert!(node.wait_for_peers(if ends { 1 } else { 2 }, DEADLINE));
    }
}

#[track_caller]
fn assert_all_reach(nodes: &[LocalNode], tip: BlockHash) {
    for (at, node) in nodes.iter().enumerate() {
        assert!(
            node.wait_for_tip(tip, DEADLINE),
            "node {at} stands at height {}, not at {tip}",
            node.height()
        );
    }
}

#[test]
fn mined_block_reaches_all_nodes_in_row() {
    let nodes: [_; 3] = nodes();
    connect_in_a_row(&nodes);
    for (height, miner) in [0, 2, 1, 1, 0, 2].into_iter().enumerate() {
        let mined = nodes[miner].mine(1).unwrap();
        assert_all_reach(&nodes, mined[0]);
        assert!(nodes.iter().all(|node| node.height() == height as u32 + 1));
    }
    let mined = nodes[0].mine(30).unwrap();
    assert_all_reach(&nodes, mined[29]);
    for node in &nodes {
        assert_eq!(node.block_hash(7), Some(mined[0]));
        assert_eq!(node.block(mined[11]), nodes[0].block(mined[11]));
    }
}

/// Any of the nodes can mine it.
#[test]
fn submitted_transaction_reaches_all_nodes_in_row() {
    let nodes: [_; 3] = nodes();
    connect_in_a_row(&nodes);
    for (number, at) in [(1, 0), (2, 2), (3, 1)] {
        let txid = payment(number).txid();
        nodes[at].submit(&payment(number)).unwrap();
        for node in &nodes {
            assert!(node.wait_for_transaction(txid, DEADLINE));
        }
    }
    let tip = nodes[2].mine(1).unwrap()[0];
    assert_all_reach(&nodes, tip);
    let block = nodes[0].block(tip).unwrap();
    assert_eq!(block.transaction_count(), 4);
    for number in 1..=3 {
        let txid = payment(number).txid();
        assert!(block.transactions().any(|tx| tx.txid() == txid));
        assert!(
            nodes
                .iter()
                .all(|node| node.pooled_transaction(txid).is_none())
        );
    }
}

#[test]
fn headers_announcements_need_sendheaders_and_headers() {
    let node = LocalNode::start().unwrap();
    let mut without = config();
    without.session.send_headers = false;
    let mut by_headers = client(&node);
    let mut by_inv = [client(&node), client_with(&node, &without)];
    for client in [&mut by_headers, &mut by_inv[1]] {
        let genesis = node.tip();
        let headers = client.headers(&[genesis], BlockHash::ZERO, DEADLINE);
        assert_eq!(headers.unwrap(), []);
    }
    // A response shows that all earlier messages were received.
    assert_eq!(all_that_is_said(&mut by_headers), []);
    for client in &mut by_inv {
        assert_eq!(all_that_is_said(client), []);
    }
    let mined = node.mine(1).unwrap()[0];
    let headers = vec![node.block(mined).unwrap().header()];
    assert_eq!(
        all_that_is_said(&mut by_headers),
        [Headers { headers }.into()]
    );
    let inventory = vec![Inventory::Block(mined)];
    for client in &mut by_inv {
        let inv = Inv::from(inventory.clone());
        assert_eq!(all_that_is_said(client), [inv.into()]);
    }
}

#[test]
fn transactions_are_announced_to_relaying_peers_only() {
    let node = LocalNode::start().unwrap();
    let mut without = config();
    without.session.relay = false;
    let mut without = client_with(&node, &without);
    let mut with = client(&node);
    assert!(node.wait_for_peers(2, DEADLINE));
    node.submit(&payment(1)).unwrap();
    let inventory = vec![Inventory::Tx(payment(1).txid())];
    assert_eq!(all_that_is_said(&mut with), [Inv::from(inventory).into()]);
    assert_eq!(all_that_is_said(&mut without), []);
}

#[test]
fn longer_partition_wins_after_merge() {
    let [short, bridge, long] = nodes();
    let far = LocalNode::start().unwrap();
    for (from, to) in [(&short, &bridge), (&long, &bridge), (&far, &long)] {
        from.connect(to.address()).unwrap();
    }
    let all = [short, long, far];
    let common = bridge.mine(3).unwrap();
    assert_all_reach(&all, common[2]);
    bridge.shutdown();
    let [short, long, far] = all;

    let tx = payment(1);
    short.submit(&tx).unwrap();
    let lost = short.mine(12).unwrap();
    assert_eq!(short.pooled_transaction(tx.txid()), None, "mined");
    let won = far.mine(13).unwrap();
    assert!(long.wait_for_tip(won[12], DEADLINE));
    assert_eq!(short.tip(), lost[11]);

    let mut watcher = client(&short);
    // The node announces blocks only to peers whose handshake it has completed.
    assert_eq!(all_that_is_said(&mut watcher), []);
    short.connect(long.address()).unwrap();
    let all = [short, long, far];
    assert_all_reach(&all, won[12]);
    let [short, long, far] = all;
    assert_eq!((short.height(), short.block_hash(3)), (16, Some(common[2])));
    assert!(short.block(lost[11]).is_some(), "kept beside the chain");
    assert_eq!(
        short.pooled_transaction(tx.txid()),
        Some(Tx::from(&tx)),
        "waits again"
    );
    // Peers of the node that reorganized receive the new tip.
    expect(&mut watcher, |message| match message {
        Message::Headers(headers) => {
            (headers.headers.last().map(BlockHeader::hash) == Some(won[12])).then_some(())
        }
        message => (announced_block(&message) == Some(Inventory::Block(won[12]))).then_some(()),
    });
    let next = short.mine(1).unwrap()[0];
    assert_all_reach(&[short, long, far], next);
}

#[test]
fn partitions_of_equal_length_stay_until_one_grows() {
    let [one, other] = nodes();
    let (mine, theirs) = (one.mine(2).unwrap(), other.mine(2).unwrap());
    one.connect(other.address()).unwrap();
    // Each node stores the blocks of the other on a side chain.
    for (node, hash) in [(&one, theirs[1]), (&other, mine[1])] {
        let mut client = client(node);
        let end = Instant::now() + DEADLINE;
        while node.block(hash).is_none() {
            assert!(Instant::now() < end, "{hash} did not come");
            client.ping(DEADLINE).unwrap();
        }
    }
    assert_eq!((one.tip(), other.tip()), (mine[1], theirs[1]));
    let next = other.mine(1).unwrap()[0];
    assert_all_reach(&[one, other], next);
}

#[test]
fn short_old_branch_keeps_connections() {
    let [long, short] = nodes();
    short.mine(1).unwrap();
    let tip = long.mine(300).unwrap()[299];
    short.connect(long.address()).unwrap();
    assert!(short.wait_for_tip(tip, DEADLINE));
    let nodes = [long, short];
    let next = nodes[0].mine(1).unwrap()[0];
    assert_all_reach(&nodes, next);
    let next = nodes[1].mine(1).unwrap()[0];
    assert_all_reach(&nodes, next);
}

#[test]
fn new_node_downloads_and_serves_2500_blocks() {
    let [old, new, newest] = nodes();
    let mined = old.mine(2_500).unwrap();
    new.connect(old.address()).unwrap();
    // Before the node has any block.
    newest.connect(new.address()).unwrap();
    let nodes = [old, new, newest];
    assert_all_reach(&nodes, mined[2_499]);
    assert!(nodes.iter().all(|node| node.height() == 2_500));
    assert_eq!(nodes[2].block(mined[1_000]), nodes[0].block(mined[1_000]));
    let next = nodes[2].mine(1).unwrap()[0];
    assert_all_reach(&nodes, next);
}

#[test]
fn blocks_of_lost_peer_are_requested_from_another() {
    let [good, new] = nodes();
    let mined = good.mine(3).unwrap();
    // Announces the blocks of the good node, and ignores requests for them.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    new.connect(listener.local_addr().unwrap()).unwrap();
    let mut serves = config();
    serves.session.services = Services::NETWORK;
    let (stream, _) = listener.accept().unwrap();
    let mut silent = Connection::accept(stream, &serves, &NonceRegistry::default()).unwrap();
    let headers = mined.iter().map(|hash| good.block(*hash).unwrap().header());
    let headers: Vec<_> = headers.collect();
    silent.send(Headers { headers }).unwrap();
    expect(&mut silent, |message| {
        matches!(message, Message::GetData(_)).then_some(())
    });

    // The good node is asked for headers now, but not for the blocks of the silent peer.
    new.connect(good.address()).unwrap();
    assert!(new.wait_for_peers(2, DEADLINE));
    let mut client = client(&new);
    assert_eq!(all_that_is_said(&mut client), []);
    assert_eq!(new.height(), 0);
    drop(silent);
    assert!(new.wait_for_tip(mined[2], DEADLINE));
}

#[test]
fn node_follows_a_heavier_branch_1000_deep() {
    let nodes: [_; 2] = nodes();
    nodes[0].mine(1_000).unwrap();
    let mined = nodes[1].mine(1_001).unwrap();
    connect_in_a_row(&nodes);
    assert_all_reach(&nodes, mined[1_000]);
    assert_eq!(nodes[0].block_hash(1), Some(mined[0]));
}

#[test]
fn private_network_is_mined_served_and_synced() {
    let network = Network::custom(private_params("lab", 1)).unwrap();
    let nodes = [(); 2].map(|()| {
        let config = ConnectionConfig {
            network: network.clone(),
            ..LocalNode::default_config()
        };
        LocalNode::start_at((Ipv4Addr::LOCALHOST, 0).into(), config).unwrap()
    });
    let genesis = network.genesis_header().hash();
    assert_eq!(nodes[0].block_hash(0), Some(genesis));
    nodes[0].mine(20).unwrap();
    nodes[1].connect(nodes[0].address()).unwrap();
    assert_all_reach(&nodes, nodes[0].tip());

    let config = ConnectionConfig::new(network.clone());
    let mut client = client_with(&nodes[1], &config);
    let headers = client
        .headers(&[genesis], BlockHash::ZERO, DEADLINE)
        .unwrap();
    let mut chain = HeaderChain::new(network);
    chain.extend(&headers, u32::MAX).unwrap();
    assert_eq!(chain.tip(), (20, nodes[0].tip()));
    let block = client.block(nodes[0].tip(), DEADLINE).unwrap();
    assert_eq!(Some(block), nodes[0].block(nodes[0].tip()));

    // The magic distinguishes the network from regtest.
    let config = ConnectionConfig::new(Network::Regtest);
    let error = Connection::connect(nodes[0].address().to_string(), &config).unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
}

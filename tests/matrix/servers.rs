//! The table of each server.

use std::time::Duration;

use bsv_p2p::Network;
use bsv_p2p::local_node::{Chain, LocalNode, LocalNodeConfig};
use bsv_p2p::session::PeerProfile;
use bsv_p2p::wire::{
    Addr, BlockHeader, Headers, MerkleRoot, NetworkAddress, Services, TimestampedAddress, Tx,
};
use test_support::matrix::Outcome::{Empty, Headers as Found, NoAnswer, NotFound, Refused, Value};
use test_support::matrix::{Cell, MatrixServer, Request, run};
use test_support::payment::payment;
use test_support::raw_peer::{RawPeer, version};
use test_support::teranode::{JoinOrder, Teranode, TeranodeConfig};

use crate::scripted_server::{Content, MAX_HEADERS, Script, ScriptedServer};

/// Number of blocks above genesis.
const BLOCKS: usize = 20;
const AFTER_MIDDLE: usize = 10;

/// Time bound of an answer, which takes some milliseconds on a quiet machine.
const ANSWERED: Duration = Duration::from_secs(2);
/// Time bound of a refusal, for which nothing is sent or awaited.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Time bound of a request that times out after 300 ms.
const TIMED_OUT: Duration = Duration::from_secs(2);

/// Starts a local node with a chain, a transaction and an address, and checks its table.
fn local_node_matrix(name: &'static str, config: LocalNodeConfig, table: &[Cell]) {
    let takes_headers = config.profile != PeerProfile::Teranode;
    let node = LocalNode::start_at(([127, 0, 0, 1], 0).into(), config).unwrap();
    let hashes = node.mine(BLOCKS).unwrap();
    let mined = hashes
        .iter()
        .map(|hash| node.block(*hash).unwrap().header());
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let headers: Vec<_> = std::iter::once(genesis).chain(mined).collect();
    let transaction = payment(1);
    node.submit(&transaction).unwrap();
    let pruned = mined_on(headers.last().unwrap());
    let mut peer = RawPeer::dial(node.address());
    peer.shake_hands_as(version());
    if takes_headers {
        // A header whose block does not follow.
        let headers = vec![pruned];
        peer.send(Headers { headers });
    }
    let address = NetworkAddress::new(Services::NETWORK, ([203, 0, 113, 1], 8333).into());
    let addresses = vec![TimestampedAddress {
        time: 1_700_000_000,
        address,
    }];
    peer.send(Addr { addresses });
    peer.ping(1);
    let server = MatrixServer {
        name,
        address: node.address(),
        headers,
        pruned: pruned.hash(),
        transaction: Tx::from(&transaction),
    };
    run(&server, table);
}

const LOCAL_NODE: [Cell; 13] = [
    (Request::HeadersFromGenesis, Found(BLOCKS), ANSWERED),
    (Request::HeadersFromMiddle, Found(AFTER_MIDDLE), ANSWERED),
    (Request::HeadersAtTip, Empty, ANSWERED),
    (Request::HeadersFromUnknown, Found(BLOCKS), ANSWERED),
    (Request::BlockPresent, Value, ANSWERED),
    (Request::BlockAbsent, NotFound, ANSWERED),
    (Request::BlockPruned, NotFound, ANSWERED),
    (Request::TransactionPresent, Value, ANSWERED),
    (Request::TransactionAbsent, NotFound, ANSWERED),
    (Request::Addresses, Value, ANSWERED),
    (Request::Ping, Value, ANSWERED),
    (Request::BloomFilter, Refused, AT_ONCE),
    (Request::EnrichedHeaders, Value, ANSWERED),
];

const TERANODE: [Cell; 13] = [
    (Request::HeadersFromGenesis, Found(BLOCKS), ANSWERED),
    (Request::HeadersFromMiddle, Found(AFTER_MIDDLE), ANSWERED),
    (Request::HeadersAtTip, Empty, ANSWERED),
    (Request::HeadersFromUnknown, Empty, ANSWERED),
    (Request::BlockPresent, Value, ANSWERED),
    (Request::BlockAbsent, NotFound, ANSWERED),
    (Request::BlockPruned, NotFound, ANSWERED),
    (Request::TransactionPresent, Value, ANSWERED),
    (Request::TransactionAbsent, NotFound, ANSWERED),
    (Request::Addresses, Value, ANSWERED),
    (Request::Ping, Value, ANSWERED),
    (Request::BloomFilter, Refused, AT_ONCE),
    (Request::EnrichedHeaders, Refused, AT_ONCE),
];

#[test]
fn default_local_node_matrix() {
    local_node_matrix("LocalNode", LocalNodeConfig::default(), &LOCAL_NODE);
}

#[test]
fn local_node_with_filters_matrix() {
    let mut table = LOCAL_NODE;
    table[11] = (Request::BloomFilter, Value, ANSWERED);
    let config = LocalNodeConfig::default().with_filters();
    local_node_matrix("LocalNode with filters", config, &table);
}

#[test]
fn local_node_as_teranode_matrix() {
    let config = LocalNodeConfig::teranode();
    local_node_matrix("LocalNode as Teranode", config, &TERANODE);
}

fn teranode_matrix(name: &'static str, config: TeranodeConfig) {
    let known = (1..=20).map(|host| ([203, 0, 113, host], 8333).into());
    let teranode = Teranode::start(TeranodeConfig {
        known_addresses: known.collect(),
        // The connections of the matrix may overlap.
        max_per_address: 125,
        ..config.with_blocks(BLOCKS as u32)
    });
    let pruned = teranode.hash_at(3);
    teranode.prune(pruned);
    let transaction = Tx::from(&payment(1));
    teranode.add_transaction(&transaction);
    let server = MatrixServer {
        name,
        address: teranode.address(),
        headers: teranode.headers(),
        pruned,
        transaction,
    };
    run(&server, &TERANODE);
    teranode.assert_no_punishment();
}

#[test]
fn oldest_teranode_matrix() {
    teranode_matrix("Teranode V1", TeranodeConfig::v1());
}

#[test]
fn teranode_without_streams_matrix() {
    teranode_matrix("Teranode V2", TeranodeConfig::v2());
}

#[test]
fn teranode_with_streams_matrix() {
    let config = TeranodeConfig::v3(JoinOrder::VerackFirst);
    teranode_matrix("Teranode V3", config);
}

/// Returns a chain without blocks in the middle, and a server of it.
fn scripted(script: Script) -> (ScriptedServer, MatrixServer) {
    const TIME: u32 = 1_700_000_000;
    let mut chain = Chain::new();
    let mut blocks = vec![bsv_p2p::wire::Block::genesis(&Network::Regtest)];
    for _ in 0..BLOCKS {
        let block = chain.template(TIME, 7).mine();
        chain.accept(&block, TIME).unwrap();
        blocks.push(block);
    }
    let headers: Vec<_> = blocks.iter().map(|block| block.header()).collect();
    let pruned = headers[3].hash();
    let transaction = Tx::from(&payment(1));
    let content = Content {
        blocks,
        pruned,
        transaction: transaction.clone(),
    };
    let server = ScriptedServer::start(script, content);
    let matrix = MatrixServer {
        name: "scripted server",
        address: server.address,
        headers,
        pruned,
        transaction,
    };
    (server, matrix)
}

#[test]
fn silent_server_matrix() {
    let (_scripted, server) = scripted(Script::PongsOnly);
    run(
        &server,
        &[
            (Request::HeadersFromGenesis, NoAnswer, TIMED_OUT),
            (Request::HeadersFromMiddle, NoAnswer, TIMED_OUT),
            (Request::HeadersAtTip, NoAnswer, TIMED_OUT),
            (Request::HeadersFromUnknown, NoAnswer, TIMED_OUT),
            (Request::BlockPresent, NoAnswer, TIMED_OUT),
            (Request::BlockAbsent, NoAnswer, TIMED_OUT),
            (Request::BlockPruned, NoAnswer, TIMED_OUT),
            (Request::TransactionPresent, NoAnswer, TIMED_OUT),
            (Request::TransactionAbsent, NoAnswer, TIMED_OUT),
            (Request::Addresses, NoAnswer, TIMED_OUT),
            (Request::Ping, Value, ANSWERED),
            (Request::BloomFilter, Refused, AT_ONCE),
            (Request::EnrichedHeaders, NoAnswer, TIMED_OUT),
        ],
    );
}

const SPLITTING: [Cell; 13] = [
    (Request::HeadersFromGenesis, Found(MAX_HEADERS), ANSWERED),
    (Request::HeadersFromMiddle, Found(MAX_HEADERS), ANSWERED),
    (Request::HeadersAtTip, Empty, ANSWERED),
    (Request::HeadersFromUnknown, Found(MAX_HEADERS), ANSWERED),
    (Request::BlockPresent, Value, ANSWERED),
    (Request::BlockAbsent, NotFound, ANSWERED),
    (Request::BlockPruned, NotFound, ANSWERED),
    (Request::TransactionPresent, Value, ANSWERED),
    (Request::TransactionAbsent, NotFound, ANSWERED),
    (Request::Addresses, Value, ANSWERED),
    (Request::Ping, Value, ANSWERED),
    (Request::BloomFilter, Refused, AT_ONCE),
    (Request::EnrichedHeaders, NoAnswer, TIMED_OUT),
];

#[test]
fn splitting_server_matrix() {
    let (_scripted, server) = scripted(Script::Splits);
    run(&server, &SPLITTING);
}

#[test]
#[should_panic(expected = "HeadersFromGenesis by Actor: expected Empty")]
fn wrong_outcome_fails() {
    let (_scripted, server) = scripted(Script::Splits);
    let mut table = SPLITTING;
    table[0].1 = Empty;
    run(&server, &table);
}

#[test]
#[should_panic(expected = "Addresses by Blocking: expected Value within 0ns")]
fn missed_time_bound_fails() {
    let (_scripted, server) = scripted(Script::Splits);
    let mut table = SPLITTING;
    table[9].2 = Duration::ZERO;
    run(&server, &table);
}

fn mined_on(parent: &BlockHeader) -> BlockHeader {
    let mut header = BlockHeader {
        version: 0x2000_0000,
        previous: parent.hash(),
        merkle_root: MerkleRoot::ZERO,
        time: parent.time + 60,
        bits: parent.bits,
        nonce: 0,
    };
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}

//! Complete programs for common tasks, as short as a new user expects.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use bsv_p2p::connection::{BlockVisitor, SubscriptionOptions};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, Command, GetData, Headers, Inventory, Message, Services,
    TransactionView, Tx, Txid,
};
use bsv_p2p::{Connection, Manager, ManagerConfig, Network};

use crate::{TIMEOUT, TestResult, config, node_and_peer, payment};

fn manager_of(node: &LocalNode) -> Result<Manager, bsv_p2p::Error> {
    let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
    manager.start_fixed([node.address()])?;
    manager.wait_for_peers(1, TIMEOUT)?;
    assert!(node.wait_for_peers(1, TIMEOUT));
    Ok(manager)
}

#[test]
fn peer_is_described_and_pinged() -> TestResult {
    let (_node, mut peer) = node_and_peer(3)?;
    let info = peer.peer_info();
    let text = format!(
        "{} {} {}",
        info.user_agent, info.services, info.start_height
    );
    assert!(text.contains("Bitcoin SV") && text.ends_with('3'), "{text}");
    assert!(peer.ping(TIMEOUT)? < TIMEOUT);
    peer.close();
    Ok(())
}

#[test]
fn announced_transactions_are_fetched_by_connection() -> TestResult {
    let (node, mut peer) = node_and_peer(0)?;
    node.submit(&payment())?;
    loop {
        match peer.receive_timeout(TIMEOUT)?.ok_or("no message")? {
            Message::Inv(inv) => peer.send(GetData::new(inv.inventory))?,
            Message::Tx(tx) => {
                assert_eq!(tx.txid(), payment().txid());
                return Ok(());
            }
            _ => {}
        }
    }
}

#[test]
fn announced_transactions_are_fetched_once_by_manager() -> TestResult {
    let node = LocalNode::start()?;
    let manager = manager_of(&node)?;
    let invs = SubscriptionOptions::default().with_commands([Command::new("inv")]);
    let invs = manager.subscribe_messages_with(invs);
    node.submit(&payment())?;
    let mut seen = HashSet::new();
    loop {
        let event = invs.recv_timeout(TIMEOUT)?;
        let Message::Inv(inv) = &*event.message else {
            continue;
        };
        let txids = inv.iter().filter_map(|entry| match entry {
            Inventory::Tx(txid) if seen.insert(*txid) => Some(*txid),
            _ => None,
        });
        let txids: Vec<_> = txids.collect();
        let found = manager.transactions(event.peer_id, &txids, TIMEOUT)?;
        if let Some(tx) = found.into_iter().flatten().next() {
            assert_eq!(tx, Tx::from(&payment()));
            return Ok(());
        }
    }
}

/// Writes a block to a file and collects the ids of its transactions, in one pass.
struct BlockFile {
    file: File,
    written: io::Result<()>,
    txids: Vec<Txid>,
}

impl BlockVisitor for BlockFile {
    fn bytes(&mut self, bytes: &[u8]) {
        if self.written.is_ok() {
            self.written = self.file.write_all(bytes);
        }
    }

    fn transaction(&mut self, _: u64, txid: Txid, _: TransactionView<'_>) {
        self.txids.push(txid);
    }

    fn end(&mut self, _: u64, txid: Txid, _: u64) {
        self.txids.push(txid);
    }
}

#[test]
fn block_is_written_with_its_txids() -> TestResult {
    let (node, mut peer) = node_and_peer(0)?;
    // The second transaction is passed in pieces.
    let mut large = payment();
    large.outputs[0].script = vec![0x51; 2_000_000];
    node.submit(&payment())?;
    node.submit(&large)?;
    let hash = node.mine_block()?;

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("block");
    let mut output = BlockFile {
        file: File::create(&path)?,
        written: Ok(()),
        txids: Vec::new(),
    };
    peer.block_reader(hash, TIMEOUT)?.visit(&mut output)?;
    output.written?;

    let block = Block::try_from(std::fs::read(&path)?)?;
    assert_eq!(block.hash(), hash);
    assert_eq!(output.txids.len(), 3);
    assert!(block.txids().eq(output.txids));
    Ok(())
}

#[test]
fn watcher_reports_a_restarted_node() -> TestResult {
    let node = LocalNode::start()?;
    let address = node.address();
    let mut config = ManagerConfig::new(Network::Regtest);
    config.restarts.backoff = Duration::from_millis(50);
    let manager = Manager::new(config)?;
    let events = manager.subscribe_control();
    manager.start_fixed([address])?;
    manager.wait_for_peers(1, TIMEOUT)?;
    node.shutdown();
    let mut handshakes = 0;
    let mut restarted = None;
    while handshakes < 2 {
        match events.recv_timeout(TIMEOUT)? {
            ControlEvent::HandshakeComplete { .. } => handshakes += 1,
            ControlEvent::ConnectionRestarting { .. } if restarted.is_none() => {
                restarted = Some(LocalNode::start_at(address, LocalNode::default_config())?);
            }
            _ => {}
        }
    }
    let snapshot = manager.snapshot()?;
    assert_eq!(snapshot.metrics.handshakes, 2);
    assert!(snapshot.metrics.traffic.bytes_received > 0);
    assert!(serde_json::to_string(&snapshot)?.contains("bytes_received"));
    manager.shutdown()?;
    Ok(())
}

#[test]
fn broadcast_waits_for_a_confirmation() -> TestResult {
    let node = LocalNode::start()?;
    let manager = manager_of(&node)?;
    let tips = manager.subscribe_blocks()?;
    manager.sync_headers(TIMEOUT)?;

    let broadcast = manager.broadcast_transaction(&payment())?;
    let report = broadcast.wait_for(1, TIMEOUT);
    assert_eq!(report.requested_by[0].address, node.address());
    assert!(node.wait_for_transaction(broadcast.txid(), TIMEOUT));
    node.mine_block()?;

    loop {
        for hash in tips.recv_timeout(TIMEOUT)?.connected {
            let block = manager.fetch_block(hash, TIMEOUT)?;
            if block.txids().any(|txid| txid == broadcast.txid()) {
                broadcast.cancel();
                let confirmations = manager.with_chain(|chain| chain.confirmations(&hash));
                assert_eq!(confirmations, Some(Some(1)));
                return Ok(());
            }
        }
    }
}

#[test]
fn manager_serves_headers_to_inbound_peers() -> TestResult {
    let mut server = ManagerConfig::new(Network::Regtest);
    server.target_connections = 0;
    server.listener.enabled = true;
    server.listener.address = Some(([127, 0, 0, 1], 0).into());
    server.connection.session.services = Services::NETWORK;
    let manager = Manager::new(server)?;
    let events = manager.subscribe_control();
    let requests = manager.subscribe_messages();
    manager.start()?;
    let address = loop {
        if let ControlEvent::ListenerStarted { address } = events.recv_timeout(TIMEOUT)? {
            break address;
        }
    };

    let chain = LocalNode::start()?;
    let mined = chain.mine(3)?;
    let blocks = mined.iter().filter_map(|hash| chain.block(*hash));
    let headers: Vec<_> = blocks.map(|block| block.header()).collect();
    let genesis = BlockHeader::genesis(&Network::Regtest);
    std::thread::scope(|scope| -> TestResult {
        let client = scope.spawn(move || -> Result<Vec<BlockHeader>, bsv_p2p::Error> {
            let mut peer = Connection::connect(address, &config())?;
            peer.headers(&[genesis.hash()], BlockHash::ZERO, TIMEOUT)
        });
        loop {
            let event = requests.recv_timeout(TIMEOUT)?;
            if let Message::GetHeaders(request) = &*event.message {
                assert_eq!(request.locator, [genesis.hash()]);
                let answer = Headers::new(headers.clone());
                manager.send(event.peer_id, answer, TIMEOUT)?;
                break;
            }
        }
        assert_eq!(client.join().expect("no panic")?, headers);
        Ok(())
    })
}

//! Proofs that a block contains a transaction.

use bsv_p2p::Connection;
use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
use bsv_p2p::wire::{BloomFilter, BloomFlags, GetData, Inventory, MerkleProof, Message};

use crate::{TIMEOUT, TestResult, config, node_and_peer, payment};

#[test]
fn proof_from_downloaded_block_verifies() -> TestResult {
    let (node, mut peer) = node_and_peer(0)?;
    let txid = payment().txid();
    node.submit(&payment())?;
    let block = peer.block(node.mine_block()?, TIMEOUT)?;

    let txids: Vec<_> = block.txids().collect();
    let index = txids.iter().position(|id| *id == txid).ok_or("not mined")?;
    let proof = MerkleProof::for_block(&txids, u32::try_from(index)?, block.hash());
    let proof = proof.ok_or("no such index")?;
    proof.verify_in(txid, &block.header())?;
    assert!(proof.verify_in(txids[0], &block.header()).is_err());
    Ok(())
}

#[test]
fn merkle_block_of_a_filter_verifies() -> TestResult {
    let any_port = ([127, 0, 0, 1], 0).into();
    let node = LocalNode::start_at(any_port, LocalNodeConfig::default().with_filters())?;
    let txid = payment().txid();
    node.submit(&payment())?;
    let hash = node.mine_block()?;
    let mut peer = Connection::connect(node.address(), &config())?;

    let mut filter = BloomFilter::new(1, 0.000_1, 0, BloomFlags::NONE)?;
    filter.insert(txid.as_ref());
    peer.send(filter)?;
    peer.send(GetData::new(vec![Inventory::FilteredBlock(hash)]))?;
    loop {
        let message = peer.receive_timeout(TIMEOUT)?.ok_or("no answer")?;
        if let Message::MerkleBlock(block) = message {
            assert_eq!(block.header.hash(), hash);
            let matches = block.verify()?;
            assert!(matches.iter().any(|found| found.txid == txid));
            return Ok(());
        }
    }
}

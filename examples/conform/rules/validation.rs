//! Invalid transactions and blocks.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Block, Encode, Hash256, Message, OutPoint, RejectCode, Transaction, TransactionInput,
    TransactionOutput, Tx,
};

use super::{RULE, teranode};
use crate::finding::{Check, Finding};
use crate::messages::{describe, random, unknown_tx};
use crate::node::Node;
use crate::probe::Probe;
use crate::rule::{Bans, Needs, Rule};

const SOURCE: &str = "BIP 61; SV Node 1.2.2, src/validation.cpp";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "tx-truncated",
        text: "a transaction that ends inside a field is rejected as malformed, without a hash",
        source: SOURCE,
        expected: "reject tx 0x01, connection open",
        differences: &[teranode("Teranode closes the connection")],
        check: tx_truncated,
        ..RULE
    },
    Rule {
        id: "tx-without-inputs",
        text: "a transaction without inputs is rejected with its ID",
        source: SOURCE,
        needs: Needs::Blocks(1),
        expected: "reject tx 0x10 with the transaction ID",
        check: tx_without_inputs,
        ..RULE
    },
    Rule {
        id: "tx-orphan",
        text: "the unknown parents of a transaction are requested",
        source: SOURCE,
        needs: Needs::Blocks(1),
        expected: "getdata with the parent",
        differences: &[teranode("Teranode keeps the transaction for 10 minutes")],
        check: tx_orphan,
        ..RULE
    },
    Rule {
        id: "block-truncated",
        text: "a block that ends inside a field is rejected as malformed, without a hash",
        source: SOURCE,
        expected: "reject block 0x01, connection open",
        differences: &[teranode("Teranode closes the connection")],
        check: block_truncated,
        ..RULE
    },
    Rule {
        id: "block-without-work",
        text: "a block without proof of work is rejected with its hash, with a score",
        source: SOURCE,
        expected: "reject block 0x10 with the block hash, connection open",
        differences: &[teranode(
            "Teranode closes the connection for a block that it has not requested",
        )],
        check: block_without_work,
        ..RULE
    },
    Rule {
        id: "block-merkle-root",
        text: "a block with other transactions than its header commits to is rejected, and gets the address banned",
        source: SOURCE,
        expected: "reject block 0x10 with the block hash, close",
        bans: Bans::ByScore,
        differences: &[teranode(
            "Teranode closes the connection for a block that it has not requested",
        )],
        check: block_merkle_root,
        ..RULE
    },
];

fn tx_truncated(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let payload = spend(OutPoint::NULL).encode_to_vec();
    probe.send_payload("tx", &payload[..payload.len() - 5]);
    probe.rejects("tx", RejectCode::MALFORMED, "")
}

fn tx_without_inputs(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let mut transaction = spend(OutPoint::NULL);
    transaction.inputs.clear();
    let hash = Hash256(transaction.txid().0);
    probe.send(Tx::from(&transaction));
    is_rejected(&mut probe, "tx", hash)
}

fn tx_orphan(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let parent = unknown_tx();
    let orphan = spend(OutPoint {
        txid: parent,
        index: 0,
    });
    probe.send(Tx::from(&orphan));
    match probe.first_answer("getdata with the parent")? {
        Message::GetData(request)
            if (request.inventory.iter()).any(|entry| entry.hash().0 == parent.0) =>
        {
            Ok("getdata with the parent".into())
        }
        other => Finding::broken(describe(&other)),
    }
}

fn block_truncated(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let block = Block::genesis(&node.endpoint.network);
    probe.send_payload("block", &block.bytes()[..100]);
    probe.rejects("block", RejectCode::MALFORMED, "")
}

fn block_without_work(node: &Node) -> Check {
    let header = node.header_after(node.genesis(), false);
    let mut probe = node.handshake()?;
    probe.send(Block::new(&header, &[spend(OutPoint::NULL)]));
    let rejected = is_rejected(&mut probe, "block", Hash256(header.hash().0))?;
    probe.until_marker()?;
    Ok(format!("{rejected}, connection open"))
}

fn block_merkle_root(node: &Node) -> Check {
    if node.endpoint.network != Network::Regtest {
        return Finding::skipped("proof of work takes too long on this network");
    }
    let header = node.header_after(node.genesis(), true);
    let mut probe = node.handshake()?;
    probe.send(Block::new(&header, &[spend(OutPoint::NULL)]));
    let rejected = is_rejected(&mut probe, "block", Hash256(header.hash().0))?;
    let closed = probe.ends()?;
    Ok(format!("{rejected}, {closed}"))
}

/// Checks that the node rejects this object as invalid.
fn is_rejected(probe: &mut Probe, of: &str, hash: Hash256) -> Check {
    // Validation runs in another thread: a pong may overtake its result.
    let reject = probe.wait_for("a reject", |message| match message {
        Message::Reject(reject) => Some(reject.clone()),
        _ => None,
    })?;
    let is_expected = reject.message == of && reject.code == RejectCode::INVALID;
    let names_object = reject.hash == Some(hash);
    let received = describe(&reject.into());
    match is_expected && names_object {
        true => Ok(received),
        false => Finding::broken(received),
    }
}

/// Returns a transaction that spends this output.
fn spend(previous: OutPoint) -> Transaction {
    Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous,
            script: vec![],
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            // Different each time, because a node ignores a transaction that it rejected before.
            value: (random() % 1_000_000) as i64,
            // OP_DUP OP_HASH160, a hash, OP_EQUALVERIFY OP_CHECKSIG.
            script: [&[0x76, 0xa9, 0x14], &[0x55; 20][..], &[0x88, 0xac]].concat(),
        }],
        lock_time: 0,
    }
}

//! `getdata`, and the messages that answer it.

use bsv_p2p::wire::{
    Block, BlockHash, GetBlockTxn, GetData, Inventory, Message, NotFound, Services, Txid,
};

use super::{RULE, SILENT, teranode};
use crate::finding::{Check, Finding};
use crate::messages::{describe_all, now, unknown_block, unknown_tx};
use crate::node::{Node, getheaders};
use crate::probe::Probe;
use crate::rule::{Needs, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "getdata-block",
        text: "a block is returned whole, with the transactions that its header commits to",
        needs: Needs::Blocks(1),
        expected: "block at height 1",
        check: getdata_block,
        ..RULE
    },
    Rule {
        id: "getdata-block-order",
        text: "several blocks are returned in the order of the request",
        needs: Needs::Blocks(3),
        expected: "blocks at heights 3, 1 and 2",
        check: getdata_block_order,
        ..RULE
    },
    Rule {
        id: "getdata-block-unknown",
        text: "a request for an unknown block is not answered",
        expected: SILENT,
        differences: &[teranode("Teranode lists missing blocks in notfound")],
        check: getdata_block_unknown,
        ..RULE
    },
    Rule {
        id: "getdata-tx-unknown",
        text: "all missing transactions of a request are listed in one notfound, in order",
        expected: "notfound with 100 entries",
        check: getdata_tx_unknown,
        ..RULE
    },
    Rule {
        id: "getdata-dataref-unknown",
        text: "a missing transaction of type 5 is listed in notfound",
        expected: "notfound with 1 entry",
        differences: &[teranode("Teranode does not answer inventory type 5")],
        check: getdata_dataref_unknown,
        ..RULE
    },
    Rule {
        id: "getdata-compact-deep",
        text: "a compact block more than 5 below the tip is returned as a full block",
        source: "BIP 152; SV Node 1.2.2, src/net/net_processing.cpp",
        needs: Needs::Blocks(20),
        expected: "block at height 1",
        differences: &[teranode("Teranode does not answer inventory type 4")],
        check: getdata_compact_deep,
        ..RULE
    },
    Rule {
        id: "getdata-compact-tip",
        text: "the best block is returned as a compact block if it is recent",
        source: "BIP 152; SV Node 1.2.2, src/net/net_processing.cpp",
        needs: Needs::Blocks(1),
        expected: "cmpctblock, or block if it is older than 200 minutes",
        differences: &[teranode("Teranode does not answer inventory type 4")],
        check: getdata_compact_tip,
        ..RULE
    },
    Rule {
        id: "getdata-filtered",
        text: "a filtered block without a filter is returned as merkleblock and all transactions",
        source: "BIP 37; SV Node 1.2.2, src/net/net_processing.cpp",
        needs: Needs::Blocks(1),
        expected: "merkleblock, then tx for each match",
        differences: &[teranode("Teranode does not answer inventory type 3")],
        check: getdata_filtered,
        ..RULE
    },
    Rule {
        id: "getdata-unknown-type",
        text: "a request for an unknown inventory type is ignored",
        expected: SILENT,
        check: getdata_unknown_type,
        ..RULE
    },
    Rule {
        id: "getdata-empty",
        text: "a request without entries is ignored",
        expected: SILENT,
        check: getdata_empty,
        ..RULE
    },
    Rule {
        id: "getblocktxn-deep",
        text: "getblocktxn for a block more than 10 below the tip returns the full block",
        source: "BIP 152; SV Node 1.2.2, src/net/net_processing.cpp",
        needs: Needs::Blocks(20),
        expected: "block at height 1",
        differences: &[teranode(
            "Teranode rejects the command as malformed and closes the connection",
        )],
        check: getblocktxn_deep,
        ..RULE
    },
    Rule {
        id: "getblocktxn-unknown",
        text: "getblocktxn for an unknown block is not answered",
        source: "BIP 152; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: SILENT,
        differences: &[teranode(
            "Teranode rejects the command as malformed and closes the connection",
        )],
        check: getblocktxn_unknown,
        ..RULE
    },
];

fn getdata_block(node: &Node) -> Check {
    let mut probe = archive(node)?;
    let hash = node.block(1)?;
    probe.send(GetData::from(vec![Inventory::Block(hash)]));
    is_block(&mut probe, hash)
}

fn getdata_block_order(node: &Node) -> Check {
    let hashes = [node.block(3)?, node.block(1)?, node.block(2)?];
    let mut probe = archive(node)?;
    probe.send(GetData::from(hashes.map(Inventory::Block).to_vec()));
    let answers = probe.until_marker()?;
    let blocks = answers.iter().map(|message| match message {
        Message::Block(block) => Some(block.hash()),
        _ => None,
    });
    match blocks.eq(hashes.map(Some)) {
        true => Ok("blocks at heights 3, 1 and 2".into()),
        false => Finding::broken(describe_all(&answers)),
    }
}

fn getdata_block_unknown(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let entries = vec![
        Inventory::Block(unknown_block()),
        Inventory::FilteredBlock(unknown_block()),
        Inventory::CompactBlock(unknown_block()),
    ];
    probe.send(GetData::from(entries));
    probe.stays_silent()
}

fn getdata_tx_unknown(node: &Node) -> Check {
    is_not_found(
        node,
        (0..100).map(|_| Inventory::Tx(unknown_tx())).collect(),
    )
}

fn getdata_dataref_unknown(node: &Node) -> Check {
    is_not_found(node, vec![Inventory::DatarefTx(unknown_tx())])
}

fn getdata_compact_deep(node: &Node) -> Check {
    let mut probe = archive(node)?;
    let hash = node.block(1)?;
    probe.send(GetData::from(vec![Inventory::CompactBlock(hash)]));
    is_block(&mut probe, hash)
}

fn getdata_compact_tip(node: &Node) -> Check {
    let tip = node.tip()?;
    let mut probe = node.handshake()?;
    probe.send(getheaders(vec![], tip));
    let time = probe.answer("headers with the tip", |message| match message {
        Message::Headers(headers) => headers.headers.first().map(|header| header.time),
        _ => None,
    })?;
    probe.send(GetData::from(vec![Inventory::CompactBlock(tip)]));
    let is_compact = probe.answer("cmpctblock or block", |message| match message {
        Message::CompactBlock(compact) => (compact.hash() == tip).then_some(true),
        Message::Block(block) => (block.hash() == tip).then_some(false),
        _ => None,
    })?;
    // A difference between both clocks decides only near the limit.
    let age = now() - i64::from(time);
    match is_compact {
        true => Ok("cmpctblock".into()),
        false if age > MAX_COMPACT_AGE => Ok(format!("block, {age} seconds old")),
        false => Finding::broken(format!("block, {age} seconds old")),
    }
}

fn getdata_filtered(node: &Node) -> Check {
    let hash = node.block(1)?;
    let mut probe = archive(node)?;
    probe.send(GetData::from(vec![Inventory::FilteredBlock(hash)]));
    let answers = probe.until_marker()?;
    let received = describe_all(&answers);
    let Some((Message::MerkleBlock(merkle), transactions)) = answers.split_first() else {
        return Finding::broken(received);
    };
    let matches: Vec<Txid> = match merkle.verify() {
        Ok(matches) if merkle.header.hash() == hash => {
            matches.iter().map(|found| found.txid).collect()
        }
        Ok(_) => return Finding::broken("merkleblock of another block"),
        Err(error) => return Finding::broken(format!("merkleblock: {error}")),
    };
    let sent = transactions.iter().map(|message| match message {
        Message::Tx(tx) => Some(tx.txid()),
        _ => None,
    });
    match !matches.is_empty() && sent.eq(matches.iter().copied().map(Some)) {
        true => Ok(received),
        false => Finding::broken(received),
    }
}

fn getdata_unknown_type(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let entries = [0, 6, 0x4000_0002].map(|kind| Inventory::new(kind, unknown_block().0));
    probe.send(GetData::from(entries.to_vec()));
    probe.stays_silent()
}

fn getdata_empty(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(GetData::default());
    probe.stays_silent()
}

fn getblocktxn_deep(node: &Node) -> Check {
    let mut probe = archive(node)?;
    let hash = node.block(1)?;
    probe.send(request_first_transaction(hash)?);
    is_block(&mut probe, hash)
}

fn getblocktxn_unknown(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(request_first_transaction(unknown_block())?);
    probe.stays_silent()
}

fn request_first_transaction(block: BlockHash) -> Result<GetBlockTxn, Finding> {
    GetBlockTxn::new(block, &[0]).or_else(|error| Finding::broken(error.to_string()))
}

/// Opens a connection to a node that has all blocks.
fn archive(node: &Node) -> Result<Probe, Finding> {
    if !node.version.services.contains(Services::NETWORK) {
        return Finding::skipped(
            "node does not advertise NETWORK: its oldest blocks may be pruned",
        );
    }
    node.handshake()
}

/// Checks that the node answers with this block.
fn is_block(probe: &mut Probe, hash: BlockHash) -> Check {
    let block: Block = probe.answer("block", |message| match message {
        Message::Block(block) => Some(block.clone()),
        _ => None,
    })?;
    if block.hash() != hash {
        return Finding::broken(format!("block {}", block.hash()));
    }
    match block.check_merkle_root() {
        Ok(()) => Ok("block at height 1".into()),
        Err(error) => Finding::broken(format!("block: {error}")),
    }
}

/// Checks that all these objects are listed in one `notfound`.
fn is_not_found(node: &Node, entries: Vec<Inventory>) -> Check {
    let mut probe = node.handshake()?;
    let expected = Message::from(NotFound::from(entries.clone()));
    let answers = probe.request(GetData::from(entries))?;
    match answers[..] == [expected] {
        true => Ok(describe_all(&answers)),
        false => Finding::broken(describe_all(&answers)),
    }
}

/// The maximum age of a block that is returned in compact form, in seconds.
const MAX_COMPACT_AGE: i64 = 200 * 60;

//! `inv`, and the requests that follow it.

use bsv_p2p::wire::{
    BlockHash, Inv, Inventory, LEGACY_MAX_RECEIVE_PAYLOAD, Message, NotFound, Protoconf, Txid,
    inventory_limit,
};

use super::{RULE, SILENT, teranode};
use crate::finding::{Check, Finding};
use crate::messages::{unknown_block, unknown_tx};
use crate::node::Node;
use crate::rule::{Difference, Needs, Rule, Software};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "inv-tx",
        text: "an unknown transaction in inv is requested",
        needs: Needs::Blocks(1),
        expected: "getdata with the transaction",
        check: inv_tx,
        ..RULE
    },
    Rule {
        id: "inv-tx-split",
        text: "a request has no more entries than fit the limit in the protoconf of the peer",
        needs: Needs::Blocks(1),
        expected: "getdata with at most 29126 entries each",
        differences: &[teranode("Teranode ignores the limit")],
        check: inv_tx_split,
        ..RULE
    },
    Rule {
        id: "inv-block",
        text: "an unknown block in inv is answered by getheaders with its hash as stop hash",
        needs: Needs::Blocks(1),
        expected: "getheaders with the hash",
        differences: &[teranode("Teranode requests the block by getdata")],
        check: inv_block,
        ..RULE
    },
    Rule {
        id: "inv-block-known",
        text: "a known block in inv is ignored",
        needs: Needs::Blocks(1),
        expected: SILENT,
        differences: &[teranode("Teranode may answer its best block by getblocks")],
        check: inv_block_known,
        ..RULE
    },
    Rule {
        id: "inv-empty",
        text: "an inv without entries is ignored",
        expected: SILENT,
        check: inv_empty,
        ..RULE
    },
    Rule {
        id: "inv-invalid-type",
        text: "an inv with another type than transaction or block ends the connection",
        expected: "close",
        differences: &[
            teranode("Teranode ignores the entry"),
            Difference {
                of: Software::SvNodeBefore([1, 2, 2]),
                note: "SV Node 1.0.13 ignores the entry",
            },
        ],
        check: inv_invalid_type,
        ..RULE
    },
    Rule {
        id: "notfound-unrequested",
        text: "a notfound without a request is ignored",
        expected: SILENT,
        check: notfound_unrequested,
        ..RULE
    },
];

fn inv_tx(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let unknown = Inventory::Tx(unknown_tx());
    probe.send(Inv::from(vec![unknown]));
    // Requests for transactions are collected before they are sent: a pong may overtake them.
    probe.wait_for("getdata", |message| match message {
        Message::GetData(request) => request
            .inventory
            .contains(&unknown)
            .then(|| "getdata with the transaction".into()),
        _ => None,
    })
}

fn inv_tx_split(node: &Node) -> Check {
    let limit = inventory_limit(LEGACY_MAX_RECEIVE_PAYLOAD);
    let announced = limit + 1000;
    if announced > inventory_limit(node.max_payload) {
        return Finding::skipped(format!("node accepts no inv with {announced} entries"));
    }
    let protoconf = Protoconf {
        max_receive_payload: LEGACY_MAX_RECEIVE_PAYLOAD,
        stream_policies: None,
    };
    let mut probe = node.handshake_as(node.own_version(), Some(protoconf))?;
    let entries = (0..announced).map(|_| Inventory::Tx(unknown_tx()));
    probe.send(Inv::from(entries.collect::<Vec<_>>()));
    let mut counts = Vec::new();
    while counts.iter().sum::<usize>() < announced {
        let count = probe.wait_for("getdata", |message| match message {
            Message::GetData(request) => Some(request.inventory.len()),
            _ => None,
        })?;
        if count > limit {
            return Finding::broken(format!("getdata with {count} entries"));
        }
        counts.push(count);
    }
    Ok(format!("getdata with {counts:?} entries"))
}

fn inv_block(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let unknown = unknown_block();
    probe.send(Inv::from(vec![Inventory::Block(unknown)]));
    let stop = probe.answer("getheaders", |message| match message {
        Message::GetHeaders(request) => Some(request.stop),
        _ => None,
    })?;
    match stop {
        stop if stop == unknown => Ok("getheaders with the hash".into()),
        BlockHash::ZERO => Finding::broken("getheaders without a stop hash"),
        other => Finding::broken(format!("getheaders with stop hash {other}")),
    }
}

fn inv_block_known(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(Inv::from(vec![Inventory::Block(node.block(1)?)]));
    probe.stays_silent()
}

fn inv_empty(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(Inv::default());
    probe.stays_silent()
}

fn inv_invalid_type(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(Inv::from(vec![Inventory::CompactBlock(unknown_block())]));
    probe.closes()
}

fn notfound_unrequested(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let Txid(hash) = unknown_tx();
    probe.send(NotFound::from(vec![
        Inventory::Tx(Txid(hash)),
        Inventory::Block(BlockHash(hash)),
    ]));
    probe.stays_silent()
}

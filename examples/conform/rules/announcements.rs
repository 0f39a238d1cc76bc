//! How new blocks are announced. These rules extend the chain of the node.

use bsv_p2p::Network;
use bsv_p2p::local_node::BlockTemplate;
use bsv_p2p::wire::{Block, BlockHash, Headers, Inv, Inventory, Message, SendCmpct};

use super::{RULE, teranode};
use crate::finding::{Check, Finding};
use crate::messages::{describe, now, random, unknown_block};
use crate::node::{Node, getheaders};
use crate::probe::Probe;
use crate::rule::{Difference, Needs, Rule};

const NEEDS_SENDHEADERS: &[Difference] = &[teranode(
    "Teranode announces blocks only to peers that have sent sendheaders, by headers",
)];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "announce-by-inv",
        text: "a new block is announced by inv to a peer that has sent neither sendheaders nor sendcmpct",
        needs: Needs::Mining,
        expected: "inv with the block",
        differences: NEEDS_SENDHEADERS,
        check: announce_by_inv,
        ..RULE
    },
    Rule {
        id: "announce-by-headers",
        text: "a new block is announced by headers after sendheaders and an exchange of headers",
        source: "BIP 130; SV Node 1.2.2, src/net/net_processing.cpp",
        needs: Needs::Mining,
        expected: "headers with the block",
        check: announce_by_headers,
        ..RULE
    },
    Rule {
        id: "announce-by-inv-unconnected",
        text: "a new block is announced by inv to a peer that has sent sendheaders and exchanged no headers",
        needs: Needs::Mining,
        expected: "inv with the block",
        differences: &[teranode("Teranode announces it by headers")],
        check: announce_by_inv_unconnected,
        ..RULE
    },
    Rule {
        id: "announce-by-cmpctblock",
        text: "a new block is sent as compact block to a peer that has requested that by sendcmpct",
        source: "BIP 152; SV Node 1.2.2, src/net/net_processing.cpp",
        needs: Needs::Mining,
        expected: "cmpctblock with the block",
        differences: NEEDS_SENDHEADERS,
        check: announce_by_cmpctblock,
        ..RULE
    },
    Rule {
        id: "announce-not-back",
        text: "a block is not announced to the peer that has announced it",
        needs: Needs::Mining,
        expected: "no announcement",
        check: announce_not_back,
        ..RULE
    },
];

fn announce_by_inv(node: &Node) -> Check {
    let mut observer = node.handshake()?;
    exchange_headers(node, &mut observer)?;
    is_announced(node, observer, "inv")
}

fn announce_by_headers(node: &Node) -> Check {
    let mut observer = node.handshake()?;
    observer.send(Message::SendHeaders);
    exchange_headers(node, &mut observer)?;
    is_announced(node, observer, "headers")
}

fn announce_by_inv_unconnected(node: &Node) -> Check {
    let mut observer = node.handshake()?;
    observer.send(Message::SendHeaders);
    observer.until_marker()?;
    is_announced(node, observer, "inv")
}

fn announce_by_cmpctblock(node: &Node) -> Check {
    let mut observer = node.handshake()?;
    observer.send(Message::SendHeaders);
    observer.send(SendCmpct {
        announce: true,
        version: SendCmpct::VERSION,
    });
    exchange_headers(node, &mut observer)?;
    is_announced(node, observer, "cmpctblock")
}

fn announce_not_back(node: &Node) -> Check {
    let mut observer = node.handshake()?;
    exchange_headers(node, &mut observer)?;
    let mut sender = node.handshake()?;
    let block = next_block(node, &mut sender)?;
    let headers = vec![block.header()];
    sender.send(Headers { headers });
    sender.wait_for("getdata with the block", |message| match message {
        Message::GetData(request) => {
            let mut entries = request.inventory.iter();
            entries
                .any(|entry| entry.hash().0 == block.hash().0)
                .then_some(())
        }
        _ => None,
    })?;
    sender.send(block.clone());
    announcement(&mut observer, block.hash())?;
    // A node may answer the first marker ahead of the announcements of the same round.
    sender.until_marker()?;
    sender.until_marker()?;
    let announced = sender
        .greeting
        .iter()
        .find(|message| announces(message, block.hash()));
    match announced {
        Some(message) => Finding::broken(describe(message)),
        None => Ok("no announcement".into()),
    }
}

/// Checks that a new block is announced to the observer by this message.
fn is_announced(node: &Node, mut observer: Probe, by: &str) -> Check {
    let mut sender = node.handshake()?;
    let block = next_block(node, &mut sender)?;
    sender.send(block.clone());
    let announcement = announcement(&mut observer, block.hash())?;
    let received = format!("{} with the block", announcement.command());
    match announcement.command().name() == by {
        true => Ok(received),
        false => Finding::broken(received),
    }
}

/// Shows the node that the peer has its chain.
fn exchange_headers(node: &Node, probe: &mut Probe) -> Result<(), Finding> {
    probe.send(getheaders(vec![node.tip()?], BlockHash::ZERO));
    probe.answer("headers", |message| {
        matches!(message, Message::Headers(_)).then_some(())
    })
}

/// Returns a valid block after the best block of the node.
fn next_block(node: &Node, probe: &mut Probe) -> Result<Block, Finding> {
    if node.endpoint.network != Network::Regtest {
        return Finding::skipped("proof of work takes too long on this network");
    }
    node.tip()?;
    let height = probe
        .version
        .as_ref()
        .map_or(0, |version| version.start_height_or_default());
    probe.send(Inv::from(vec![Inventory::Block(unknown_block())]));
    let tip = probe.answer("getheaders", |message| match message {
        Message::GetHeaders(request) => request.locator.first().copied(),
        _ => None,
    })?;
    probe.send(getheaders(vec![], tip));
    let time = probe.answer("headers with the tip", |message| match message {
        Message::Headers(headers) => headers.headers.first().map(|header| header.time),
        _ => None,
    })?;
    let time = time.saturating_add(1).max(now() as u32);
    let height = u32::try_from(height).unwrap_or(0).saturating_add(1);
    Ok(BlockTemplate::new(tip, height, time, random()).mine())
}

/// Waits for the announcement of a block.
fn announcement(probe: &mut Probe, block: BlockHash) -> Result<Message, Finding> {
    probe.wait_for("an announcement of the block", |message| {
        announces(message, block).then(|| message.clone())
    })
}

fn announces(message: &Message, block: BlockHash) -> bool {
    match message {
        Message::Inv(inv) => inv.inventory.contains(&Inventory::Block(block)),
        Message::Headers(headers) => headers.headers.iter().any(|header| header.hash() == block),
        Message::CompactBlock(compact) => compact.hash() == block,
        _ => false,
    }
}

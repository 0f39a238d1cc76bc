//! `getheaders`, `getblocks`, `headers` and `gethdrsen`.

use bsv_p2p::session::PROTOCOL_VERSION;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, GetBlocks, GetData, GetHdrsEn, HdrsEn, Headers, Inventory, MAX_HEADERS,
    Message, RejectCode,
};

use super::{RULE, SILENT, teranode};
use crate::finding::{Check, Finding};
use crate::messages::unknown_block;
use crate::node::{Node, getheaders};
use crate::probe::Probe;
use crate::rule::{Difference, Needs, Rule};

const STARTS_WITH_ANCESTOR: &[Difference] =
    &[teranode("Teranode begins with the common ancestor itself")];
const NO_ANSWER: &[Difference] = &[teranode("Teranode does not answer an unknown locator")];
const IGNORES_STOP: &[Difference] = &[teranode(
    "Teranode ignores the stop hash and does not answer an empty locator",
)];
const BACKWARDS: &[Difference] = &[teranode(
    "Teranode lists the blocks up to the locator backwards, newest first",
)];
const CLOSES: &[Difference] = &[teranode(
    "Teranode closes the connection for headers that it has not requested",
)];
const UNKNOWN_COMMAND: &[Difference] = &[teranode(
    "Teranode rejects the command as malformed and closes the connection",
)];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "getheaders-from-genesis",
        text: "getheaders with the genesis block returns a chain that begins with the block after it",
        needs: Needs::Blocks(1),
        expected: "headers from height 1 on, each linked to the one before it",
        differences: STARTS_WITH_ANCESTOR,
        check: getheaders_from_genesis,
        ..RULE
    },
    Rule {
        id: "getheaders-limit",
        text: "headers has at most 2000 entries, and exactly 2000 if the chain goes on",
        needs: Needs::Blocks(2001),
        expected: "2000 headers",
        differences: &[teranode(
            "Teranode before November 2025 returns the last 2000 headers, without genesis",
        )],
        check: getheaders_limit,
        ..RULE
    },
    Rule {
        id: "getheaders-first-known",
        text: "the first known block of a locator decides, and unknown ones are skipped",
        needs: Needs::Blocks(3),
        expected: "headers from height 3 on",
        differences: STARTS_WITH_ANCESTOR,
        check: getheaders_first_known,
        ..RULE
    },
    Rule {
        id: "getheaders-long-locator",
        text: "a locator may have more than 101 hashes",
        needs: Needs::Blocks(2),
        expected: "headers from height 2 on",
        differences: STARTS_WITH_ANCESTOR,
        check: getheaders_long_locator,
        ..RULE
    },
    Rule {
        id: "getheaders-unknown",
        text: "getheaders with an unknown locator returns headers from the block after genesis on",
        needs: Needs::Blocks(1),
        expected: "headers from height 1 on",
        differences: NO_ANSWER,
        check: getheaders_unknown,
        ..RULE
    },
    Rule {
        id: "getheaders-stop",
        text: "headers ends with the stop hash",
        needs: Needs::Blocks(3),
        expected: "2 headers",
        differences: IGNORES_STOP,
        check: getheaders_stop,
        ..RULE
    },
    Rule {
        id: "getheaders-at-tip",
        text: "getheaders with the best block returns headers without entries",
        needs: Needs::Blocks(1),
        expected: "headers with 0 entries",
        differences: &[teranode(
            "Teranode sends the header of the tip, never an empty list",
        )],
        check: getheaders_at_tip,
        ..RULE
    },
    Rule {
        id: "getheaders-single",
        text: "getheaders without a locator returns the header of the stop hash only",
        needs: Needs::Blocks(3),
        expected: "1 header",
        differences: IGNORES_STOP,
        check: getheaders_single,
        ..RULE
    },
    Rule {
        id: "getheaders-single-unknown",
        text: "getheaders without a locator and with an unknown stop hash is not answered",
        needs: Needs::Blocks(1),
        expected: SILENT,
        check: getheaders_single_unknown,
        ..RULE
    },
    Rule {
        id: "getblocks-from-genesis",
        text: "getblocks returns an inv of the blocks after the locator, at most 500",
        needs: Needs::Blocks(1),
        expected: "inv from height 1 on",
        differences: BACKWARDS,
        check: getblocks_from_genesis,
        ..RULE
    },
    Rule {
        id: "getblocks-stop",
        text: "the inv for getblocks ends ahead of the stop hash",
        needs: Needs::Blocks(3),
        expected: "inv of the blocks at heights 1 and 2",
        differences: BACKWARDS,
        check: getblocks_stop,
        ..RULE
    },
    Rule {
        id: "getblocks-continues",
        text: "the request for the last block of 500 listed ones is followed by an inv of the tip",
        needs: Needs::Blocks(501),
        expected: "inv of 500 blocks, then inv of the tip",
        differences: BACKWARDS,
        check: getblocks_continues,
        ..RULE
    },
    Rule {
        id: "headers-empty",
        text: "headers without entries is ignored",
        expected: SILENT,
        differences: CLOSES,
        check: headers_empty,
        ..RULE
    },
    Rule {
        id: "headers-known",
        text: "headers that the node has are ignored",
        needs: Needs::Blocks(1),
        expected: SILENT,
        differences: CLOSES,
        check: headers_known,
        ..RULE
    },
    Rule {
        id: "headers-unconnected",
        text: "a header with an unknown parent is answered by getheaders",
        source: "BIP 130; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: "getheaders",
        differences: CLOSES,
        check: headers_unconnected,
        ..RULE
    },
    Rule {
        id: "headers-not-linked",
        text: "headers that are no chain are ignored, with a score",
        needs: Needs::Blocks(3),
        expected: SILENT,
        differences: CLOSES,
        check: headers_not_linked,
        ..RULE
    },
    Rule {
        id: "headers-too-many",
        text: "headers with 2001 entries are ignored, with a score",
        expected: SILENT,
        differences: CLOSES,
        check: headers_too_many,
        ..RULE
    },
    Rule {
        id: "headers-without-count",
        text: "a header without a transaction count is rejected as malformed",
        expected: "reject headers 0x01, connection open",
        differences: CLOSES,
        check: headers_without_count,
        ..RULE
    },
    Rule {
        id: "headers-without-work",
        text: "a header without proof of work is ignored, with a score",
        expected: SILENT,
        differences: CLOSES,
        check: headers_without_work,
        ..RULE
    },
    Rule {
        id: "gethdrsen",
        text: "gethdrsen returns headers with a coinbase and its proof",
        needs: Needs::Blocks(2),
        expected: "hdrsen from height 1 on, proofs valid",
        differences: UNKNOWN_COMMAND,
        check: gethdrsen,
        ..RULE
    },
    Rule {
        id: "gethdrsen-no-protoconf",
        text: "gethdrsen from a peer without protoconf returns one header",
        needs: Needs::Blocks(2),
        expected: "hdrsen with 1 entry",
        differences: UNKNOWN_COMMAND,
        check: gethdrsen_no_protoconf,
        ..RULE
    },
];

fn getheaders_from_genesis(node: &Node) -> Check {
    let headers = ask_headers(node, vec![node.genesis()], BlockHash::ZERO)?;
    is_chain_after(node, node.genesis(), &headers)
}

fn getheaders_limit(node: &Node) -> Check {
    let headers = ask_headers(node, vec![node.genesis()], BlockHash::ZERO)?;
    match headers.len() {
        MAX_HEADERS => Ok("2000 headers".into()),
        count => Finding::broken(format!("{count} headers")),
    }
}

fn getheaders_first_known(node: &Node) -> Check {
    let second = node.block(2)?;
    let locator = vec![unknown_block(), second, node.genesis()];
    let headers = ask_headers(node, locator, BlockHash::ZERO)?;
    is_chain_after(node, second, &headers)
}

fn getheaders_long_locator(node: &Node) -> Check {
    let first = node.block(1)?;
    let mut locator: Vec<_> = (0..200).map(|_| unknown_block()).collect();
    locator.push(first);
    let headers = ask_headers(node, locator, BlockHash::ZERO)?;
    is_chain_after(node, first, &headers)
}

fn getheaders_unknown(node: &Node) -> Check {
    let headers = ask_headers(node, vec![unknown_block()], BlockHash::ZERO)?;
    is_chain_after(node, node.genesis(), &headers)
}

fn getheaders_stop(node: &Node) -> Check {
    let headers = ask_headers(node, vec![node.block(1)?], node.block(3)?)?;
    is_list(&headers, &[node.block(2)?, node.block(3)?])
}

fn getheaders_at_tip(node: &Node) -> Check {
    let headers = ask_headers(node, vec![node.tip()?], BlockHash::ZERO)?;
    is_list(&headers, &[])
}

fn getheaders_single(node: &Node) -> Check {
    let headers = ask_headers(node, vec![], node.block(2)?)?;
    is_list(&headers, &[node.block(2)?])
}

fn getheaders_single_unknown(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(getheaders(vec![], unknown_block()));
    probe.stays_silent()
}

fn getblocks_from_genesis(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let blocks = ask_blocks(&mut probe, node.genesis(), BlockHash::ZERO)?;
    let listed = format!("inv of {} blocks", blocks.len());
    match blocks.first() == Some(&node.block(1)?) && blocks.len() <= 500 {
        true => Ok(format!("{listed} from height 1 on")),
        false => Finding::broken(listed),
    }
}

fn getblocks_stop(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let blocks = ask_blocks(&mut probe, node.genesis(), node.block(3)?)?;
    match blocks[..] == [node.block(1)?, node.block(2)?] {
        true => Ok("inv of the blocks at heights 1 and 2".into()),
        false => Finding::broken(format!("inv of {} other blocks", blocks.len())),
    }
}

fn getblocks_continues(node: &Node) -> Check {
    let (tip, expected_last) = (node.tip()?, node.block(500)?);
    let mut probe = node.handshake()?;
    let blocks = ask_blocks(&mut probe, node.genesis(), BlockHash::ZERO)?;
    let last = blocks.last().copied().unwrap_or_default();
    if blocks.len() != 500 || last != expected_last {
        return Finding::broken(format!("inv of {} blocks", blocks.len()));
    }
    probe.send(GetData::from(vec![Inventory::Block(last)]));
    probe.answer("inv of the tip", |message| match message {
        Message::Inv(inv) => (inv.inventory == [Inventory::Block(tip)]).then_some(()),
        _ => None,
    })?;
    Ok("inv of 500 blocks, then inv of the tip".into())
}

fn headers_empty(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(Headers::default());
    probe.stays_silent()
}

fn headers_known(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let headers = node.headers.iter().take(1).copied().collect();
    probe.send(Headers { headers });
    probe.stays_silent()
}

fn headers_unconnected(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let headers = vec![node.header_after(unknown_block(), false)];
    probe.send(Headers { headers });
    probe.answer("getheaders", |message| match message {
        Message::GetHeaders(_) => Some("getheaders".into()),
        _ => None,
    })
}

fn headers_not_linked(node: &Node) -> Check {
    let [first, _, third, ..] = node.headers[..] else {
        return Finding::skipped("node did not serve 3 headers");
    };
    let mut probe = node.handshake()?;
    let headers = vec![first, third];
    probe.send(Headers { headers });
    probe.stays_silent()
}

fn headers_too_many(node: &Node) -> Check {
    let header = BlockHeader::genesis(&node.endpoint.network);
    let headers = vec![header; MAX_HEADERS + 1];
    let mut probe = node.handshake()?;
    probe.send(Headers { headers });
    probe.stays_silent()
}

fn headers_without_count(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let mut payload = vec![1];
    payload.extend_from_slice(&node.header_after(node.genesis(), false).to_bytes());
    probe.send_payload("headers", &payload);
    probe.rejects("headers", RejectCode::MALFORMED, "")
}

fn headers_without_work(node: &Node) -> Check {
    let headers = vec![node.header_after(node.genesis(), false)];
    let mut probe = node.handshake()?;
    probe.send(Headers { headers });
    probe.stays_silent()
}

fn gethdrsen(node: &Node) -> Check {
    let hdrsen = ask_hdrsen(node.handshake()?, node)?;
    let first = hdrsen.headers().next();
    if hdrsen.len() < 2 || first.map(|first| first.header.hash()) != Some(node.block(1)?) {
        return Finding::broken(format!("hdrsen with {} entries", hdrsen.len()));
    }
    for (index, entry) in hdrsen.headers().enumerate() {
        if let Err(error) = entry.verify_coinbase() {
            return Finding::broken(format!("entry {index}: {error}"));
        }
    }
    Ok(format!(
        "hdrsen with {} entries from height 1 on, proofs valid",
        hdrsen.len()
    ))
}

fn gethdrsen_no_protoconf(node: &Node) -> Check {
    let hdrsen = ask_hdrsen(node.handshake_as(node.own_version(), None)?, node)?;
    match hdrsen.len() {
        1 => Ok("hdrsen with 1 entry".into()),
        count => Finding::broken(format!("hdrsen with {count} entries")),
    }
}

/// Requests enriched headers of the first blocks.
fn ask_hdrsen(mut probe: Probe, node: &Node) -> Result<HdrsEn, Finding> {
    let last = node.headers.len().min(MAX_ENRICHED);
    probe.send(GetHdrsEn {
        version: PROTOCOL_VERSION,
        locator: vec![node.genesis()],
        stop: node.block(last)?,
    });
    probe.answer("hdrsen", |message| match message {
        Message::HdrsEn(hdrsen) => Some(hdrsen.clone()),
        _ => None,
    })
}

fn ask_headers(
    node: &Node,
    locator: Vec<BlockHash>,
    stop: BlockHash,
) -> Result<Vec<BlockHeader>, Finding> {
    let mut probe = node.handshake()?;
    probe.send(getheaders(locator, stop));
    probe.answer("headers", |message| match message {
        Message::Headers(headers) => Some(headers.headers.clone()),
        _ => None,
    })
}

fn ask_blocks(
    probe: &mut Probe,
    after: BlockHash,
    stop: BlockHash,
) -> Result<Vec<BlockHash>, Finding> {
    probe.send(GetBlocks {
        version: PROTOCOL_VERSION,
        locator: vec![after],
        stop,
    });
    probe.answer("inv", |message| match message {
        Message::Inv(inv) => {
            let blocks = inv.inventory.iter().filter_map(|entry| match entry {
                Inventory::Block(hash) => Some(*hash),
                _ => None,
            });
            Some(blocks.collect())
        }
        _ => None,
    })
}

/// Checks that the headers are a chain that begins after this block.
fn is_chain_after(node: &Node, after: BlockHash, headers: &[BlockHeader]) -> Check {
    let mut previous = after;
    for (index, header) in headers.iter().enumerate() {
        if header.previous != previous {
            return Finding::broken(format!("entry {index} of headers is not linked"));
        }
        if !node.has_work(header) {
            return Finding::broken(format!("entry {index} of headers has no proof of work"));
        }
        previous = header.hash();
    }
    match headers.len() {
        0 => Finding::broken("headers with 0 entries"),
        count => Ok(format!("{count} headers, linked")),
    }
}

fn is_list(headers: &[BlockHeader], expected: &[BlockHash]) -> Check {
    let is_expected = headers
        .iter()
        .map(BlockHeader::hash)
        .eq(expected.iter().copied());
    let count = headers.len();
    match is_expected {
        true => Ok(format!("headers with {count} entries")),
        false => Finding::broken(format!("headers with {count} other entries")),
    }
}

/// The maximum number of enriched headers requested.
const MAX_ENRICHED: usize = 10;

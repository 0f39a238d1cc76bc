//! Announcements, addresses, filters, and messages that a node ignores.

use std::net::{Ipv4Addr, SocketAddr};

use bsv_p2p::wire::{
    Addr, Alert, Authch, BloomFilter, BloomFlags, Encode, FeeFilter, FilterAdd, GetData, HdrsEn,
    Inventory, MAX_ADDRESSES, Mempool, Message, NetworkAddress, Reject, RejectCode, SendCmpct,
    Services, TimestampedAddress, write_compact_size,
};

use super::{RULE, SILENT, teranode};
use crate::finding::{Check, Finding};
use crate::messages::{describe_all, now, random, unknown_tx};
use crate::node::Node;
use crate::rule::{Bans, Difference, Needs, Rule};

const UNKNOWN_COMMAND: &[Difference] = &[teranode(
    "Teranode rejects the command as malformed and closes the connection",
)];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "sendheaders-repeated",
        text: "a second sendheaders is accepted, with a score",
        source: "BIP 130; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: SILENT,
        check: sendheaders_repeated,
        ..RULE
    },
    Rule {
        id: "sendhdrsen-repeated",
        text: "a second sendhdrsen is accepted, with a score",
        expected: SILENT,
        differences: UNKNOWN_COMMAND,
        check: sendhdrsen_repeated,
        ..RULE
    },
    Rule {
        id: "sendcmpct-versions",
        text: "sendcmpct of any version is accepted at any time; only version 1 counts",
        source: "BIP 152; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: SILENT,
        check: sendcmpct_versions,
        ..RULE
    },
    Rule {
        id: "feefilter-accepted",
        text: "feefilter with a rate from 0 to 21000000 coins is accepted",
        source: "BIP 133; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: SILENT,
        check: feefilter_accepted,
        ..RULE
    },
    Rule {
        id: "feefilter-invalid",
        text: "feefilter with another rate is ignored",
        source: "BIP 133; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: SILENT,
        differences: &[teranode("Teranode closes the connection")],
        check: feefilter_invalid,
        ..RULE
    },
    Rule {
        id: "addr-unrequested",
        text: "addr with 1000 entries is accepted without a request",
        expected: SILENT,
        check: addr_unrequested,
        ..RULE
    },
    Rule {
        id: "addr-too-many",
        text: "addr with 1001 entries is ignored, with a score",
        expected: SILENT,
        differences: &[teranode(
            "Teranode rejects it as malformed and closes the connection",
        )],
        check: addr_too_many,
        ..RULE
    },
    Rule {
        id: "getaddr-repeated",
        text: "getaddr is answered at most once on a connection",
        expected: "at most one addr, connection open",
        check: getaddr_repeated,
        ..RULE
    },
    Rule {
        id: "mempool-refused",
        text: "mempool ends the connection, unless the node's operator allows it",
        source: "BIP 35; SV Node 1.2.2, option -rejectmempoolrequest",
        expected: "close",
        check: mempool_refused,
        ..RULE
    },
    Rule {
        id: "filterclear-accepted",
        text: "filterclear is accepted, also without bloom filters",
        source: "BIP 37; BIP 111; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: SILENT,
        check: filterclear_accepted,
        ..RULE
    },
    Rule {
        id: "filter-applies",
        text: "a filtered block lists the transactions that the loaded filter matches, and no others",
        source: "BIP 37; SV Node 1.2.2, src/net/net_processing.cpp",
        needs: Needs::Blocks(1),
        expected: "merkleblock without a match, then merkleblock and the transaction",
        check: filter_applies,
        ..RULE
    },
    Rule {
        id: "reject-ignored",
        text: "a reject is not answered, at any time",
        source: "BIP 61; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: SILENT,
        differences: &[teranode(
            "Teranode rejects a reject before version and closes the connection",
        )],
        check: reject_ignored,
        ..RULE
    },
    Rule {
        id: "alert-ignored",
        text: "an alert is ignored",
        expected: SILENT,
        differences: UNKNOWN_COMMAND,
        check: alert_ignored,
        ..RULE
    },
    Rule {
        id: "hdrsen-unrequested",
        text: "an hdrsen without a request is ignored",
        expected: SILENT,
        differences: UNKNOWN_COMMAND,
        check: hdrsen_unrequested,
        ..RULE
    },
    Rule {
        id: "dsdetected-invalid",
        text: "an invalid dsdetected is ignored, with a score",
        source: "SV Node 1.2.2, src/net/net_processing.cpp, ProcessDoubleSpendMessage",
        expected: SILENT,
        differences: UNKNOWN_COMMAND,
        check: dsdetected_invalid,
        ..RULE
    },
    Rule {
        id: "authch-unanswered",
        text: "authch is answered by authresp or not at all",
        expected: "authresp or no answer, connection open",
        check: authch_unanswered,
        ..RULE
    },
    Rule {
        id: "authresp-malformed",
        text: "an invalid authresp is rejected, and the connection stays open",
        expected: "reject authresp 0x70, connection open",
        differences: &[teranode("Teranode ignores authresp")],
        check: authresp_malformed,
        ..RULE
    },
    Rule {
        id: "filterload-refused",
        text: "filterload to a node without bloom filters ends the connection, and gets the address banned",
        source: "BIP 111; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: "close",
        bans: Bans::ByScore,
        differences: &[teranode("Teranode ignores filterload")],
        check: filterload_refused,
        ..RULE
    },
    Rule {
        id: "filteradd-refused",
        text: "filteradd to a node without bloom filters ends the connection, and gets the address banned",
        source: "BIP 111; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: "close",
        bans: Bans::ByScore,
        differences: &[teranode("Teranode ignores filteradd")],
        check: filteradd_refused,
        ..RULE
    },
];

fn sendheaders_repeated(node: &Node) -> Check {
    ignores(node, &[Message::SendHeaders, Message::SendHeaders])
}

fn sendhdrsen_repeated(node: &Node) -> Check {
    ignores(node, &[Message::SendHdrsEn, Message::SendHdrsEn])
}

fn sendcmpct_versions(node: &Node) -> Check {
    let compact = |announce, version| SendCmpct { announce, version }.into();
    ignores(
        node,
        &[
            compact(true, 1),
            compact(false, 1),
            compact(true, 2),
            compact(false, 0),
        ],
    )
}

fn feefilter_accepted(node: &Node) -> Check {
    let rates = [0, 1000, FeeFilter::MAX_RATE];
    ignores(node, &rates.map(|rate| FeeFilter { rate }.into()))
}

fn feefilter_invalid(node: &Node) -> Check {
    let rates = [-1, FeeFilter::MAX_RATE + 1];
    ignores(node, &rates.map(|rate| FeeFilter { rate }.into()))
}

fn addr_unrequested(node: &Node) -> Check {
    let addresses = documentation_addresses(MAX_ADDRESSES);
    ignores(node, &[Addr { addresses }.into()])
}

fn addr_too_many(node: &Node) -> Check {
    let mut payload = Vec::new();
    write_compact_size(MAX_ADDRESSES as u64 + 1, &mut payload);
    for address in documentation_addresses(MAX_ADDRESSES + 1) {
        address.encode(&mut payload);
    }
    let mut probe = node.handshake()?;
    probe.send_payload("addr", &payload);
    probe.stays_silent()
}

fn getaddr_repeated(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.greeting.clear();
    probe.send(Message::GetAddr);
    probe.send(Message::GetAddr);
    probe.stays_silent()?;
    let answers = probe.greeting.iter();
    let count = answers
        .filter(|message| matches!(message, Message::Addr(_)))
        .count();
    match count {
        0 => Ok("no addr yet, connection open".into()),
        1 => Ok("one addr, connection open".into()),
        _ => Finding::broken(format!("{count} addr")),
    }
}

fn mempool_refused(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(Mempool::Empty);
    probe.closes()
}

fn filterclear_accepted(node: &Node) -> Check {
    ignores(node, &[Message::FilterClear])
}

fn filter_applies(node: &Node) -> Check {
    if !node.version.services.contains(Services::BLOOM) {
        return Finding::skipped("node does not advertise BLOOM");
    }
    let block = node.block(1)?;
    let mut probe = node.handshake()?;
    probe.send(GetData::from(vec![Inventory::Block(block)]));
    let coinbase = probe.answer("block", |message| match message {
        Message::Block(block) => block.transactions().next().map(|tx| tx.txid()),
        _ => None,
    })?;
    let request = GetData::from(vec![Inventory::FilteredBlock(block)]);
    let mut received = Vec::new();
    for element in [unknown_tx(), coinbase] {
        let mut filter = new_filter()?;
        filter.insert(element.as_bytes());
        probe.send(filter);
        received.push(probe.request(request.clone())?);
    }
    let words = received.iter().map(|answers| describe_all(answers));
    let words = words.collect::<Vec<_>>().join(", then ");
    let sent = |message: &Message| matches!(message, Message::Tx(tx) if tx.txid() == coinbase);
    match &received[..] {
        [nothing, found]
            if matches!(nothing[..], [Message::MerkleBlock(_)])
                && matches!(&found[..], [Message::MerkleBlock(_), tx] if sent(tx)) =>
        {
            Ok(words)
        }
        _ => Finding::broken(words),
    }
}

fn reject_ignored(node: &Node) -> Check {
    let mut probe = node.open()?;
    let reject = || Reject::new("tx", RejectCode::DUPLICATE, "already known");
    probe.send(reject());
    probe.exchange_versions(node.own_version())?;
    probe.send(reject());
    probe.complete(None)?;
    probe.send(reject());
    // Too long a reason.
    probe.send_payload(
        "reject",
        &[&[2, b't', b'x', 0x10, 200], &[b'x'; 200][..]].concat(),
    );
    probe.stays_silent()
}

fn alert_ignored(node: &Node) -> Check {
    let alert = Alert {
        message: vec![1; 30],
        signature: vec![2; 70],
    };
    ignores(node, &[alert.into()])
}

fn hdrsen_unrequested(node: &Node) -> Check {
    ignores(node, &[HdrsEn::new(&[]).into()])
}

fn dsdetected_invalid(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    // A version that does not exist, and a message that ends inside a field.
    probe.send_payload("dsdetected", &[0, 0, 0]);
    probe.send_payload("dsdetected", &[1, 0, 2, 1]);
    probe.stays_silent()
}

fn authch_unanswered(node: &Node) -> Check {
    let mut challenge = [0; 32];
    challenge[..8].copy_from_slice(&random().to_le_bytes());
    let mut probe = node.handshake()?;
    let answers = probe.request(Authch {
        version: Authch::VERSION,
        challenge,
    })?;
    match answers[..] {
        [] => Ok("no answer, connection open".into()),
        [Message::Authresp(_)] => Ok("authresp, connection open".into()),
        _ => Finding::broken(describe_all(&answers)),
    }
}

fn authresp_malformed(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send_payload("authresp", &[1, 2, 3]);
    probe.rejects("authresp", RejectCode::AUTHENTICATED_SETUP, "")
}

fn filterload_refused(node: &Node) -> Check {
    refuses_filters(node, new_filter()?.into())
}

fn filteradd_refused(node: &Node) -> Check {
    refuses_filters(
        node,
        FilterAdd {
            data: vec![1, 2, 3],
        }
        .into(),
    )
}

fn refuses_filters(node: &Node, message: Message) -> Check {
    if node.version.services.contains(Services::BLOOM) {
        return Finding::skipped("node advertises BLOOM");
    }
    let mut probe = node.handshake()?;
    probe.send(message);
    probe.closes()
}

/// Returns a filter for one element.
fn new_filter() -> Result<BloomFilter, Finding> {
    let filter = BloomFilter::new(1, 0.000_000_001, 0, BloomFlags::default());
    filter.or_else(|error| Finding::broken(error.to_string()))
}

/// Checks that messages are not answered.
fn ignores(node: &Node, messages: &[Message]) -> Check {
    let mut probe = node.handshake()?;
    for message in messages {
        probe.send(message.clone());
    }
    probe.stays_silent()
}

/// Returns addresses of the ranges for documentation, which no node relays.
fn documentation_addresses(count: usize) -> Vec<TimestampedAddress> {
    let time = now() as u32;
    let addresses = (0..count).map(|number| {
        let [.., high, low] = (number as u32).to_be_bytes();
        let ip = match high % 3 {
            0 => Ipv4Addr::new(192, 0, 2, low),
            1 => Ipv4Addr::new(198, 51, 100, low),
            _ => Ipv4Addr::new(203, 0, 113, low),
        };
        let address = NetworkAddress::new(Services::NETWORK, SocketAddr::from((ip, 8333)));
        TimestampedAddress { time, address }
    });
    addresses.collect()
}

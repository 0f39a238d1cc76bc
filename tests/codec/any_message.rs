//! Strategies for arbitrary messages and payloads.

use bsv_p2p::wire::{
    Addr, Alert, Authch, Authresp, Block, BlockHash, BlockTransactions, Command, CompactBlock,
    CreateStrm, Encode, FeeFilter, FilterAdd, GetBlockTxn, GetBlocks, GetData, GetHdrsEn,
    GetHeaders, HdrsEn, Headers, Inv, Mempool, Message, NotFound, Ping, Pong, Protoconf, SendCmpct,
    StreamAck, TimestampedAddress, Tx,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::parts::{
    address, association_id, bloom_filter, hash, header, inventory, key, list, reject, revokemid,
    script, stream_type, string, transaction, version,
};
use crate::proofs::{dsdetected, enriched_header, merkle_block, tx_and_proof};
use crate::support::COMMANDS;

/// Returns the messages about streams, filters, miners and the memory pool.
fn rarer_message() -> impl Strategy<Value = Message> {
    let mempool = prop_oneof![
        Just(Mempool::Empty),
        Just(Mempool::NoAge),
        any::<i64>().prop_map(Mempool::Age)
    ];
    let authresp = (key(), any::<u64>(), vec(any::<u8>(), 70..=72));
    prop_oneof![
        (association_id(), stream_type(), string(64)).prop_map(
            |(association_id, stream_type, stream_policy)| Message::CreateStrm(CreateStrm {
                association_id,
                stream_type,
                stream_policy,
            })
        ),
        (association_id(), stream_type()).prop_map(|(association_id, stream_type)| {
            Message::StreamAck(StreamAck {
                association_id,
                stream_type,
            })
        }),
        mempool.prop_map(Message::Mempool),
        bloom_filter().prop_map(Message::FilterLoad),
        vec(any::<u8>(), 0..=520).prop_map(|data| Message::FilterAdd(FilterAdd { data })),
        authresp.prop_map(|(public_key, client_nonce, signature)| {
            Message::Authresp(Authresp {
                public_key,
                client_nonce,
                signature,
            })
        }),
        revokemid().prop_map(Message::from),
        [script(), script()]
            .prop_map(|[message, signature]| Message::Alert(Alert { message, signature })),
    ]
}

/// Returns any message that survives a round trip. Excludes content that an encoder drops or a
/// decoder rejects.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![2 => commoner_message(), 1 => rarer_message()]
}

fn commoner_message() -> impl Strategy<Value = Message> {
    let nonce = || option::weighted(0.9, any::<u64>());
    let unknown = (select(vec!["", "foobar", "123456789012"]), script());
    prop_oneof![
        select(vec![
            Message::Verack,
            Message::GetAddr,
            Message::SendHeaders,
            Message::SendHdrsEn,
            Message::FilterClear,
        ]),
        version().prop_map(Message::from),
        (any::<u32>(), option::of(string(650))).prop_map(
            |(max_receive_payload, stream_policies)| {
                Message::Protoconf(Protoconf {
                    max_receive_payload,
                    stream_policies,
                })
            }
        ),
        nonce().prop_map(|nonce| Message::Ping(Ping { nonce })),
        nonce().prop_map(|nonce| Message::Pong(Pong { nonce })),
        (any::<bool>(), any::<u64>())
            .prop_map(|(announce, version)| Message::SendCmpct(SendCmpct { announce, version })),
        any::<i64>().prop_map(|rate| Message::FeeFilter(FeeFilter { rate })),
        (any::<u32>(), hash())
            .prop_map(|(version, challenge)| Message::Authch(Authch { version, challenge })),
        list((any::<u32>(), address())).prop_map(|entries| {
            let entries = entries
                .into_iter()
                .map(|(time, address)| TimestampedAddress { time, address });
            Message::Addr(Addr {
                addresses: entries.collect(),
            })
        }),
        inventory().prop_map(|inventory| Message::Inv(Inv { inventory })),
        inventory().prop_map(|inventory| Message::GetData(GetData { inventory })),
        inventory().prop_map(|inventory| Message::NotFound(NotFound { inventory })),
        (0..3_u8, any::<i32>(), list(hash()), hash()).prop_map(
            |(which, version, locator, stop)| {
                let locator = locator.into_iter().map(BlockHash).collect();
                let stop = BlockHash(stop);
                match which {
                    0 => GetBlocks {
                        version,
                        locator,
                        stop,
                    }
                    .into(),
                    1 => GetHeaders {
                        version,
                        locator,
                        stop,
                    }
                    .into(),
                    _ => GetHdrsEn {
                        version,
                        locator,
                        stop,
                    }
                    .into(),
                }
            }
        ),
        list(header()).prop_map(|headers| Message::Headers(Headers { headers })),
        (header(), vec(transaction(), 0..4)).prop_map(|(header, transactions)| Block::new(
            &header,
            &transactions
        )
        .into()),
        (header(), vec(transaction(), 0..4), any::<u64>()).prop_map(
            |(header, transactions, nonce)| {
                CompactBlock::new(&Block::new(&header, &transactions), nonce).into()
            }
        ),
        (hash(), list(any::<u32>())).prop_map(|(block, mut indexes)| {
            indexes.sort_unstable();
            indexes.dedup();
            GetBlockTxn::new(BlockHash(block), &indexes).unwrap().into()
        }),
        (hash(), vec(transaction(), 0..4)).prop_map(|(block, transactions)| {
            let transactions: Vec<Tx> = transactions.iter().map(Tx::from).collect();
            let views: Vec<_> = transactions.iter().map(Tx::view).collect();
            BlockTransactions::new(BlockHash(block), &views).into()
        }),
        transaction().prop_map(|transaction| Tx::from(&transaction).into()),
        vec(enriched_header(), 0..4).prop_map(|headers| Message::HdrsEn(HdrsEn::new(&headers))),
        merkle_block().prop_map(Message::from),
        tx_and_proof().prop_map(Message::from),
        dsdetected().prop_map(Message::DsDetected),
        reject().prop_map(Message::Reject),
        unknown.prop_map(|(command, payload)| Message::Unknown {
            command: Command::new(command),
            payload: payload.into(),
        }),
    ]
}

/// Returns bytes for a command: arbitrary ones, or those of a message with changed, removed or
/// added bytes.
pub(crate) fn payload() -> impl Strategy<Value = (Command, Vec<u8>)> {
    let any_bytes = (select(&COMMANDS[..]), vec(any::<u8>(), 0..200))
        .prop_map(|(command, bytes)| (Command::new(command), bytes));
    let changes = vec((any::<Index>(), any::<u8>()), 0..4);
    let changed = (
        message(),
        changes,
        option::of(any::<Index>()),
        vec(any::<u8>(), 0..3),
    );
    let changed = changed.prop_map(|(message, changes, cut, more)| {
        let mut bytes = message.encode_to_vec();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                // Most lengths and counts are near the start.
                let at = at.index(bytes.len());
                let at = if byte % 2 == 0 { at } else { at % 8 };
                bytes[at] = byte;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes.extend(more);
        (message.command(), bytes)
    });
    prop_oneof![1 => any_bytes, 3 => changed]
}

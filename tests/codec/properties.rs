//! What holds for every message, every payload and every stream of bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Addr, Alert, AssociationId, Authch, Authresp, Block, BlockHash, BlockHeader, BlockTransactions,
    BloomFilter, Command, CompactBlock, CompactTarget, CreateStrm, Decode, Encode, FeeFilter,
    FilterAdd, Frame, FrameError, FrameReader, GetBlockTxn, GetBlocks, GetData, GetHdrsEn,
    GetHeaders, Hash256, Hdrsen, Headers, Incoming, Inv, Inventory, Mempool, MerkleRoot, Message,
    NetworkAddress, NotFound, OutPoint, PayloadLimits, Ping, Pong, Protoconf, Reconstructed,
    Reconstruction, Reject, RejectCode, RevokeMid, SendCmpct, Services, StreamAck, StreamType,
    TimestampedAddress, Transaction, TransactionInput, TransactionOutput, Tx, Txid, Version,
    WireString, write_compact_size,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::proofs::{dsdetected, enriched_header, merkle_block, tx_and_proof};
use crate::support::{COMMANDS, MAGIC, Source, Step, cases, frame_of, read_all, read_bytes};

pub(crate) fn hash() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

pub(crate) fn string(longest: usize) -> impl Strategy<Value = WireString> {
    let len = prop_oneof![0..=longest.min(20), Just(longest)];
    len.prop_flat_map(|len| vec(any::<u8>(), len))
        .prop_map(|bytes| WireString::from(&bytes[..]))
}

pub(crate) fn address() -> impl Strategy<Value = NetworkAddress> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| IpAddr::V4(Ipv4Addr::from(ip))),
        any::<[u8; 16]>().prop_map(|ip| IpAddr::V6(Ipv6Addr::from(ip)).to_canonical()),
        Just(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ];
    (any::<u64>(), ip, any::<u16>()).prop_map(|(services, ip, port)| NetworkAddress {
        services: Services(services),
        ip,
        port,
    })
}

pub(crate) fn association_id() -> impl Strategy<Value = AssociationId> {
    prop_oneof![
        Just(AssociationId::Null),
        any::<[u8; 16]>().prop_map(|id| AssociationId::Uuid(uuid::Uuid::from_bytes(id))),
    ]
}

/// A version whose optional fields end after any of them.
pub(crate) fn version() -> impl Strategy<Value = Version> {
    let fixed = (any::<i32>(), any::<u64>(), any::<i64>(), address());
    let optional = (
        (address(), any::<u64>()),
        string(256),
        any::<i32>(),
        any::<bool>(),
        association_id(),
    );
    (fixed, optional, 0..=5_usize).prop_map(
        |(
            (version, services, timestamp, receiver),
            ((sender, nonce), user_agent, start_height, relay, association_id),
            groups,
        )| Version {
            version,
            services: Services(services),
            timestamp,
            receiver,
            sender: (groups >= 1).then_some(sender),
            nonce: (groups >= 1).then_some(nonce),
            user_agent: (groups >= 2).then_some(user_agent),
            start_height: (groups >= 3).then_some(start_height),
            relay: (groups >= 4).then_some(relay),
            association_id: (groups >= 5).then_some(association_id),
        },
    )
}

pub(crate) fn inventory() -> impl Strategy<Value = Vec<Inventory>> {
    let entry = (any::<u32>(), 0..7_u8, hash()).prop_map(|(kind, which, hash)| match which {
        0 => Inventory::Tx(Txid(hash)),
        1 => Inventory::Block(BlockHash(hash)),
        2 => Inventory::FilteredBlock(BlockHash(hash)),
        3 => Inventory::CompactBlock(BlockHash(hash)),
        4 => Inventory::DatarefTx(Txid(hash)),
        _ => Inventory::Unknown {
            kind: if kind <= 5 { 0 } else { kind },
            hash: Hash256(hash),
        },
    });
    list(entry)
}

/// Mostly short, sometimes with a count of three bytes.
pub(crate) fn list<T: Strategy>(entry: T) -> impl Strategy<Value = Vec<T::Value>> {
    let len = prop_oneof![9 => 0..5_usize, 1 => 252..255_usize];
    let entry = std::rc::Rc::new(entry);
    len.prop_flat_map(move |len| vec(entry.clone(), len))
}

pub(crate) fn header() -> impl Strategy<Value = BlockHeader> {
    (any::<i32>(), hash(), hash(), any::<[u32; 3]>()).prop_map(
        |(version, previous, merkle_root, [time, bits, nonce])| BlockHeader {
            version,
            previous: BlockHash(previous),
            merkle_root: MerkleRoot(merkle_root),
            time,
            bits: CompactTarget(bits),
            nonce,
        },
    )
}

pub(crate) fn script() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![9 => 0..10_usize, 1 => 252..255_usize];
    len.prop_flat_map(|len| vec(any::<u8>(), len))
}

pub(crate) fn transaction() -> impl Strategy<Value = Transaction> {
    let input = (hash(), any::<u32>(), script(), any::<u32>()).prop_map(
        |(txid, index, script, sequence)| TransactionInput {
            previous: OutPoint {
                txid: Txid(txid),
                index,
            },
            script,
            sequence,
        },
    );
    let output =
        (any::<i64>(), script()).prop_map(|(value, script)| TransactionOutput { value, script });
    let parts = (
        any::<i32>(),
        vec(input, 0..4),
        vec(output, 0..4),
        any::<u32>(),
    );
    parts.prop_map(|(version, inputs, outputs, lock_time)| Transaction {
        version,
        inputs,
        outputs,
        lock_time,
    })
}

fn reject() -> impl Strategy<Value = Reject> {
    (string(12), any::<u8>(), string(111), hash(), 0..4_u8).prop_map(
        |(message, code, reason, hash, which)| Reject {
            message: match which {
                0 | 1 => "tx".into(),
                2 => "block".into(),
                _ => message,
            },
            code: RejectCode(code),
            reason,
            hash: matches!(which, 1 | 2).then_some(Hash256(hash)),
        },
    )
}

pub(crate) fn stream_type() -> impl Strategy<Value = StreamType> {
    (0..=5_u8).prop_map(|byte| StreamType::try_from(byte).unwrap())
}

/// A filter with any bits, as a peer may send it.
pub(crate) fn bloom_filter() -> impl Strategy<Value = BloomFilter> {
    let data = vec(any::<u8>(), 0..300);
    (data, 0..=50_u32, any::<u32>(), any::<u8>()).prop_map(|(data, functions, tweak, flags)| {
        let mut bytes = Vec::new();
        write_compact_size(data.len() as u64, &mut bytes);
        bytes.extend(data);
        bytes.extend(functions.to_le_bytes());
        bytes.extend(tweak.to_le_bytes());
        bytes.push(flags);
        BloomFilter::decode_from(&bytes).unwrap()
    })
}

fn key() -> impl Strategy<Value = [u8; 33]> {
    (hash(), any::<u8>()).prop_map(|(hash, first)| {
        std::array::from_fn(|at| match at {
            0 => first,
            _ => hash[at - 1],
        })
    })
}

fn revokemid() -> impl Strategy<Value = RevokeMid> {
    let signature = || vec(any::<u8>(), 0..=255);
    ([key(), key(), key()], [signature(), signature()]).prop_map(
        |([revocation_key, miner_id, id_to_revoke], [signature1, signature2])| RevokeMid {
            revocation_key,
            miner_id,
            id_to_revoke,
            signature1,
            signature2,
        },
    )
}

/// The messages about streams, filters, miners and the memory pool.
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

/// Any message that comes back as it was: what an encoder would drop or a decoder refuse is left out.
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
        vec(enriched_header(), 0..4).prop_map(|headers| Message::Hdrsen(Hdrsen::new(&headers))),
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

/// Bytes for a command: any at all, or those of a message with some of them changed, cut off or added.
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
                // Most lengths and counts stand near the start.
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

/// Whether the message has just one wire form, so that what was read is a prefix of what came.
///
/// The others: a boolean may be any byte, an empty ID have a type, a count behind a header be any, an age be cut off, a
/// `protoconf` have more fields, and the length before the transaction of a proof be wrong.
fn is_canonical(message: &Message) -> bool {
    !matches!(
        message,
        Message::Version(_)
            | Message::SendCmpct(_)
            | Message::Headers(_)
            | Message::Protoconf(_)
            | Message::CreateStrm(_)
            | Message::StreamAck(_)
            | Message::Mempool(_)
            | Message::DatarefTx(_)
    )
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_filter_contains_what_was_put_in_and_matches_any_transaction_without_a_panic(
        filter in bloom_filter(),
        element in vec(any::<u8>(), 0..=520),
        transaction in transaction(),
    ) {
        let mut with_element = filter.clone();
        with_element.insert(&element);
        prop_assert!(with_element.contains(&element));
        let tx = Tx::from(&transaction);
        let mut updated = filter.clone();
        let matched = updated.match_and_update(tx.view());
        prop_assert!(matched || updated == filter);
        prop_assert!(!matched || updated.match_and_update(tx.view()), "it matches again");
        with_element.insert(tx.txid().as_bytes());
        prop_assert!(with_element.match_and_update(tx.view()));
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn every_message_comes_back_as_it_was(message in message()) {
        let payload = message.encode_to_vec();
        prop_assert_eq!(message.encoded_len(), payload.len() as u64);
        let read = Message::decode(message.command(), payload.clone().into());
        prop_assert_eq!(read.as_ref(), Ok(&message));
        // Bytes behind the last field are ignored, where no field may be missing at the end.
        if message.command().name() != "pong" {
            let longer = [&payload[..], &[0; 3]].concat();
            let read = Message::decode(message.command(), longer.clone().into());
            match &message {
                Message::Version(version) if version.association_id.is_none() => {}
                Message::Ping(Ping { nonce: None }) => prop_assert!(read.is_err()),
                Message::Mempool(Mempool::Empty) => {
                    prop_assert_eq!(read, Ok(Message::Mempool(Mempool::NoAge)));
                }
                Message::Unknown { .. } => prop_assert_eq!(read.unwrap().encode_to_vec(), longer),
                _ => prop_assert_eq!(read.as_ref(), Ok(&message)),
            }
        }
    }

    #[test]
    fn every_message_comes_back_through_a_frame(message in message()) {
        let bytes = frame_of(MAGIC, &message);
        let seen = read_bytes(MAGIC, PayloadLimits::default(), &bytes);
        prop_assert_eq!(seen.error, None);
        prop_assert!(!seen.inside_frame);
        let Ok([Incoming::Frame(frame)]) = <[Incoming; 1]>::try_from(seen.incoming) else {
            return Err(TestCaseError::fail("not one frame"));
        };
        prop_assert_eq!(Message::decode(frame.command, frame.payload), Ok(message));
    }

    #[test]
    fn a_message_cut_short_is_refused_or_means_less(message in message(), cut in any::<Index>()) {
        let payload = message.encode_to_vec();
        if !payload.is_empty() {
            let cut = &payload[..cut.index(payload.len())];
            if let Ok(read) = Message::decode(message.command(), cut.to_vec().into()) {
                // Only these may end early.
                prop_assert!(
                    matches!(
                        read,
                        Message::Version(_)
                            | Message::Ping(_)
                            | Message::Pong(_)
                            | Message::Reject(_)
                            | Message::Mempool(_)
                            | Message::Unknown { .. }
                    ),
                    "{:?}", read
                );
                prop_assert_ne!(read, message);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_a_message_that_is_written_again((command, bytes) in payload()) {
        if let Ok(message) = Message::decode(command, bytes.clone().into()) {
            prop_assert_eq!(message.command(), command);
            let written = message.encode_to_vec();
            prop_assert_eq!(message.encoded_len(), written.len() as u64);
            if is_canonical(&message) {
                prop_assert!(bytes.starts_with(&written), "{:?}", message);
            }
            prop_assert_eq!(Message::decode(command, written.into()), Ok(message));
        }
    }

    #[test]
    fn the_views_of_any_transactions_that_are_taken_show_all_of_their_bytes((_, bytes) in payload()) {
        for (command, from) in [("tx", 0), ("block", 0), ("tx", 80)] {
            let bytes = bytes.get(from..).unwrap_or_default().to_vec();
            match Message::decode(Command::new(command), bytes.into()) {
                Ok(Message::Tx(tx)) => {
                    let owned = Transaction::from(tx.view());
                    prop_assert_eq!(&owned.encode_to_vec(), tx.bytes());
                    prop_assert_eq!(owned.txid(), tx.txid());
                }
                Ok(Message::Block(block)) => {
                    let owned: Vec<_> = block.transactions().map(Transaction::from).collect();
                    prop_assert_eq!(owned.len(), block.transaction_count());
                    prop_assert_eq!(Block::new(&block.header(), &owned), block);
                }
                Ok(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
                Err(_) => {}
            }
        }
    }

    #[test]
    fn the_views_of_any_compact_block_that_is_taken_show_all_of_its_bytes((_, bytes) in payload()) {
        for command in ["cmpctblock", "getblocktxn", "blocktxn"] {
            match Message::decode(Command::new(command), bytes.clone().into()) {
                Ok(Message::CompactBlock(compact)) => {
                    prop_assert_eq!(compact.short_ids().len(), compact.short_ids().count());
                    prop_assert_eq!(compact.prefilled().len(), compact.prefilled().count());
                    let names = 6 * compact.short_ids().count();
                    let prefilled = compact.prefilled().map(|(_, tx)| tx.bytes().len() + 1);
                    let shown = 80 + 8 + names + prefilled.sum::<usize>();
                    prop_assert!(shown <= compact.bytes().len());
                    if compact.check().is_ok() {
                        let count = compact.transaction_count() as u64;
                        prop_assert!(compact.prefilled().all(|(index, _)| index < count));
                    }
                    // Whatever it is, it can be taken for a block to reconstruct.
                    let nothing = std::iter::empty::<(Txid, Tx)>();
                    if let Ok(Reconstructed::Incomplete(waiting)) =
                        Reconstruction::start(compact, u64::MAX, nothing)
                    {
                        let indexes = waiting.request();
                        prop_assert!(indexes.indexes().eq(waiting.missing().iter().copied()));
                    }
                }
                Ok(Message::GetBlockTxn(request)) => {
                    let indexes: Vec<u32> = request.indexes().collect();
                    prop_assert_eq!(GetBlockTxn::new(request.block(), &indexes), Ok(request));
                }
                Ok(Message::BlockTransactions(answer)) => {
                    let views: Vec<_> = answer.transactions().collect();
                    prop_assert_eq!(BlockTransactions::new(answer.block(), &views), answer);
                }
                Ok(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
                Err(_) => {}
            }
        }
    }
}

/// Small limits, so that all that can become of a frame does.
fn limits() -> PayloadLimits {
    PayloadLimits {
        general: 600,
        block: 5_000,
        buffered: 300,
        ..PayloadLimits::default()
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_bytes_make_frames_or_one_error_and_no_panic(
        bytes in vec(any::<u8>(), 0..300),
        magic_at in 0..3_usize,
    ) {
        let mut bytes = bytes;
        // Nothing gets far without a magic.
        for at in [0, 100, 200].into_iter().take(magic_at) {
            if let Some(magic) = bytes.get_mut(at..at + 4) {
                magic.copy_from_slice(&MAGIC.0);
            }
        }
        let mut frames = FrameReader::new(MAGIC, limits());
        let seen = read_all(&mut frames, &mut &bytes[..]);
        for incoming in seen.incoming {
            if let Incoming::Frame(frame) = incoming {
                let _ = Message::decode(frame.command, frame.payload);
            }
        }
        if let Some(error) = seen.error {
            prop_assert_eq!(frames.next_frame(), Err(error));
        }
    }

    #[test]
    fn a_changed_stream_gives_the_same_however_it_arrives(
        messages in vec(message(), 1..4),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        pieces in vec(1..80_usize, 0..50),
    ) {
        let mut bytes: Vec<u8> = messages.iter().flat_map(|m| frame_of(MAGIC, m)).collect();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let at_once = read_bytes(MAGIC, limits(), &bytes);
        let steps = pieces.into_iter().map(Step::Bytes).collect();
        let mut source = Source { bytes: &bytes, steps };
        let in_pieces = read_all(&mut FrameReader::new(MAGIC, limits()), &mut source);
        prop_assert_eq!(at_once, in_pieces);
    }

    #[test]
    fn one_changed_byte_spoils_one_frame_or_ends_the_stream(
        messages in [message(), message()],
        at in any::<Index>(),
        bit in 0..8_u32,
    ) {
        let frames = messages.map(|message| frame_of(MAGIC, &message));
        let mut bytes = frames[0].clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let long = PayloadLimits::default();
        let intact = read_bytes(MAGIC, long, &frames.concat()).incoming;
        let seen = read_bytes(MAGIC, long, &[&bytes[..], &frames[1]].concat());
        match at {
            0..4 => {
                prop_assert!(matches!(seen.error, Some(FrameError::WrongMagic(_))));
                prop_assert_eq!(seen.incoming, []);
            }
            // Another length: another checksum too, or bytes awaited that are not there.
            16..20 => prop_assert!(!matches!(seen.incoming.first(), Some(Incoming::Frame(_)))),
            4..16 => {
                let [Incoming::Frame(frame), _] = &intact[..] else {
                    return Err(TestCaseError::fail("two frames"));
                };
                match seen.incoming.first() {
                    Some(Incoming::Frame(Frame { command, payload, extended })) => {
                        prop_assert_ne!(command, &frame.command);
                        prop_assert_eq!((payload, extended), (&frame.payload, &frame.extended));
                    }
                    Some(Incoming::Dropped(_)) => {}
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                }
                prop_assert_eq!(&seen.incoming[1..], &intact[1..]);
            }
            _ => {
                prop_assert!(matches!(seen.incoming[0], Incoming::Dropped(_)));
                prop_assert_eq!(&seen.incoming[1..], &intact[1..]);
                prop_assert_eq!(seen.error, None);
            }
        }
    }
}

#[test]
fn blocks_and_transactions_with_counts_of_every_width_come_back_as_they_were() {
    let empty = Transaction::default();
    for count in [0, 1, 252, 253, 65_535, 65_536] {
        let block = Block::new(
            &BlockHeader::genesis(Network::Regtest),
            &vec![empty.clone(); count],
        );
        let read = Block::from_payload(block.bytes().to_vec().into()).unwrap();
        assert_eq!(read, block);
        assert_eq!(read.transactions().len(), count);
        let mut transactions = read.transactions();
        assert!(transactions.all(|transaction| Transaction::from(transaction) == empty));

        let output = TransactionOutput {
            value: -1,
            script: vec![0x6a; count],
        };
        let many = Transaction {
            outputs: vec![output.clone()],
            ..empty.clone()
        };
        let tx = Tx::from_payload(many.encode_to_vec().into()).unwrap();
        let shown: Vec<_> = tx.view().outputs().map(|o| (o.value, o.script)).collect();
        assert_eq!(shown, [(-1, &output.script[..])]);
    }
}

#[test]
fn every_command_with_a_type_is_decoded_to_it() {
    for command in COMMANDS {
        let decoded = Message::decode(Command::new(command), vec![0; 300].into());
        let unknown = matches!(decoded, Ok(Message::Unknown { .. }));
        assert!(!unknown, "{command}");
    }
    let genesis = Block::genesis(Network::Regtest);
    let decoded = Message::decode(Command::new("Block"), genesis.bytes().clone());
    assert!(
        matches!(decoded, Ok(Message::Unknown { .. })),
        "names have a case"
    );
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn nothing_in_a_string_can_forge_a_line_or_end_its_quotes(
        bytes in vec(prop_oneof![any::<u8>(), select(&b"\n\r\"\\\x1b"[..])], 0..20),
    ) {
        let string = WireString::from(&bytes[..]);
        let (shown, quoted) = (string.to_string(), format!("{string:?}"));
        prop_assert!(shown.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", shown);
        let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
        prop_assert!(inside.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", inside);
        // Every backslash takes the next character with it: no quote is left over.
        let mut characters = inside.chars();
        while let Some(character) = characters.next() {
            prop_assert_ne!(character, '"');
            if character == '\\' {
                prop_assert!(characters.next().is_some(), "{}", inside);
            }
        }
    }
}

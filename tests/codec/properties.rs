//! Properties of every message, payload and stream of bytes.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Block, BlockHeader, BlockTransactions, Command, Encode, Frame, FrameError, FrameReader,
    GetBlockTxn, Incoming, Mempool, Message, PayloadLimits, Ping, ReconstructOutcome,
    Reconstruction, Transaction, TransactionOutput, Tx, Txid, WireString,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::any_message::{message, payload};
use crate::parts::{bloom_filter, transaction};
use crate::support::{COMMANDS, MAGIC, Source, Step, cases, frame_of, read_all, read_bytes};

/// Returns whether the message has only one encoding, so that the encoding is a prefix of the
/// decoded bytes.
///
/// Other messages have several: a boolean may be any byte, an empty ID may have a type, a count
/// after a header may be any, an age may be truncated, a `protoconf` may have more fields, and the
/// length before the transaction of a proof may be wrong.
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

    /// Matching any transaction never panics.
    #[test]
    fn bloom_filter_contains_inserted_elements(
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
    fn messages_survive_encoding_round_trip(message in message()) {
        let payload = message.encode_to_vec();
        prop_assert_eq!(message.encoded_len(), payload.len() as u64);
        let read = Message::decode(message.command(), payload.clone().into());
        prop_assert_eq!(read.as_ref(), Ok(&message));
        // Bytes after the last field are ignored if no field may be missing at the end.
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
    fn messages_survive_frame_round_trip(message in message()) {
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
    fn truncated_message_is_rejected_or_means_less(message in message(), cut in any::<Index>()) {
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
    fn arbitrary_bytes_are_rejected_or_survive_round_trip((command, bytes) in payload()) {
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
    fn transaction_views_expose_all_bytes((_, bytes) in payload()) {
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
    fn compact_block_views_expose_all_bytes((_, bytes) in payload()) {
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
                    // Any message is accepted as a block to reconstruct.
                    let nothing = std::iter::empty::<(Txid, Tx)>();
                    if let Ok(ReconstructOutcome::Incomplete(waiting)) =
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

/// Returns small limits, so that every result of a frame occurs.
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
    fn arbitrary_bytes_yield_frames_or_one_error(
        bytes in vec(any::<u8>(), 0..300),
        magic_at in 0..3_usize,
    ) {
        let mut bytes = bytes;
        // Bytes without a magic are rejected early.
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
    fn corrupt_stream_does_not_depend_on_segmentation(
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
    fn corrupt_byte_spoils_one_frame_or_the_stream(
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
                prop_assert!(matches!(seen.error, Some(FrameError::MagicMismatch(_))));
                prop_assert_eq!(seen.incoming, []);
            }
            // A changed length means another checksum or missing bytes.
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
fn counts_of_every_width_survive_round_trip() {
    let empty = Transaction::default();
    for count in [0, 1, 252, 253, 65_535, 65_536] {
        let block = Block::new(
            &BlockHeader::genesis(&Network::Regtest),
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
fn known_commands_decode_to_their_type() {
    for command in COMMANDS {
        let decoded = Message::decode(Command::new(command), vec![0; 300].into());
        let unknown = matches!(decoded, Ok(Message::Unknown { .. }));
        assert!(!unknown, "{command}");
    }
    let genesis = Block::genesis(&Network::Regtest);
    let decoded = Message::decode(Command::new("Block"), genesis.bytes().clone());
    assert!(
        matches!(decoded, Ok(Message::Unknown { .. })),
        "names have a case"
    );
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn wire_string_escapes_lines_and_quotes(
        bytes in vec(prop_oneof![any::<u8>(), select(&b"\n\r\"\\\x1b"[..])], 0..20),
    ) {
        let string = WireString::from(&bytes[..]);
        let (shown, quoted) = (string.to_string(), format!("{string:?}"));
        prop_assert!(shown.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", shown);
        let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
        prop_assert!(inside.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", inside);
        // Every backslash escapes the next character: no quote is left.
        let mut characters = inside.chars();
        while let Some(character) = characters.next() {
            prop_assert_ne!(character, '"');
            if character == '\\' {
                prop_assert!(characters.next().is_some(), "{}", inside);
            }
        }
    }
}

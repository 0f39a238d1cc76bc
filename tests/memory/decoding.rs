//! Memory of decoded messages, and allocations of their views.

use std::hint::black_box;

use allocation_counter::{AllocationInfo, measure};
use bsv_p2p::wire::{
    BlockHash, Command, CompactBlock, Encode, EncodedFrame, GetBlockTxn, Message, Tx,
};
use bytes::Bytes;

use crate::messages::messages;
use crate::samples::{
    big_answer, big_block, conflicting_blocks, enriched_headers, one_transaction,
};
use crate::{MAGIC, PLACE};

/// Returns the message decoded from `payload`, and the memory during and after decoding.
fn decoded(command: Command, payload: &[u8]) -> (Message, AllocationInfo) {
    let mut message = None;
    let counted = measure(|| {
        let payload = Bytes::from(payload.to_vec());
        message = Some(Message::decode(command, payload).unwrap());
    });
    (message.unwrap(), counted)
}

#[test]
fn decoded_message_uses_at_most_twice_its_payload() {
    for message in messages() {
        let payload = message.encode_to_vec();
        let (read, counted) = decoded(message.command(), &payload);
        assert_eq!(read, message);
        let twice = 2 * payload.len() as i64 + 128;
        let name = message.command();
        assert!(counted.bytes_current <= twice, "{name}: {counted:?}");
        // During decoding, the payload itself is allocated, too.
        let peak = twice as u64 + payload.len() as u64;
        assert!(counted.bytes_max <= peak, "{name}: {counted:?}");
    }
}

#[test]
fn lazily_decoded_message_shares_its_payload() {
    let tx = Tx::from(&one_transaction());
    let indexes: Vec<u32> = (0..1_000).collect();
    for message in [
        Message::Block(big_block()),
        Message::CompactBlock(CompactBlock::new(&big_block(), 7)),
        Message::GetBlockTxn(GetBlockTxn::new(BlockHash::ZERO, &indexes).unwrap()),
        Message::BlockTransactions(big_answer()),
        Message::Tx(tx),
        Message::HdrsEn(enriched_headers(true)),
        Message::DsDetected(conflicting_blocks(0, 1)),
    ] {
        assert!(message.payload_bytes().is_some(), "{message:?}");
        let bytes = message.encode_to_vec();
        let payload = Bytes::from(bytes);
        let mut read = None;
        let counted =
            measure(|| read = Some(Message::decode(message.command(), payload.clone()).unwrap()));
        let places = match &message {
            Message::Block(block) => block.transaction_count() as u64 * PLACE,
            _ => 0,
        };
        // Otherwise only the counter of the shared payload.
        assert!(counted.bytes_total <= 64 + places, "{counted:?}");
        let read = read.unwrap();
        let shared = read.payload_bytes().unwrap();
        assert_eq!(
            (shared.as_ptr(), shared.len()),
            (payload.as_ptr(), payload.len())
        );
        // It is encoded without a copy.
        let counted = measure(|| {
            let frame = EncodedFrame::new(MAGIC, &read);
            assert_eq!(frame.payload().as_ptr(), payload.as_ptr());
            black_box((frame.clone(), read.clone()));
        });
        assert!(counted.bytes_total <= 64, "{counted:?}");
    }
}

#[test]
fn parts_of_lazily_decoded_message_share_its_payload() {
    let hdrsen = enriched_headers(true);
    let counted = measure(|| {
        for header in hdrsen.headers() {
            assert_eq!(
                header.coinbase.as_ref().unwrap().tx.txid(),
                black_box(header.miner_info.unwrap().tx.txid())
            );
        }
    });
    // Only the counter of the shared payload.
    assert!(counted.bytes_total <= 64, "{counted:?}");
    let dsdetected = conflicting_blocks(0, 1);
    let counted = measure(|| {
        for block in dsdetected.blocks() {
            black_box(block.proof.root());
        }
    });
    assert!(counted.bytes_total <= 64, "{counted:?}");
}

#[test]
fn block_views_allocate_nothing() {
    let block = big_block();
    let counted = measure(|| {
        let mut paid = 0;
        for transaction in block.transactions() {
            black_box(transaction.txid());
            black_box(transaction.inputs().count());
            paid += transaction
                .outputs()
                .map(|output| output.value)
                .sum::<i64>();
        }
        assert_eq!(paid, 500 * 5_000_000_000);
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

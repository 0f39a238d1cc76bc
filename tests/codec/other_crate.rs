//! Comparison with the crate `bitcoin`: where the protocols agree, both implementations decode and
//! encode the same bytes.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::message::{NetworkMessage, RawNetworkMessage};
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, Decode, Encode, Inventory, Mempool, Message, Ping, Pong,
    Services, Transaction, Version, merkle_root,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::any_message::message;
use crate::parts::{header, transaction};
use crate::support::{MAGIC, cases, frame_of};

/// The other protocol interprets a leading input count of zero as the marker of another
/// transaction form.
fn common_transaction() -> impl Strategy<Value = Transaction> {
    transaction().prop_filter("no input", |transaction| !transaction.inputs.is_empty())
}

/// Returns whether the other protocol has this message in the same form.
fn is_common(message: &Message) -> bool {
    match message {
        Message::Version(version) => is_common_version(version),
        Message::Tx(tx) => tx.view().inputs().len() > 0,
        Message::Block(block) => block.transactions().all(|tx| tx.inputs().len() > 0),
        Message::Verack
        | Message::GetAddr
        | Message::SendHeaders
        | Message::FilterClear
        | Message::Ping(Ping { nonce: Some(_) })
        | Message::Pong(Pong { nonce: Some(_) })
        | Message::SendCmpct(_)
        | Message::Addr(_)
        | Message::Inv(_)
        | Message::GetData(_)
        | Message::NotFound(_)
        | Message::GetBlocks(_)
        | Message::GetHeaders(_)
        | Message::Headers(_)
        | Message::Mempool(Mempool::Empty)
        | Message::FilterAdd(_) => true,
        _ => false,
    }
}

/// Returns whether the version is complete, has no association ID, which only this protocol has,
/// and has a textual user agent.
fn is_common_version(version: &Version) -> bool {
    let named = version
        .user_agent
        .as_ref()
        .is_some_and(|name| name.as_str().is_some());
    named && version.relay.is_some() && version.association_id.is_none()
}

/// Decodes the frame of a message with the other crate, and checks that it encodes the same frame.
fn read_by_the_other(message: &Message) -> NetworkMessage {
    let frame = frame_of(MAGIC, message);
    let read: RawNetworkMessage = deserialize(&frame).expect("a message of both protocols");
    let payload = read.payload().clone();
    let magic = bitcoin::p2p::Magic::from_bytes(MAGIC.0);
    // Created anew, so that length and checksum are computed.
    let written = serialize(&RawNetworkMessage::new(magic, payload.clone()));
    assert_eq!(hex::encode(written), hex::encode(frame));
    payload
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn common_messages_match_other_crate(
        message in message().prop_filter("ours alone", is_common),
    ) {
        let theirs = read_by_the_other(&message);
        assert_eq!(theirs.cmd(), message.command().name());
        compare_parts(&message, &theirs);
    }

    #[test]
    fn transactions_have_the_same_parts_and_names(ours in common_transaction()) {
        let bytes = ours.encode_to_vec();
        let theirs: bitcoin::Transaction = deserialize(&bytes).unwrap();
        prop_assert_eq!(serialize(&theirs), &bytes[..]);
        assert_eq!(Transaction::decode_from(&bytes).as_ref(), Ok(&ours));
        compare_transactions(&ours, &theirs);
    }

    #[test]
    fn blocks_match_hashes_of_other_crate(
        header in header(),
        transactions in vec(common_transaction(), 1..9),
    ) {
        let ours = Block::new(&header, &transactions);
        let theirs: bitcoin::Block = deserialize(ours.bytes()).unwrap();
        prop_assert_eq!(serialize(&theirs), &ours.bytes()[..]);
        compare_blocks(&ours, &theirs);
        let (root, _) = merkle_root(ours.transactions().map(|transaction| transaction.txid()));
        prop_assert_eq!(Some(root.0), theirs.compute_merkle_root().map(|root| root.to_byte_array()));
        prop_assert_eq!(ours.check_merkle_root().is_ok(), theirs.check_merkle_root());
    }
}

fn compare_parts(ours: &Message, theirs: &NetworkMessage) {
    match (ours, theirs) {
        (Message::Version(ours), NetworkMessage::Version(theirs)) => {
            let agent = ours.user_agent.as_ref().and_then(|agent| agent.as_str());
            assert_eq!(agent, Some(&theirs.user_agent[..]));
            assert_eq!(ours.version as u32, theirs.version);
            assert_eq!(
                (ours.services.0, ours.timestamp),
                (theirs.services.to_u64(), theirs.timestamp)
            );
            assert_eq!(
                (ours.nonce, ours.start_height),
                (Some(theirs.nonce), Some(theirs.start_height))
            );
            assert_eq!(ours.relay, Some(theirs.relay));
        }
        (Message::Tx(ours), NetworkMessage::Tx(theirs)) => {
            compare_transactions(&ours.view().into(), theirs);
        }
        (Message::Block(ours), NetworkMessage::Block(theirs)) => compare_blocks(ours, theirs),
        (Message::Headers(ours), NetworkMessage::Headers(theirs)) => {
            assert_eq!(ours.headers.len(), theirs.len());
            ours.headers
                .iter()
                .zip(theirs)
                .for_each(|(ours, theirs)| compare_headers(ours, theirs));
        }
        (Message::Inv(ours), NetworkMessage::Inv(theirs)) => {
            let theirs = theirs.iter().map(|entry| entry.network_hash());
            assert!(
                ours.inventory
                    .iter()
                    .map(|entry| Some(entry.hash().0))
                    .eq(theirs)
            );
        }
        (Message::GetData(ours), NetworkMessage::GetData(theirs)) => {
            assert_eq!(ours.inventory.len(), theirs.len());
            for (ours, theirs) in ours.inventory.iter().zip(theirs) {
                compare_inventory(ours, theirs);
            }
        }
        (Message::Addr(ours), NetworkMessage::Addr(theirs)) => {
            assert_eq!(ours.addresses.len(), theirs.len());
            for (ours, (time, theirs)) in ours.addresses.iter().zip(theirs) {
                assert_eq!(ours.time, *time);
                assert_eq!(ours.address.services, Services(theirs.services.to_u64()));
                let (ip, port) = (ours.address.ip, ours.address.port);
                let segments = match ip {
                    std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped().segments(),
                    std::net::IpAddr::V6(ip) => ip.segments(),
                };
                assert_eq!((segments, port), (theirs.address, theirs.port));
            }
        }
        _ => {}
    }
}

fn compare_inventory(ours: &Inventory, theirs: &bitcoin::p2p::message_blockdata::Inventory) {
    use bitcoin::p2p::message_blockdata::Inventory as Theirs;
    assert_eq!(Some(ours.hash().0), theirs.network_hash());
    match theirs {
        Theirs::Transaction(_) => assert!(matches!(ours, Inventory::Tx(_))),
        Theirs::Block(_) => assert!(matches!(ours, Inventory::Block(_))),
        Theirs::CompactBlock(_) => assert!(matches!(ours, Inventory::CompactBlock(_))),
        Theirs::Unknown { inv_type, .. } => assert_eq!(ours.kind(), *inv_type),
        // Numbers with another meaning in the other protocol.
        _ => assert!(ours.kind() >= 5),
    }
}

fn compare_blocks(ours: &Block, theirs: &bitcoin::Block) {
    compare_headers(&ours.header(), &theirs.header);
    assert_eq!(ours.hash().0, theirs.block_hash().to_byte_array());
    assert_eq!(ours.transaction_count(), theirs.txdata.len());
    for (ours, theirs) in ours.transactions().zip(&theirs.txdata) {
        compare_transactions(&ours.into(), theirs);
    }
}

fn compare_headers(ours: &BlockHeader, theirs: &bitcoin::block::Header) {
    assert_eq!(ours.version, theirs.version.to_consensus());
    assert_eq!(
        ours.previous,
        BlockHash(theirs.prev_blockhash.to_byte_array())
    );
    assert_eq!(ours.merkle_root.0, theirs.merkle_root.to_byte_array());
    assert_eq!(ours.bits.0, theirs.bits.to_consensus());
    assert_eq!((ours.time, ours.nonce), (theirs.time, theirs.nonce));
    assert_eq!(ours.hash().to_string(), theirs.block_hash().to_string());
}

fn compare_transactions(ours: &Transaction, theirs: &bitcoin::Transaction) {
    assert_eq!(ours.version, theirs.version.0);
    assert_eq!(ours.lock_time, theirs.lock_time.to_consensus_u32());
    assert_eq!(ours.inputs.len(), theirs.input.len());
    for (ours, theirs) in ours.inputs.iter().zip(&theirs.input) {
        let previous = theirs.previous_output;
        assert_eq!(ours.previous.txid.0, previous.txid.to_byte_array());
        assert_eq!(ours.previous.index, previous.vout);
        assert_eq!(ours.script, theirs.script_sig.as_bytes());
        assert_eq!(ours.sequence, theirs.sequence.0);
    }
    assert_eq!(ours.outputs.len(), theirs.output.len());
    for (ours, theirs) in ours.outputs.iter().zip(&theirs.output) {
        assert_eq!(ours.value as u64, theirs.value.to_sat());
        assert_eq!(ours.script, theirs.script_pubkey.as_bytes());
    }
    assert_eq!(ours.txid().to_string(), theirs.compute_txid().to_string());
}

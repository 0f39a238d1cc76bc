//! A message of every kind.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Addr, Alert, AssociationId, Authch, Authresp, BlockHash, BlockHeader, BloomFilter, BloomFlags,
    Command, CompactBlock, CreateStrm, FeeFilter, FilterAdd, GetBlockTxn, GetBlocks, GetData,
    GetHdrsEn, GetHeaders, Hash256, Headers, Inv, Inventory, Mempool, Message, NetworkAddress,
    NotFound, Ping, Pong, ProofSubject, Protoconf, Reject, RejectCode, RevokeMid, SendCmpct,
    Services, StreamAck, StreamType, TimestampedAddress, Tx, Txid, Version,
};

use crate::samples::{
    big_answer, big_block, conflicting_blocks, enriched_headers, merkle_block, one_transaction,
    shortest_transactions, tx_and_proof,
};

/// Returns a message of every type, with dense and long lists.
pub(crate) fn messages() -> Vec<Message> {
    let address = NetworkAddress {
        services: Services::NETWORK,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 8333,
    };
    let entry = TimestampedAddress { time: 1, address };
    let inventory = vec![Inventory::Tx(Txid([7; 32])); 1_000];
    let minimal = Version {
        version: 70016,
        services: Services::NONE,
        timestamp: 1,
        receiver: address,
        sender: None,
        nonce: None,
        user_agent: None,
        start_height: None,
        relay: None,
        association_id: None,
    };
    let full = Version {
        sender: Some(address),
        nonce: Some(7),
        user_agent: Some("x".repeat(256).into()),
        start_height: Some(1),
        relay: Some(true),
        association_id: Some(AssociationId::Null),
        ..minimal.clone()
    };
    vec![
        Message::Verack,
        Message::GetAddr,
        Message::SendHeaders,
        Message::SendHdrsEn,
        Message::FilterClear,
        Message::from(minimal),
        Message::from(full),
        Message::Protoconf(Protoconf {
            max_receive_payload: 1,
            stream_policies: Some("x".repeat(650).into()),
        }),
        Message::Ping(Ping::new(7)),
        Message::Pong(Pong::new(7)),
        Message::SendCmpct(SendCmpct {
            announce: true,
            version: 1,
        }),
        Message::FeeFilter(FeeFilter { rate: 250 }),
        Message::Authch(Authch {
            version: 1,
            challenge: [7; 32],
        }),
        Message::Authresp(Authresp {
            public_key: [2; 33],
            client_nonce: 7,
            signature: vec![0x30; 72],
        }),
        Message::from(RevokeMid {
            revocation_key: [2; 33],
            miner_id: [3; 33],
            id_to_revoke: [2; 33],
            signature1: vec![0x30; 71],
            signature2: vec![0x30; 72],
        }),
        Message::CreateStrm(CreateStrm {
            association_id: AssociationId::Null,
            stream_type: StreamType::Data1,
            stream_policy: "x".repeat(64).into(),
        }),
        Message::StreamAck(StreamAck {
            association_id: AssociationId::Null,
            stream_type: StreamType::Data1,
        }),
        Message::Mempool(Mempool::Empty),
        Message::Mempool(Mempool::Age(3600)),
        // The maximum length of a filter.
        Message::FilterLoad(BloomFilter::new(1_000_000, 0.001, 7, BloomFlags::ALL).unwrap()),
        Message::FilterAdd(FilterAdd { data: vec![7; 520] }),
        Message::Alert(Alert {
            message: vec![7; 10_000],
            signature: vec![7; 10_000],
        }),
        Message::Addr(Addr {
            addresses: vec![entry; 1_000],
        }),
        Message::Inv(Inv {
            inventory: inventory.clone(),
        }),
        Message::GetData(GetData {
            inventory: inventory.clone(),
        }),
        Message::NotFound(NotFound { inventory }),
        Message::GetBlocks(GetBlocks {
            version: 1,
            locator: vec![BlockHash::ZERO; 1_000],
            stop: BlockHash::ZERO,
        }),
        Message::GetHeaders(GetHeaders {
            version: 1,
            locator: vec![BlockHash::ZERO; 1_000],
            stop: BlockHash::ZERO,
        }),
        Message::GetHdrsEn(GetHdrsEn {
            version: 1,
            locator: vec![BlockHash::ZERO; 1_000],
            stop: BlockHash::ZERO,
        }),
        Message::Headers(Headers {
            headers: vec![BlockHeader::genesis(&Network::Regtest); 2_000],
        }),
        Message::Block(big_block()),
        Message::Block(shortest_transactions(0)),
        Message::Block(shortest_transactions(1_000)),
        Message::CompactBlock(CompactBlock::new(&big_block(), 7)),
        Message::GetBlockTxn(
            GetBlockTxn::new(BlockHash::ZERO, &(0..1_000).collect::<Vec<u32>>()).unwrap(),
        ),
        Message::BlockTransactions(big_answer()),
        Message::Tx(Tx::from(&one_transaction())),
        Message::HdrsEn(enriched_headers(false)),
        Message::HdrsEn(enriched_headers(true)),
        merkle_block(0).into(),
        merkle_block(1_000).into(),
        Message::from(tx_and_proof(ProofSubject::Txid(Txid::ZERO), 0)),
        Message::from(tx_and_proof(ProofSubject::Txid(Txid::ZERO), 1_000)),
        Message::DsDetected(conflicting_blocks(0, 0)),
        Message::DsDetected(conflicting_blocks(1, 1)),
        Message::Reject(Reject {
            message: "tx".into(),
            code: RejectCode::INVALID,
            reason: "x".repeat(111).into(),
            hash: Some(Hash256::ZERO),
        }),
        Message::Unknown {
            command: Command::new("foobar"),
            payload: vec![7; 10_000].into(),
        },
    ]
}

#[test]
fn there_is_a_message_of_every_kind() {
    let commands: BTreeSet<String> = messages()
        .iter()
        .map(|message| message.command().to_string())
        .collect();
    // The count of README.md, and an unknown message.
    assert_eq!(commands.len(), 38 + 1, "{commands:?}");
}

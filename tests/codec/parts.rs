//! Strategies for arbitrary parts of messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bsv_p2p::wire::{
    AssociationId, BlockHash, BlockHeader, BloomFilter, CompactTarget, Decode, Hash256, Inventory,
    MerkleRoot, NetworkAddress, OutPoint, Reject, RejectCode, RevokeMid, Services, StreamType,
    Transaction, TransactionInput, TransactionOutput, Txid, Version, WireString,
    write_compact_size,
};
use proptest::collection::vec;
use proptest::prelude::*;

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

/// Returns a version whose optional fields end after any of them.
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

pub(crate) fn reject() -> impl Strategy<Value = Reject> {
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

/// Returns a filter with any bits, as a peer may send it.
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

pub(crate) fn key() -> impl Strategy<Value = [u8; 33]> {
    (hash(), any::<u8>()).prop_map(|(hash, first)| {
        std::array::from_fn(|at| match at {
            0 => first,
            _ => hash[at - 1],
        })
    })
}

pub(crate) fn revokemid() -> impl Strategy<Value = RevokeMid> {
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

//! Messages for the codec benchmark, identical in every run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Addr, BlockHeader, Headers, Inv, Inventory, NetworkAddress, OutPoint, Services,
    TimestampedAddress, Transaction, TransactionInput, TransactionOutput, Txid, Version,
};
use test_support::SeededRandom;

/// Starts the numbers of every sample.
pub(crate) const SEED: u64 = 1;

/// Creates transactions like those of wallets: inputs with signatures and public keys, outputs to
/// hashes of public keys.
pub(crate) fn transactions(count: usize) -> Vec<Transaction> {
    let random = &mut SeededRandom::new(SEED);
    let mut made = || {
        let (inputs, outputs) = match random.below(8) {
            0 => (1, 3),
            1 => (2, 1),
            2 => (2, 3),
            3 => (3, 1),
            _ => (2, 2),
        };
        transaction(inputs, outputs, random)
    };
    (0..count).map(|_| made()).collect()
}

pub(crate) fn transaction(inputs: usize, outputs: usize, random: &mut SeededRandom) -> Transaction {
    let inputs = (0..inputs).map(|_| TransactionInput {
        previous: OutPoint {
            txid: Txid(random.bytes()),
            index: random.below(4) as u32,
        },
        script: vec![0x55; 106 + random.below(3)],
        sequence: u32::MAX,
    });
    let inputs = inputs.collect();
    let outputs = (0..outputs).map(|_| TransactionOutput {
        value: (random.next_u64() >> 24) as i64,
        script: vec![0x76; 25],
    });
    Transaction {
        version: 2,
        inputs,
        outputs: outputs.collect(),
        lock_time: 0,
    }
}

/// Returns transactions alone: blocks are announced one by one.
pub(crate) fn inv() -> Inv {
    let random = &mut SeededRandom::new(SEED);
    let entry = |_| Inventory::Tx(Txid(random.bytes()));
    Inv::from((0..50_000).map(entry).collect::<Vec<_>>())
}

pub(crate) fn headers() -> Headers {
    let mut header = BlockHeader::genesis(&Network::Mainnet);
    let next = |nonce| {
        header.previous = header.hash();
        header.nonce = nonce;
        header
    };
    Headers {
        headers: (0..2_000).map(next).collect(),
    }
}

pub(crate) fn addr() -> Addr {
    let random = &mut SeededRandom::new(SEED);
    let entry = |time| TimestampedAddress {
        time,
        address: NetworkAddress {
            services: Services(0x21),
            ip: match random.below(4) {
                0 => IpAddr::V6(Ipv6Addr::from(random.bytes::<16>())),
                _ => IpAddr::V4(Ipv4Addr::from(random.bytes::<4>())),
            },
            port: 8333,
        },
    };
    Addr {
        addresses: (0..1_000).map(entry).collect(),
    }
}

/// Returns a version without an association ID, which the other crates do not know.
pub(crate) fn version() -> Version {
    Version {
        version: 70016,
        services: Services(0x21),
        timestamp: 1_700_000_000,
        receiver: NetworkAddress::new(Services(0x21), ([203, 0, 113, 7], 8333).into()),
        sender: Some(NetworkAddress::unspecified(Services(0x21))),
        nonce: Some(0x0123_4567_89ab_cdef),
        user_agent: Some("/Bitcoin SV:1.2.2/".into()),
        start_height: Some(900_000),
        relay: Some(true),
        association_id: None,
    }
}

//! Counts and lengths that claim more than the payload contains.

use allocation_counter::measure;
use bsv_p2p::Network;
use bsv_p2p::wire::{Command, Message};
use bytes::Bytes;

use crate::PLACE;
use crate::samples::big_block;

#[test]
fn hostile_count_allocates_nothing() {
    const MANY: [u8; 5] = [0xfe, 0xff, 0xff, 0xff, 0xff];
    let behind = |start: usize| [&vec![1; start][..], &MANY, &[1; 200]].concat();
    // The position of each count and length in a payload.
    for (command, start) in [
        ("addr", 0),
        ("inv", 0),
        ("getdata", 0),
        ("notfound", 0),
        ("getheaders", 4),
        ("getblocks", 4),
        ("gethdrsen", 4),
        ("createstrm", 0),
        ("streamack", 0),
        ("filterload", 0),
        ("filteradd", 0),
        ("authresp", 0),
        ("alert", 0),
        ("headers", 0),
        ("block", 80),
        ("cmpctblock", 88),
        ("getblocktxn", 32),
        ("blocktxn", 32),
        ("tx", 4),
        ("reject", 0),
    ] {
        refused_for_nothing(command, behind(start));
    }
    // After valid content.
    let block = big_block();
    let transaction = Network::Regtest.genesis_transaction();
    let script_len_at = 4 + 1 + 36;
    let outputs_at = transaction.len() - 4 - 1 - 8 - 67;
    for at in [script_len_at, outputs_at - 1, outputs_at + 8] {
        let hostile = [&transaction[..at], &MANY, &transaction[at..]].concat();
        refused_for_nothing("tx", hostile.clone());
        let before = &block.bytes()[..block.bytes().len() - transaction.len()];
        // The offsets of the earlier transactions are allocated, for which there are enough bytes.
        refused_for("block", [before, &hostile].concat(), 1, 500 * PLACE);
        refused_for_nothing("blocktxn", [&[7; 32][..], &[1], &hostile].concat());
        let before = [&[7; 88][..], &[1, 1, 2, 3, 4, 5, 6], &[1, 0]].concat();
        refused_for_nothing("cmpctblock", [&before, &hostile[..]].concat());
    }
    refused_for_nothing("hdrsen", behind(0));
    refused_for_nothing("merkleblock", behind(84));
    let flags = [&[0; 84][..], &[0], &MANY, &[1; 200]].concat();
    refused_for_nothing("merkleblock", flags);
    for hostile in hostile_proofs(&MANY) {
        let part = [&[0; 10][..], &hostile].concat();
        let header = [&[1][..], &[0; 80], &[1, 1, 1], &part].concat();
        // A transaction before the count shares the payload already, which allocates one counter.
        refused_for("datareftx", part, 1, 32);
        refused_for("hdrsen", header, 1, 32);
        refused_for("dsdetected", [&[1, 0, 1, 0][..], &hostile].concat(), 1, 32);
    }
    for behind_version in [&[][..], &[1]] {
        let start = [&[1, 0][..], behind_version].concat();
        refused_for_nothing("dsdetected", [&start, &MANY[..], &[1; 200]].concat());
    }
    let short_ids = [&[7; 88][..], &[1, 1, 2, 3, 4, 5, 6], &MANY, &[0; 200]].concat();
    refused_for_nothing("cmpctblock", short_ids);
    let policies = [&[2, 0, 0, 16, 0][..], &MANY].concat();
    refused_for_nothing("protoconf", policies);
    refused_for_nothing("createstrm", [&[0, 2][..], &MANY].concat());
    let signature = [&[33][..], &[2; 33], &[7; 8], &MANY].concat();
    refused_for_nothing("authresp", signature);
    let signatures = [&[0; 4][..], &[2; 99], &MANY].concat();
    refused_for_nothing("revokemid", signatures);
}

/// Returns proofs with this count for the nodes, and for the inputs of the transaction.
fn hostile_proofs(count: &[u8]) -> [Vec<u8>; 3] {
    let by_name = [&[0, 0][..], &[0; 64], count, &[0; 200]].concat();
    let whole = [&[5, 1, 10][..], &[0; 10], &[0; 32], count, &[0; 200]].concat();
    let inputs = [&[5, 1, 10][..], &[0; 4], count, &[0; 200]].concat();
    [by_name, whole, inputs]
}

fn refused_for_nothing(command: &str, payload: Vec<u8>) {
    refused_for(command, payload, 0, 0);
}

/// Asserts a rejection with at most this number of allocations and bytes.
fn refused_for(command: &str, payload: Vec<u8>, most: u64, bytes: u64) {
    let payload = Bytes::from(payload);
    let command = Command::new(command);
    let counted = measure(|| assert!(Message::decode(command, payload).is_err(), "{command}"));
    assert!(counted.count_total <= most, "{command}: {counted:?}");
    assert!(counted.bytes_total <= bytes, "{command}: {counted:?}");
}

//! Speed of decoding and encoding messages, compared with the crates `bitcoin` and `sv` on the same
//! bytes.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench codec` prints the table. The three
//! implementations run in turns for several rounds, and the median counts. Each encodes into a
//! reused buffer. The time to drop blocks is excluded, because it is long for trees of vectors. The
//! goal for decoding blocks is a ratio of one to `bitcoin`. All other goals are relative to the
//! faster of the two crates.

mod peers;
mod programs;
mod samples;
mod timing;

use std::hint::black_box;
use std::time::Duration;

use bitcoin::consensus::Encodable;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::Address;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_network::VersionMessage;
use bsv_p2p::Network;
use bsv_p2p::wire::{
    Addr, Block, BlockHeader, Decode, Encode, Headers, Inv, Transaction, Tx, Version,
    write_compact_size,
};
use bytes::Bytes;
use sv::util::Serializable;
use test_support::SeededRandom;

use peers::{
    decode_bitcoin, decode_bitcoin_headers, decode_sv, encode_bitcoin_headers, encoding,
    encoding_bitcoin, encoding_sv, sum_bitcoin, sum_ours, sum_sv,
};
use programs::{readable, repeated, without_drop};
use timing::{Program, Turns, in_turns};

const TURNS: Turns = Turns {
    turn: Duration::from_millis(1),
    all: Duration::from_secs(2),
};

fn main() {
    println!(
        "| workload | this library | `bitcoin` | `sv` | faster than `bitcoin` | faster than `sv` | target |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    block(4_000, "a block of 4,000 transactions");
    block(400_000, "a block of 400,000 transactions");
    inv();
    headers();
    addr();
    tx();
    version();
}

fn row(work: &str, aim: f64, programs: [Program<'_>; 3]) {
    let (times, [_, bitcoin, sv]) = in_turns(&TURNS, programs);
    let [ours, theirs, svs] = times.map(readable);
    println!("| {work} | {ours} | {theirs} | {svs} | {bitcoin:.1} | {sv:.1} | {aim} |");
}

/// Encodes the same value with each of the three implementations.
fn encoding_row<S: Serializable<S>>(
    work: &str,
    bytes: &[u8],
    ours: &impl Encode,
    bitcoin: &impl Encodable,
    sv: &S,
) {
    let programs = [
        encoding(bytes, |out| ours.encode(out)),
        encoding_bitcoin(bytes, bitcoin),
        encoding_sv(bytes, sv),
    ];
    row(work, 1.0, programs);
}

fn block(count: usize, name: &str) {
    let transactions = samples::transactions(count);
    let header = BlockHeader::genesis(&Network::Mainnet);
    let block = Block::new(&header, &transactions);
    let bytes = block.bytes();
    let bitcoin: bitcoin::Block = decode_bitcoin(bytes);
    let sv: sv::messages::Block = decode_sv(bytes);
    assert_eq!(sum_ours(&block), sum_bitcoin(&bitcoin));
    assert_eq!(sum_ours(&block), sum_sv(&sv));

    row(
        &format!("decode {name}, ready to iterate"),
        5.0,
        [
            without_drop(|| Block::from_payload(black_box(bytes).clone()).expect("a block")),
            without_drop(|| decode_bitcoin::<bitcoin::Block>(bytes)),
            without_drop(|| decode_sv::<sv::messages::Block>(bytes)),
        ],
    );
    row(
        "iterate over all its inputs and outputs",
        1.0,
        [
            repeated(|| sum_ours(black_box(&block))),
            repeated(|| sum_bitcoin(black_box(&bitcoin))),
            repeated(|| sum_sv(black_box(&sv))),
        ],
    );
    let ours = || Vec::from_iter(block.transactions().map(|t| t.txid().0));
    let theirs = || {
        Vec::from_iter(
            bitcoin
                .txdata
                .iter()
                .map(|t| t.compute_txid().to_byte_array()),
        )
    };
    let svs = || Vec::from_iter(sv.txns.iter().map(|t| t.hash().0));
    assert!(ours() == theirs() && ours() == svs());
    row(
        "all its txids",
        1.0,
        [repeated(ours), repeated(theirs), repeated(svs)],
    );
    encoding_row("encode it", bytes, &block, &bitcoin, &sv);
    let owned = |out: &mut Vec<u8>| {
        header.encode(out);
        write_compact_size(transactions.len() as u64, out);
        for transaction in &transactions {
            transaction.encode(out);
        }
    };
    row(
        "encode it from its transactions in parts",
        1.0,
        [
            encoding(bytes, owned),
            encoding_bitcoin(bytes, &bitcoin),
            encoding_sv(bytes, &sv),
        ],
    );
}

fn inv() {
    let ours = samples::inv();
    let bytes = &ours.encode_to_vec();
    let bitcoin: Vec<Inventory> = decode_bitcoin(bytes);
    let sv: sv::messages::Inv = decode_sv(bytes);
    assert_eq!(Inv::decode_from(bytes), Ok(ours.clone()));
    row(
        "decode inv of 50,000",
        1.0,
        [
            repeated(|| Inv::decode_from(black_box(bytes)).expect("an inv")),
            repeated(|| decode_bitcoin::<Vec<Inventory>>(bytes)),
            repeated(|| decode_sv::<sv::messages::Inv>(bytes)),
        ],
    );
    encoding_row("encode it", bytes, &ours, &bitcoin, &sv);
}

fn headers() {
    let ours = samples::headers();
    let bytes = &ours.encode_to_vec();
    let bitcoin = decode_bitcoin_headers(bytes);
    let sv: sv::messages::Headers = decode_sv(bytes);
    assert_eq!(Headers::decode_from(bytes), Ok(ours.clone()));
    row(
        "decode headers of 2,000",
        1.0,
        [
            repeated(|| Headers::decode_from(black_box(bytes)).expect("headers")),
            repeated(|| decode_bitcoin_headers(black_box(bytes))),
            repeated(|| decode_sv::<sv::messages::Headers>(bytes)),
        ],
    );
    row(
        "encode it",
        1.0,
        [
            encoding(bytes, |out| ours.encode(out)),
            encoding(bytes, |out| encode_bitcoin_headers(&bitcoin, out)),
            encoding_sv(bytes, &sv),
        ],
    );
}

fn addr() {
    let ours = samples::addr();
    let bytes = &ours.encode_to_vec();
    let bitcoin: Vec<(u32, Address)> = decode_bitcoin(bytes);
    let sv: sv::messages::Addr = decode_sv(bytes);
    assert_eq!(Addr::decode_from(bytes), Ok(ours.clone()));
    row(
        "decode addr of 1,000",
        1.0,
        [
            repeated(|| Addr::decode_from(black_box(bytes)).expect("an addr")),
            repeated(|| decode_bitcoin::<Vec<(u32, Address)>>(bytes)),
            repeated(|| decode_sv::<sv::messages::Addr>(bytes)),
        ],
    );
    encoding_row("encode it", bytes, &ours, &bitcoin, &sv);
}

fn tx() {
    let parts = samples::transaction(2, 2, &mut SeededRandom::new(samples::SEED));
    let bytes = &Bytes::from(parts.encode_to_vec());
    let ours = Tx::from(&parts);
    let bitcoin: bitcoin::Transaction = decode_bitcoin(bytes);
    let sv: sv::messages::Tx = decode_sv(bytes);
    assert_eq!(Transaction::decode_from(bytes), Ok(parts.clone()));
    let theirs = || {
        [
            repeated(|| decode_bitcoin::<bitcoin::Transaction>(bytes)),
            repeated(|| decode_sv::<sv::messages::Tx>(bytes)),
        ]
    };
    let [bitcoins, svs] = theirs();
    row(
        "decode tx, two inputs and two outputs, ready to iterate",
        1.0,
        [
            repeated(|| Tx::from_payload(black_box(bytes).clone()).expect("a tx")),
            bitcoins,
            svs,
        ],
    );
    let [bitcoins, svs] = theirs();
    row(
        "decode it into parts",
        1.0,
        [
            repeated(|| Transaction::decode_from(black_box(bytes)).expect("a transaction")),
            bitcoins,
            svs,
        ],
    );
    encoding_row("encode it", bytes, &ours, &bitcoin, &sv);
    encoding_row("encode it from parts", bytes, &parts, &bitcoin, &sv);
}

fn version() {
    let ours = samples::version();
    let bytes = &ours.encode_to_vec();
    let bitcoin: VersionMessage = decode_bitcoin(bytes);
    let sv: sv::messages::Version = decode_sv(bytes);
    assert_eq!(
        *Box::<Version>::decode_from(bytes).expect("a version"),
        ours
    );
    row(
        "decode version",
        1.0,
        [
            repeated(|| Box::<Version>::decode_from(black_box(bytes)).expect("a version")),
            repeated(|| decode_bitcoin::<VersionMessage>(bytes)),
            repeated(|| decode_sv::<sv::messages::Version>(bytes)),
        ],
    );
    encoding_row("encode it", bytes, &ours, &bitcoin, &sv);
}

//! How fast messages are decoded and encoded, beside the crates `bitcoin` and `sv` on the same bytes.
//!
//! `cargo bench --bench codec` prints the table. The three are run in turns, several rounds, and the median counts. Each
//! encodes into a buffer that it uses again. Of blocks the time to drop them is left out, which is long for trees of vectors.

mod samples;
mod timing;

use std::hint::black_box;

use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Decodable, Encodable};
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

use samples::Random;
use timing::{Program, in_turns, readable, repeated, without_drop};

fn main() {
    println!(
        "| work | this library | `bitcoin` | `sv` | faster than `bitcoin` | than `sv` | aim |"
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

fn row(work: &str, aim: f64, [ours, bitcoin, sv]: [Program<'_>; 3]) {
    let [ours, bitcoin, sv] = in_turns([ours, bitcoin, sv]);
    println!(
        "| {work} | {} | {} | {} | {:.1} | {:.1} | {aim} |",
        readable(ours),
        readable(bitcoin),
        readable(sv),
        bitcoin / ours,
        sv / ours,
    );
}

fn block(count: usize, name: &str) {
    let transactions = samples::transactions(count);
    let header = BlockHeader::genesis(Network::Mainnet);
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
    row(
        "encode it",
        1.0,
        [
            encoding(bytes, |out| block.encode(out)),
            encoding_bitcoin(bytes, &bitcoin),
            encoding_sv(bytes, &sv),
        ],
    );
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
    row(
        "encode it",
        1.0,
        [
            encoding(bytes, |out| ours.encode(out)),
            encoding_bitcoin(bytes, &bitcoin),
            encoding_sv(bytes, &sv),
        ],
    );
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
    row(
        "encode it",
        1.0,
        [
            encoding(bytes, |out| ours.encode(out)),
            encoding_bitcoin(bytes, &bitcoin),
            encoding_sv(bytes, &sv),
        ],
    );
}

fn tx() {
    let parts = samples::transaction(2, 2, &mut Random::new());
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
    let theirs = || [encoding_bitcoin(bytes, &bitcoin), encoding_sv(bytes, &sv)];
    let [bitcoins, svs] = theirs();
    row(
        "encode it",
        1.0,
        [encoding(bytes, |out| ours.encode(out)), bitcoins, svs],
    );
    let [bitcoins, svs] = theirs();
    row(
        "encode it from parts",
        1.0,
        [encoding(bytes, |out| parts.encode(out)), bitcoins, svs],
    );
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
    row(
        "encode it",
        1.0,
        [
            encoding(bytes, |out| ours.encode(out)),
            encoding_bitcoin(bytes, &bitcoin),
            encoding_sv(bytes, &sv),
        ],
    );
}

/// A program that encodes into one buffer again and again, after checking that it gives `expected`.
fn encoding<'a>(expected: &[u8], mut encode: impl FnMut(&mut Vec<u8>) + 'a) -> Program<'a> {
    let mut out = Vec::new();
    encode(&mut out);
    assert!(out == expected);
    repeated(move || {
        out.clear();
        encode(&mut out);
        black_box(out.as_ptr())
    })
}

fn encoding_bitcoin<'a>(expected: &[u8], value: &'a impl Encodable) -> Program<'a> {
    encoding(expected, |out| {
        value.consensus_encode(out).expect("a vector takes all");
    })
}

fn encoding_sv<'a, T: Serializable<T>>(expected: &[u8], value: &'a T) -> Program<'a> {
    encoding(expected, |out| {
        value.write(out).expect("a vector takes all")
    })
}

fn decode_bitcoin<T: Decodable>(bytes: &[u8]) -> T {
    T::consensus_decode_from_finite_reader(&mut black_box(bytes)).expect("what was encoded")
}

fn decode_sv<T: Serializable<T>>(bytes: &[u8]) -> T {
    T::read(&mut black_box(bytes)).expect("what was encoded")
}

/// As `bitcoin` does inside a whole frame, of which the checksum would be measured as well.
fn decode_bitcoin_headers(bytes: &[u8]) -> Vec<bitcoin::block::Header> {
    let reader = &mut &bytes[..];
    let count = VarInt::consensus_decode(reader).expect("a count").0;
    let mut headers = Vec::with_capacity(count as usize);
    for _ in 0..count {
        headers.push(Decodable::consensus_decode(reader).expect("a header"));
        assert_eq!(u8::consensus_decode(reader).expect("a count"), 0);
    }
    headers
}

fn encode_bitcoin_headers(headers: &[bitcoin::block::Header], out: &mut Vec<u8>) {
    let write = |out: &mut Vec<u8>| -> Result<(), bitcoin::io::Error> {
        VarInt(headers.len() as u64).consensus_encode(out)?;
        for header in headers {
            header.consensus_encode(out)?;
            0_u8.consensus_encode(out)?;
        }
        Ok(())
    };
    write(out).expect("a vector takes all");
}

/// Looks at every field of every input and output but the scripts' bytes.
fn sum_ours(block: &Block) -> u64 {
    let mut sum = 0;
    for transaction in block.transactions() {
        for input in transaction.inputs() {
            let (txid, index) = (input.previous.txid.0[0], input.previous.index);
            sum += in_sum(txid, index, input.script.len(), input.sequence);
        }
        for output in transaction.outputs() {
            sum += out_sum(output.value, output.script.len());
        }
    }
    sum
}

fn sum_bitcoin(block: &bitcoin::Block) -> u64 {
    let mut sum = 0;
    for transaction in &block.txdata {
        for input in &transaction.input {
            let previous = &input.previous_output;
            let (txid, sequence) = (previous.txid.as_byte_array()[0], input.sequence.0);
            sum += in_sum(txid, previous.vout, input.script_sig.len(), sequence);
        }
        for output in &transaction.output {
            let value = output.value.to_sat() as i64;
            sum += out_sum(value, output.script_pubkey.len());
        }
    }
    sum
}

fn sum_sv(block: &sv::messages::Block) -> u64 {
    let mut sum = 0;
    for transaction in &block.txns {
        for input in &transaction.inputs {
            let (txid, index) = (input.prev_output.hash.0[0], input.prev_output.index);
            sum += in_sum(txid, index, input.unlock_script.0.len(), input.sequence);
        }
        for output in &transaction.outputs {
            sum += out_sum(output.satoshis, output.lock_script.0.len());
        }
    }
    sum
}

#[inline]
fn in_sum(txid: u8, index: u32, script: usize, sequence: u32) -> u64 {
    u64::from(txid) + u64::from(index) + script as u64 + u64::from(sequence)
}

#[inline]
fn out_sum(value: i64, script: usize) -> u64 {
    value as u64 + script as u64
}

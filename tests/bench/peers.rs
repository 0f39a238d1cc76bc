//! The same work by this library and by the crates `bitcoin` and `sv`.

use std::hint::black_box;

use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Decodable, Encodable};
use bitcoin::hashes::Hash as _;
use bsv_p2p::wire::Block;
use sv::util::Serializable;

use crate::timing::{Program, repeated};

/// A program that encodes into one buffer again and again, after checking that it gives `expected`.
pub(crate) fn encoding<'a>(
    expected: &[u8],
    mut encode: impl FnMut(&mut Vec<u8>) + 'a,
) -> Program<'a> {
    let mut out = Vec::new();
    encode(&mut out);
    assert!(out == expected);
    repeated(move || {
        out.clear();
        encode(&mut out);
        black_box(out.as_ptr())
    })
}

pub(crate) fn encoding_bitcoin<'a>(expected: &[u8], value: &'a impl Encodable) -> Program<'a> {
    encoding(expected, |out| {
        value.consensus_encode(out).expect("a vector takes all");
    })
}

pub(crate) fn encoding_sv<'a, T: Serializable<T>>(expected: &[u8], value: &'a T) -> Program<'a> {
    encoding(expected, |out| {
        value.write(out).expect("a vector takes all")
    })
}

pub(crate) fn decode_bitcoin<T: Decodable>(bytes: &[u8]) -> T {
    T::consensus_decode_from_finite_reader(&mut black_box(bytes)).expect("what was encoded")
}

pub(crate) fn decode_sv<T: Serializable<T>>(bytes: &[u8]) -> T {
    T::read(&mut black_box(bytes)).expect("what was encoded")
}

/// As `bitcoin` does inside a whole frame, of which the checksum would be measured as well.
pub(crate) fn decode_bitcoin_headers(bytes: &[u8]) -> Vec<bitcoin::block::Header> {
    let reader = &mut &bytes[..];
    let count = VarInt::consensus_decode(reader).expect("a count").0;
    let mut headers = Vec::with_capacity(count as usize);
    for _ in 0..count {
        headers.push(Decodable::consensus_decode(reader).expect("a header"));
        assert_eq!(u8::consensus_decode(reader).expect("a count"), 0);
    }
    headers
}

pub(crate) fn encode_bitcoin_headers(headers: &[bitcoin::block::Header], out: &mut Vec<u8>) {
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
pub(crate) fn sum_ours(block: &Block) -> u64 {
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

pub(crate) fn sum_bitcoin(block: &bitcoin::Block) -> u64 {
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

pub(crate) fn sum_sv(block: &sv::messages::Block) -> u64 {
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

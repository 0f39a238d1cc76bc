//! The same work, done by this library and by the crates `bitcoin` and `sv`.

use std::hint::black_box;

use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Decodable, Encodable};
use bitcoin::hashes::Hash as _;
use bsv_p2p::wire::Block;
use sv::util::Serializable;

use crate::programs::repeated;
use crate::timing::Program;

/// Returns a program that encodes repeatedly into one buffer, after checking that it yields
/// `expected`.
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

/// Decodes like `bitcoin` does inside of a frame, whose checksum would be measured as well.
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

/// Reads every field of every input and output, and both ends of each script.
pub(crate) fn sum_ours(block: &Block) -> u64 {
    let mut sum = 0;
    for transaction in block.transactions() {
        for input in transaction.inputs() {
            let previous = &input.previous;
            sum += in_sum(
                &previous.txid.0,
                previous.index,
                input.script,
                input.sequence,
            );
        }
        for output in transaction.outputs() {
            sum += out_sum(output.value, output.script);
        }
    }
    sum
}

pub(crate) fn sum_bitcoin(block: &bitcoin::Block) -> u64 {
    let mut sum = 0;
    for transaction in &block.txdata {
        for input in &transaction.input {
            let previous = &input.previous_output;
            let (script, sequence) = (input.script_sig.as_bytes(), input.sequence.0);
            sum += in_sum(
                previous.txid.as_byte_array(),
                previous.vout,
                script,
                sequence,
            );
        }
        for output in &transaction.output {
            let value = output.value.to_sat() as i64;
            sum += out_sum(value, output.script_pubkey.as_bytes());
        }
    }
    sum
}

pub(crate) fn sum_sv(block: &sv::messages::Block) -> u64 {
    let mut sum = 0;
    for transaction in &block.txns {
        for input in &transaction.inputs {
            let previous = &input.prev_output;
            let script = &input.unlock_script.0;
            sum += in_sum(&previous.hash.0, previous.index, script, input.sequence);
        }
        for output in &transaction.outputs {
            sum += out_sum(output.satoshis, &output.lock_script.0);
        }
    }
    sum
}

#[inline]
fn in_sum(txid: &[u8; 32], index: u32, script: &[u8], sequence: u32) -> u64 {
    ends(txid) + u64::from(index) + ends(script) + u64::from(sequence)
}

#[inline]
fn out_sum(value: i64, script: &[u8]) -> u64 {
    value as u64 + ends(script)
}

/// Returns the sum of the length, the first and the last byte. A program that classifies scripts
/// starts with these.
#[inline]
fn ends(bytes: &[u8]) -> u64 {
    let byte = |byte: Option<&u8>| u64::from(byte.copied().unwrap_or_default());
    bytes.len() as u64 + byte(bytes.first()) + byte(bytes.last())
}

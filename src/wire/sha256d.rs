//! The double SHA-256 hash.

use sha2::block_api::compress256;

use super::Hash256;

/// The initial state of SHA-256 (FIPS 180-4, section 5.3.3).
const BEGIN: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];
const BLOCK: usize = 64;
/// The offset of the message length in the last block.
const LEN_AT: usize = BLOCK - 8;

/// Returns the double SHA-256 hash of `bytes`.
///
/// The blocks are assembled in place, because most inputs are short. A buffered hasher takes a
/// third longer for them.
pub fn sha256d(bytes: &[u8]) -> Hash256 {
    let mut state = BEGIN;
    let (whole, rest) = bytes.as_chunks::<BLOCK>();
    compress256(&mut state, whole);
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    if rest.len() >= LEN_AT {
        compress256(&mut state, &[last]);
        last = [0; BLOCK];
    }
    pad(&mut last, bytes.len());
    compress256(&mut state, &[last]);

    let mut second = [0; BLOCK];
    second[..32].copy_from_slice(&to_bytes(&state));
    second[32] = 0x80;
    pad(&mut second, 32);
    let mut state = BEGIN;
    compress256(&mut state, &[second]);
    Hash256(to_bytes(&state))
}

fn pad(last: &mut [u8; BLOCK], len: usize) {
    last[LEN_AT..].copy_from_slice(&(len as u64 * 8).to_be_bytes());
}

fn to_bytes(state: &[u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (four, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *four = word.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn result_matches_reference_for_every_length() {
        let bytes: Vec<u8> = (0..200).collect();
        for len in 0..=bytes.len() {
            let bytes = &bytes[..len];
            let expected: [u8; 32] = Sha256::digest(Sha256::digest(bytes)).into();
            assert_eq!(sha256d(bytes), Hash256(expected), "{len}");
        }
    }
}

//! MurmurHash3 with 32 bits by Austin Appleby, the hash function of bloom filters.

use byteorder::{ByteOrder, LittleEndian};

/// Returns the MurmurHash3_x86_32 of `data`.
pub(super) fn murmur3_32(seed: u32, data: &[u8]) -> u32 {
    let (words, tail) = data.as_chunks::<4>();
    let mut hash = words.iter().fold(seed, |hash, word| {
        (hash ^ scramble(LittleEndian::read_u32(word)))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64)
    });
    if !tail.is_empty() {
        hash ^= scramble(LittleEndian::read_uint(tail, tail.len()) as u32);
    }
    // The algorithm defines the length as 32 bits. Elements of a filter are far shorter.
    hash ^= data.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

const fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51)
        .rotate_left(15)
        .wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::murmur3_32;

    /// Returns the group `murmur3` of `tests/vectors/primitives.json`. Tested here because the
    /// function is private.
    fn vectors() -> serde_json::Value {
        let file = include_str!("../../../tests/vectors/primitives.json");
        serde_json::from_str::<serde_json::Value>(file).unwrap()["murmur3"].take()
    }

    #[test]
    fn hashes_match_reference_vectors() {
        let vectors = vectors();
        let vectors = vectors.as_array().unwrap();
        assert_eq!(vectors.len(), 6);
        for vector in vectors {
            let number = |name: &str| u32::try_from(vector[name].as_u64().unwrap()).unwrap();
            let data = hex::decode(vector["data"].as_str().unwrap()).unwrap();
            assert_eq!(
                murmur3_32(number("seed"), &data),
                number("hash"),
                "{vector}"
            );
        }
    }

    #[test]
    fn tails_of_every_length() {
        // Published results of the reference implementation with seed 0x9747b28c.
        for (text, hash) in [
            ("a", 0x7fa0_9ea6),
            ("aa", 0x5d21_1726),
            ("aaa", 0x283e_0130),
            ("aaaa", 0x5a97_808a),
            ("Hello, world!", 0x2488_4cba),
        ] {
            assert_eq!(murmur3_32(0x9747_b28c, text.as_bytes()), hash, "{text}");
        }
    }
}

//! `mempool`: asking for the transactions that wait for a block.

use crate::wire::{Decode, DecodeError, Encode, Reader};

/// Asks for an `inv` of the transactions that the peer has in its memory pool.
///
/// A node with default settings closes the connection for the two forms without an age. To the one with an age it pays
/// no attention unless its configuration names the sender (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`,
/// `ProcessMempoolMessage`); nodes before 1.2.0 know no age and treat it like the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mempool {
    /// All of them, asked for with an empty payload, as peers do that do not know the age.
    #[default]
    Empty,
    /// All of them, asked for by saying that there is no age: one zero byte.
    NoAge,
    /// Those that have waited for at least so many seconds.
    Age(i64),
}

impl Mempool {
    /// For how many seconds a transaction has to have waited; `None` if all are wanted.
    pub const fn age(self) -> Option<i64> {
        match self {
            Mempool::Empty | Mempool::NoAge => None,
            Mempool::Age(seconds) => Some(seconds),
        }
    }
}

impl Decode for Mempool {
    /// Never fails: an age that is cut off counts as none (`src/net/mempool_msg.h`).
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.is_empty() {
            return Ok(Mempool::Empty);
        }
        let has_age = reader.bool("mempool age is there")?;
        match reader.i64("mempool age") {
            Ok(seconds) if has_age => Ok(Mempool::Age(seconds)),
            _ => Ok(Mempool::NoAge),
        }
    }
}

impl Encode for Mempool {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Mempool::Empty => {}
            Mempool::NoAge => out.push(0),
            Mempool::Age(seconds) => {
                out.push(1);
                out.extend_from_slice(&seconds.to_le_bytes());
            }
        }
    }

    fn encoded_len(&self) -> u64 {
        match self {
            Mempool::Empty => 0,
            Mempool::NoAge => 1,
            Mempool::Age(_) => 9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_written_as_it_came() {
        let age = Mempool::Age(3600);
        for (bytes, request) in [
            (&[][..], Mempool::Empty),
            (&[0], Mempool::NoAge),
            (&[1, 0x10, 0x0e, 0, 0, 0, 0, 0, 0], age),
            (
                &[1, 255, 255, 255, 255, 255, 255, 255, 255],
                Mempool::Age(-1),
            ),
        ] {
            assert_eq!(Mempool::decode_from(bytes), Ok(request));
            assert_eq!(request.encode_to_vec(), bytes);
            assert_eq!(request.encoded_len(), bytes.len() as u64);
        }
        assert_eq!([Mempool::Empty.age(), Mempool::NoAge.age()], [None, None]);
        assert_eq!(age.age(), Some(3600));
    }

    #[test]
    fn an_age_that_is_cut_off_counts_as_none() {
        for len in 1..9 {
            assert_eq!(Mempool::decode_from(&[1; 9][..len]), Ok(Mempool::NoAge));
        }
        assert_eq!(Mempool::decode_from(&[0; 9]), Ok(Mempool::NoAge));
    }
}

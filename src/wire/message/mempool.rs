//! `mempool`: requests the unconfirmed transactions of a peer.

use crate::wire::{Decode, DecodeError, Encode, Reader};

/// Requests an `inv` of the transactions in the memory pool of the peer.
///
/// A node with default settings closes the connection if the message has no age. If it has an age,
/// the node ignores it, unless its configuration lists the sender. Source: Bitcoin SV node 1.2.2,
/// `src/net/net_processing.cpp`, `ProcessMempoolMessage`. Nodes before 1.2.0 do not support the age
/// and treat all forms alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mempool {
    /// All transactions, with an empty payload. Sent by peers that do not support the age.
    #[default]
    Empty,
    /// All transactions, with one zero byte that means "no age".
    NoAge,
    /// The transactions that are in the pool for at least this number of seconds.
    Age(i64),
}

impl Mempool {
    /// Returns the minimum age in seconds, or `None` if all transactions are requested.
    pub const fn age(self) -> Option<i64> {
        match self {
            Mempool::Empty | Mempool::NoAge => None,
            Mempool::Age(seconds) => Some(seconds),
        }
    }
}

impl Decode for Mempool {
    /// Never fails. A truncated age counts as no age (`src/net/mempool_msg.h`).
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
    fn each_form_round_trips() {
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
    fn truncated_age_counts_as_none() {
        for len in 1..9 {
            assert_eq!(Mempool::decode_from(&[1; 9][..len]), Ok(Mempool::NoAge));
        }
        assert_eq!(Mempool::decode_from(&[0; 9]), Ok(Mempool::NoAge));
    }
}

//! The index of the transactions in a block.

use std::sync::Arc;

/// The length of a transaction and the offset of its outputs.
///
/// With this index, an iteration need not parse the lengths inside a transaction to find the next
/// one. The processor can then read several transactions in parallel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) len: u32,
    /// The offset of the output count from the first byte of the transaction.
    pub(super) outputs_at: u32,
}

/// The index of a block: 8 bytes for each transaction, shared by its clones.
///
/// A transaction has at least 10 bytes, so the index is smaller than the block. It is [`None`] if
/// the length of a transaction needs more than 32 bits.
#[derive(Clone)]
pub(super) struct Places(Option<Arc<Vec<Place>>>);

impl Places {
    /// Returns the entries of all transactions, or `None` if there is no index.
    pub(super) fn get(&self) -> Option<&[Place]> {
        self.0.as_ref().map(|places| &places[..])
    }
}

/// Builds the index, transaction by transaction.
pub(super) struct Placing(Option<Vec<Place>>);

impl Placing {
    /// Creates a builder for `count` transactions.
    pub(super) fn new(count: usize) -> Self {
        Self(Some(Vec::with_capacity(count)))
    }

    /// Adds the next transaction.
    #[inline]
    pub(super) fn push(&mut self, len: usize, outputs_at: usize) {
        match (u32::try_from(len), &mut self.0) {
            // The outputs are inside the transaction, so their offset fits as well.
            (Ok(len), Some(places)) => places.push(Place {
                len,
                outputs_at: outputs_at as u32,
            }),
            _ => self.0 = None,
        }
    }

    /// Returns the index.
    pub(super) fn done(self) -> Places {
        Places(self.0.map(Arc::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_above_32_bits_removes_index() {
        let places = |lens: &[usize]| {
            let mut placing = Placing::new(lens.len());
            lens.iter().for_each(|len| placing.push(*len, 5));
            placing.done().get().map(<[Place]>::len)
        };
        let longest = u32::MAX as usize;
        assert_eq!(places(&[]), Some(0));
        assert_eq!(places(&[10, longest, 10]), Some(3));
        assert_eq!(places(&[10, longest + 1, 10]), None);
    }
}

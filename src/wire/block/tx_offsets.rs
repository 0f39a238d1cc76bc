//! The index of the transactions in a block.

use std::sync::Arc;

/// The length of a transaction and the offset of its outputs.
///
/// With this index, an iteration need not parse the lengths inside a transaction to find the next
/// one. The processor can then read several transactions in parallel.
#[derive(Clone, Copy, Debug)]
pub(super) struct TxOffset {
    pub(super) len: u32,
    /// The offset of the output count from the first byte of the transaction.
    pub(super) outputs_at: u32,
}

/// The index of a block: 8 bytes for each transaction, shared by its clones.
///
/// A transaction has at least 10 bytes, so the index is smaller than the block. It is [`None`] if
/// the length of a transaction needs more than 32 bits.
#[derive(Clone)]
pub(super) struct TxOffsets(Option<Arc<Vec<TxOffset>>>);

impl TxOffsets {
    /// Returns the entries of all transactions, or `None` if there is no index.
    pub(super) fn get(&self) -> Option<&[TxOffset]> {
        self.0.as_ref().map(|tx_offsets| &tx_offsets[..])
    }
}

/// Builds the index, transaction by transaction.
#[derive(Debug)]
pub(super) struct TxOffsetsBuilder(Option<Vec<TxOffset>>);

impl TxOffsetsBuilder {
    /// Creates a builder for `count` transactions.
    pub(super) fn new(count: usize) -> Self {
        Self(Some(Vec::with_capacity(count)))
    }

    /// Returns the number of transactions, or 0 without an index.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }

    /// Ensures capacity for `more` transactions.
    pub(super) fn reserve(&mut self, more: usize) {
        if let Some(tx_offsets) = &mut self.0 {
            tx_offsets.reserve_exact(more);
        }
    }

    /// Adds the next transaction.
    #[inline]
    pub(super) fn push(&mut self, len: usize, outputs_at: usize) {
        match (u32::try_from(len), &mut self.0) {
            // The outputs are inside the transaction, so their offset fits as well.
            (Ok(len), Some(tx_offsets)) => tx_offsets.push(TxOffset {
                len,
                outputs_at: outputs_at as u32,
            }),
            _ => self.0 = None,
        }
    }

    /// Returns the index, without unused capacity.
    pub(super) fn done(self) -> TxOffsets {
        TxOffsets(self.0.map(|mut tx_offsets| {
            tx_offsets.shrink_to_fit();
            Arc::new(tx_offsets)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_above_32_bits_removes_index() {
        let tx_offsets = |lens: &[usize]| {
            let mut builder = TxOffsetsBuilder::new(lens.len());
            lens.iter().for_each(|len| builder.push(*len, 5));
            builder.done().get().map(<[TxOffset]>::len)
        };
        let longest = u32::MAX as usize;
        assert_eq!(tx_offsets(&[]), Some(0));
        assert_eq!(tx_offsets(&[10, longest, 10]), Some(3));
        assert_eq!(tx_offsets(&[10, longest + 1, 10]), None);
    }
}

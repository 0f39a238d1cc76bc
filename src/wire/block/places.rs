//! Where the transactions of a block lie.

use std::sync::Arc;

/// How long a transaction is, and where its outputs are.
///
/// Who goes through a block need not read all lengths in it to find that out. A processor then reads several transactions at
/// the same time, where it would wait for each length to know where the next one stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) len: u32,
    /// Where the count of outputs starts, counted from the transaction's first byte.
    pub(super) outputs_at: u32,
}

/// The places of a block's transactions, 8 bytes each, shared by its clones.
///
/// A transaction has 10 bytes at least: they never cost more than the block itself.
///
/// [`None`] if a transaction is longer than 32 bits can say.
#[derive(Clone)]
pub(super) struct Places(Option<Arc<Vec<Place>>>);

impl Places {
    /// The places of all transactions, if they have any.
    pub(super) fn get(&self) -> Option<&[Place]> {
        self.0.as_ref().map(|places| &places[..])
    }
}

/// Takes the places of transactions one after the other.
pub(super) struct Placing(Option<Vec<Place>>);

impl Placing {
    /// For `count` transactions.
    pub(super) fn new(count: usize) -> Self {
        Self(Some(Vec::with_capacity(count)))
    }

    /// The next transaction.
    #[inline]
    pub(super) fn push(&mut self, len: usize, outputs_at: usize) {
        match (u32::try_from(len), &mut self.0) {
            // The outputs are in the transaction.
            (Ok(len), Some(places)) => places.push(Place {
                len,
                outputs_at: outputs_at as u32,
            }),
            _ => self.0 = None,
        }
    }

    pub(super) fn done(self) -> Places {
        Places(self.0.map(Arc::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_longer_than_32_bits_can_say_leaves_all_without_a_place() {
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

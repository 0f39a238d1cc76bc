//! Headers whose linkage and proof of work have been verified.

use std::borrow::Cow;

use super::HeaderChainError;
use crate::wire::proof_of_work::U256;
use crate::wire::{BlockHash, BlockHeader, ChainRules, CompactTarget};

/// Linked headers with their hashes, ready for [`HeaderChain::extend_from`].
///
/// Hashing takes most of the time that headers cost, and needs no access to the chain. A caller
/// that shares a chain between threads creates the batch before it locks the chain.
///
/// [`HeaderChain::extend_from`]: super::HeaderChain::extend_from
#[derive(Clone, Debug)]
pub struct HeaderBatch<'a> {
    headers: &'a [BlockHeader],
    hashes: Cow<'a, [BlockHash]>,
    /// The position of the first header in the list that was verified.
    offset: usize,
}

impl<'a> HeaderBatch<'a> {
    /// Verifies that each header links to the one before it, and that each has proof of work.
    ///
    /// # Errors
    ///
    /// - [`HeaderChainError::NotLinked`] if a header does not link to the one before it.
    /// - [`HeaderChainError::ProofOfWork`] if a hash is not a proof of work.
    pub fn verify(
        rules: &ChainRules,
        headers: &'a [BlockHeader],
    ) -> Result<Self, HeaderChainError> {
        // A node rejects the whole message if its headers are not linked.
        let mut hashes: Vec<BlockHash> = Vec::with_capacity(headers.len());
        for (position, header) in headers.iter().enumerate() {
            if let Some(&expected) = hashes.last()
                && header.previous != expected
            {
                return Err(HeaderChainError::NotLinked {
                    position,
                    expected,
                    got: header.previous,
                });
            }
            hashes.push(header.hash());
        }
        // Headers often have the bits of the one before, whose target has been decoded.
        let mut last: Option<(CompactTarget, U256)> = None;
        for (position, (header, hash)) in headers.iter().zip(&hashes).enumerate() {
            if let Some((bits, target)) = last
                && bits == header.bits
                && U256::from_le_bytes(hash.0) <= target
            {
                continue;
            }
            rules
                .proof_of_work(header.bits, *hash)
                .map_err(|error| HeaderChainError::ProofOfWork { position, error })?;
            last = header.bits.to_u256().map(|target| (header.bits, target));
        }
        Ok(Self {
            headers,
            hashes: hashes.into(),
            offset: 0,
        })
    }

    /// Returns the headers.
    pub fn headers(&self) -> &'a [BlockHeader] {
        self.headers
    }

    /// Returns the hashes of the headers.
    pub fn hashes(&self) -> &[BlockHash] {
        &self.hashes
    }

    /// Splits the batch into consecutive batches of at most `len` headers. Positions in errors
    /// still refer to the whole list.
    ///
    /// # Panics
    ///
    /// If `len` is 0.
    pub fn chunks(&self, len: usize) -> impl Iterator<Item = HeaderBatch<'_>> {
        let pieces = self.headers.chunks(len).zip(self.hashes.chunks(len));
        let offsets = (self.offset..).step_by(len);
        pieces
            .zip(offsets)
            .map(|((headers, hashes), offset)| HeaderBatch {
                headers,
                hashes: hashes.into(),
                offset,
            })
    }

    /// Returns the position of a header of this batch in the list that was verified.
    pub(super) fn position(&self, at: usize) -> usize {
        self.offset + at
    }
}

//! Formats an error with its sources.

use std::error::Error;
use std::fmt;

/// Formats an error followed by its sources, separated by `: `.
///
/// For texts that cannot refer to [`Error::source`], such as events and log records.
pub(crate) struct WithSources<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for WithSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        BlockError, BlockHash, ChainRuleError, CompactBlockError, CompactTarget, HeaderChainError,
        MerkleRoot, ProofOfWorkError, ReconstructionError,
    };

    #[test]
    fn every_cause_is_formatted_once() {
        let error = ProofOfWorkError::InvalidTarget(CompactTarget(0));
        let rule = ChainRuleError::ProofOfWork { height: 7, error };
        let hash = BlockHash::ZERO;
        let error = HeaderChainError::InvalidHeader {
            position: 0,
            hash,
            error: rule,
        };
        let expected = format!(
            "header {hash} is invalid: height 7: proof of work is invalid: \
             bits 00000000 are not a valid target"
        );
        assert_eq!(WithSources(&error).to_string(), expected);
    }

    #[test]
    fn reconstruction_errors_have_their_cause() {
        let error = ReconstructionError::from(CompactBlockError::NoTransactions);
        let expected = "compact block is invalid: compact block has no transactions";
        assert_eq!(WithSources(&error).to_string(), expected);
        let root = MerkleRoot::ZERO;
        let error = ReconstructionError::from(BlockError::DuplicatedTransactions(root));
        let expected = format!(
            "reconstructed block is invalid: duplicate transactions do not change the merkle root {root}"
        );
        assert_eq!(WithSources(&error).to_string(), expected);
    }
}

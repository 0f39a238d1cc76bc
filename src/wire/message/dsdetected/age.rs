//! The check of the age of a `dsdetected`.

use super::{DsDetected, DsDetectedError};
use crate::wire::BlockHash;

impl DsDetected {
    /// The maximum distance of the end of the longest fork below the best header.
    ///
    /// It is the node's default (`-safemodemaxforkdistance`).
    pub const MAX_FORK_DISTANCE: u32 = 1000;

    /// Returns the block from which all forks start, or `None` if there are no headers.
    ///
    /// A node ignores the message if it does not have this block.
    pub fn common_ancestor(&self) -> Option<BlockHash> {
        let first = self.blocks().next()?;
        first.headers.last().map(|header| header.previous)
    }

    /// Checks that the message is about recent blocks.
    ///
    /// `ancestor_height` is the height of the common ancestor, or `None` if it is unknown. The sum
    /// of that height, the length of the longest fork and [`DsDetected::MAX_FORK_DISTANCE`] must
    /// exceed `best_height`, the height of the best header.
    ///
    /// # Errors
    ///
    /// - [`DsDetectedError::TooFewBlocks`] if the message has no blocks.
    /// - [`DsDetectedError::NoHeaders`] if the first block has no headers.
    /// - [`DsDetectedError::UnknownAncestor`] if `ancestor_height` is `None`.
    /// - [`DsDetectedError::TooOld`] if the longest fork ends too far below the best header.
    pub fn check_age(
        &self,
        ancestor_height: Option<u32>,
        best_height: u32,
    ) -> Result<(), DsDetectedError> {
        let Some(longest) = self.blocks().map(|block| block.headers.len()).max() else {
            return Err(DsDetectedError::TooFewBlocks { got: 0 });
        };
        let ancestor = self.common_ancestor();
        let ancestor = ancestor.ok_or(DsDetectedError::NoHeaders { block: 0 })?;
        let height = ancestor_height.ok_or(DsDetectedError::UnknownAncestor(ancestor))?;
        let fork = u64::from(height) + longest as u64;
        if fork + u64::from(Self::MAX_FORK_DISTANCE) <= u64::from(best_height) {
            return Err(DsDetectedError::TooOld {
                fork,
                distance: Self::MAX_FORK_DISTANCE,
                best: best_height,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::forks::{fork, proof, tx};
    use super::*;
    use crate::Network;
    use crate::wire::BlockHeader;

    #[test]
    fn fork_near_best_header_is_recent() {
        let blocks = [fork(proof(tx(&[7], 1)), 1), fork(proof(tx(&[7], 2)), 3)];
        let message = DsDetected::new(&blocks);
        let ancestor = BlockHeader::genesis(&Network::Regtest).hash();
        assert_eq!(message.common_ancestor(), Some(ancestor));
        assert_eq!(message.check_age(Some(100), 1_102), Ok(()));
        let (fork, distance, best) = (103, 1_000, 1_103);
        let too_old = DsDetectedError::TooOld {
            fork,
            distance,
            best,
        };
        assert_eq!(message.check_age(Some(100), best), Err(too_old));
        assert_eq!(message.check_age(Some(u32::MAX), u32::MAX), Ok(()));
        let unknown = DsDetectedError::UnknownAncestor(ancestor);
        assert_eq!(message.check_age(None, 0), Err(unknown));
    }

    #[test]
    fn message_without_headers_has_no_age() {
        let none = DsDetected::new(&[]);
        assert_eq!(none.common_ancestor(), None);
        assert_eq!(
            none.check_age(Some(1), 1),
            Err(DsDetectedError::TooFewBlocks { got: 0 })
        );
        let mut block = fork(proof(tx(&[7], 1)), 1);
        block.headers.clear();
        let bare = DsDetected::new(&[block]);
        assert_eq!(
            bare.check_age(Some(1), 1),
            Err(DsDetectedError::NoHeaders { block: 0 })
        );
    }
}

//! How a chain of headers grows: what is checked before, and how a branch takes over.

use super::branches::SideHeader;
use super::{Extended, HeaderChain, HeaderChainError, Place};
use crate::wire::{BlockHash, BlockHeader, CompactTarget, Work};

impl HeaderChain {
    /// Checks what can be told from headers alone, and gives their hashes.
    pub(super) fn check(
        &self,
        headers: &[BlockHeader],
    ) -> Result<Vec<BlockHash>, HeaderChainError> {
        let limit = CompactTarget(self.network.proof_of_work_limit_bits());
        let mut hashes: Vec<BlockHash> = Vec::with_capacity(headers.len());
        for (position, header) in headers.iter().enumerate() {
            let got = header.previous;
            if let Some(&expected) = hashes.last()
                && got != expected
            {
                return Err(HeaderChainError::NotLinked {
                    position,
                    expected,
                    got,
                });
            }
            let hash = header.hash();
            header
                .bits
                .check(hash, limit)
                .map_err(|error| HeaderChainError::ProofOfWork { position, error })?;
            hashes.push(hash);
        }
        Ok(hashes)
    }

    /// Checks that the headers which have to stand beside the active chain, until they have more work, find room
    /// there.
    pub(super) fn check_room(
        &self,
        headers: &[BlockHeader],
        parent: Work,
    ) -> Result<(), HeaderChainError> {
        let mut work = parent;
        let lighter = headers.iter().take_while(|header| {
            work = work.saturating_add(header.bits.work());
            work <= self.work
        });
        let needed = lighter.count();
        let left = Self::MAX_SIDE_HEADERS.saturating_sub(self.branches.len());
        if needed > left {
            return Err(HeaderChainError::NoRoom { needed, left });
        }
        Ok(())
    }

    /// Keeps new headers that have been checked, and whose parent has that place and so much work up to it.
    pub(super) fn append(
        &mut self,
        headers: &[BlockHeader],
        hashes: &[BlockHash],
        parent: Place,
        mut work: Work,
    ) -> Extended {
        let (mut disconnected, mut connected) = (Vec::new(), Vec::new());
        for ((height, header), &hash) in (parent.height + 1..).zip(headers).zip(hashes) {
            work = work.saturating_add(header.bits.work());
            if header.previous == self.tip().1 {
                self.active.push(*header, hash);
                self.work = work;
                connected.push(hash);
                continue;
            }
            let side = SideHeader {
                header: *header,
                height,
                fork: parent.fork,
                work,
            };
            self.branches.insert(hash, side);
            if work > self.work {
                // This happens once at most: from here on the headers follow the tip.
                (disconnected, connected) = self.switch_to(hash);
            }
        }
        if connected.is_empty() {
            let headers = headers.len();
            Extended::SideChain { headers }
        } else {
            Extended::NewTip {
                disconnected,
                connected,
            }
        }
    }

    /// Makes the branch that ends with `tip` the active chain; names the blocks that left it and those that joined
    /// it.
    pub(super) fn switch_to(&mut self, tip: BlockHash) -> (Vec<BlockHash>, Vec<BlockHash>) {
        let branch = self.branches.take(tip);
        let Some((_, lowest)) = branch.last() else {
            return (Vec::new(), Vec::new());
        };
        let fork = lowest.fork;
        let mut disconnected = Vec::new();
        while self.tip().0 > fork
            && let Some((header, hash)) = self.active.pop()
        {
            let side = SideHeader {
                header,
                height: self.tip().0 + 1,
                fork,
                work: self.work,
            };
            self.work = self.work.saturating_sub(header.bits.work());
            self.branches.insert(hash, side);
            disconnected.push(hash);
        }
        let mut connected = Vec::with_capacity(branch.len());
        for (hash, side) in branch.into_iter().rev() {
            self.active.push(side.header, hash);
            self.work = side.work;
            connected.push(hash);
        }
        self.branches.find_forks(|hash| self.active.height_of(hash));
        (disconnected, connected)
    }

    pub(super) fn place_of(&self, hash: &BlockHash) -> Option<Place> {
        match self.active.height_of(hash) {
            Some(height) => Some(Place {
                height,
                fork: height,
            }),
            None => self.branches.get(hash).map(|side| Place {
                height: side.height,
                fork: side.fork,
            }),
        }
    }

    /// The work up to a header and with it.
    pub(super) fn work_up_to(&self, hash: &BlockHash, place: Place) -> Work {
        if let Some(side) = self.branches.get(hash) {
            return side.work;
        }
        // So few headers are above it that their work need not be stored.
        let above = place.height + 1..=self.tip().0;
        let above = above.filter_map(|height| self.header_at(height));
        let above = above.map(|header| header.bits.work()).sum();
        self.work.saturating_sub(above)
    }

    pub(super) fn forget_deep_branches(&mut self) {
        let lowest = self.tip().0.saturating_sub(self.fork_depth);
        self.branches.retain_forks_from(lowest);
    }
}

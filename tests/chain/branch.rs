//! Headers of a branch by height, with gaps.

use std::collections::BTreeMap;

use bsv_p2p::wire::{Ancestors, CompactTarget, Work};

/// The times and compact targets of headers at any heights.
#[derive(Clone, Debug, Default)]
pub(crate) struct SparseBranch {
    pub(crate) headers: BTreeMap<u32, (u32, CompactTarget)>,
}

impl SparseBranch {
    /// Returns the branch that ends with the header at `height`.
    pub(crate) fn up_to(&self, height: u32) -> Prefix<'_> {
        Prefix {
            branch: self,
            height,
        }
    }
}

/// The part of a branch that ends with `height`.
pub(crate) struct Prefix<'a> {
    branch: &'a SparseBranch,
    height: u32,
}

impl Ancestors for Prefix<'_> {
    fn height(&self) -> u32 {
        self.height
    }

    fn time(&self, height: u32) -> Option<u32> {
        assert!(height <= self.height, "height {height} is no ancestor");
        self.branch.headers.get(&height).map(|header| header.0)
    }

    fn bits(&self, height: u32) -> Option<CompactTarget> {
        assert!(height <= self.height, "height {height} is no ancestor");
        self.branch.headers.get(&height).map(|header| header.1)
    }

    fn work_between(&self, after: u32, up_to: u32) -> Option<Work> {
        let works = (after + 1..=up_to).map(|height| self.bits(height).map(CompactTarget::work));
        works.sum()
    }
}

//! Rules that block headers must satisfy: difficulty, times, versions and checkpoints.

mod ancestors;
mod difficulty;
mod error;

pub(super) use self::ancestors::RETARGET_INTERVAL;
pub use self::ancestors::{Ancestors, HeaderSlice};
pub use self::error::ChainRuleError;

use std::sync::Arc;

use self::ancestors::MEDIAN_TIME_SPAN;
use super::proof_of_work::U256;
use super::{BlockHash, BlockHeader, CompactTarget, ProofOfWorkError, Work};
use crate::network::Network;

/// The height of a rule that never applies: chains are shorter.
const NEVER: u32 = u32::MAX;

/// The maximum time of a header ahead of the clock, in seconds.
const MAX_FUTURE: u32 = 2 * 60 * 60;

/// The rules that the headers of one network must satisfy.
///
/// A clone is cheap. The rules are those of Bitcoin SV node 1.2.2 for headers (`src/pow.cpp`,
/// `src/validation.cpp`, `src/chainparams.cpp`):
///
/// - proof of work and required difficulty
/// - a time after the median of the last headers, and at most two hours ahead
/// - block version
/// - checkpoints
///
/// The rules do not include transactions and scripts. [`ChainRules::new`] returns the rules of a
/// network, and the `with_` methods adapt them for tests. The rules of a private network are part
/// of [`NetworkParams`](crate::NetworkParams).
///
/// ```
/// use bsv_p2p::Network;
/// use bsv_p2p::wire::{ChainRules, HeaderSlice};
///
/// let rules = ChainRules::new(Network::Mainnet);
/// let genesis = [rules.genesis()];
/// let branch = HeaderSlice::new(0, &genesis).expect("one header");
/// assert_eq!(rules.required_bits(&branch, 1_231_469_665), Ok(genesis[0].bits));
/// assert!(rules.checkpoint_at(556_767).is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainRules {
    network: Network,
    limit: CompactTarget,
    limit_target: U256,
    retargeting: bool,
    min_difficulty_blocks: bool,
    daa_height: u32,
    /// Heights from which on a minimum block version applies, with that version.
    versions: [(u32, i32); 3],
    /// In ascending order of heights.
    checkpoints: Arc<[(u32, BlockHash)]>,
    minimum_work: Work,
}

/// The error of a list of checkpoints that is not in ascending order of heights.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("checkpoints: expected a height above {previous}, got {got}")]
#[non_exhaustive]
pub struct InvalidCheckpoints {
    /// The height of the checkpoint before it.
    pub previous: u32,
    /// The height that is out of order.
    pub got: u32,
}

impl InvalidCheckpoints {
    /// Checks that the heights are in ascending order.
    pub(super) fn check(checkpoints: &[(u32, BlockHash)]) -> Result<(), Self> {
        for pair in checkpoints.windows(2) {
            let [(previous, _), (got, _)] = [pair[0], pair[1]];
            if got <= previous {
                return Err(Self { previous, got });
            }
        }
        Ok(())
    }
}

impl ChainRules {
    /// Returns the rules of a network, with its checkpoints and minimum chain work.
    pub fn new(network: Network) -> Self {
        let params = network.params();
        let from = |height: Option<u32>| height.unwrap_or(NEVER);
        let rules = Self {
            limit: CompactTarget(0),
            limit_target: U256::ZERO,
            retargeting: params.retargeting,
            min_difficulty_blocks: params.min_difficulty_blocks,
            daa_height: params.daa_height,
            versions: [
                (from(params.bip34_height), 2),
                (from(params.bip66_height), 3),
                (from(params.bip65_height), 4),
            ],
            checkpoints: params.checkpoints.as_slice().into(),
            minimum_work: params.minimum_work,
            network: network.clone(),
        };
        rules.with_proof_of_work_limit(network.proof_of_work_limit())
    }

    /// Replaces the easiest allowed target. An invalid target allows no header.
    pub fn with_proof_of_work_limit(mut self, limit: CompactTarget) -> Self {
        self.limit_target = limit.to_u256().unwrap_or(U256::ZERO);
        // Headers are compared with the normal encoding of the limit.
        self.limit = CompactTarget::from_u256(self.limit_target);
        self
    }

    /// Sets whether the difficulty changes. If not, each header has the target of its parent.
    pub fn with_retargeting(mut self, retargeting: bool) -> Self {
        self.retargeting = retargeting;
        self
    }

    /// Sets whether a block more than 20 minutes after its parent may have the minimum difficulty.
    pub fn with_min_difficulty_blocks(mut self, allowed: bool) -> Self {
        self.min_difficulty_blocks = allowed;
        self
    }

    /// Sets the height of the first block after which the 144-block rule applies.
    pub fn with_daa_height(mut self, height: u32) -> Self {
        self.daa_height = height;
        self
    }

    /// Replaces the checkpoints.
    ///
    /// # Errors
    ///
    /// [`InvalidCheckpoints`] if the heights are not in ascending order.
    pub fn with_checkpoints(
        mut self,
        checkpoints: impl IntoIterator<Item = (u32, BlockHash)>,
    ) -> Result<Self, InvalidCheckpoints> {
        self.checkpoints = checkpoints.into_iter().collect();
        InvalidCheckpoints::check(&self.checkpoints)?;
        Ok(self)
    }

    /// Replaces the work below which a chain does not count as synchronized.
    pub fn with_minimum_work(mut self, work: Work) -> Self {
        self.minimum_work = work;
        self
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Returns the header of the first block.
    pub fn genesis(&self) -> BlockHeader {
        BlockHeader::genesis(&self.network)
    }

    /// Returns the easiest allowed target.
    pub fn proof_of_work_limit(&self) -> CompactTarget {
        self.limit
    }

    /// Returns the heights and hashes of the checkpoints, in ascending order.
    pub fn checkpoints(&self) -> &[(u32, BlockHash)] {
        &self.checkpoints
    }

    /// Returns the checkpoint at a height.
    pub fn checkpoint_at(&self, height: u32) -> Option<BlockHash> {
        let at = self.checkpoints.binary_search_by_key(&height, |one| one.0);
        at.ok().map(|at| self.checkpoints[at].1)
    }

    /// Returns the work below which a chain does not count as synchronized.
    pub fn minimum_work(&self) -> Work {
        self.minimum_work
    }

    /// Returns the first height of the headers that are required to verify the headers after `tip`.
    ///
    /// A trusted chain that ends at `tip` must start at this height or lower. The 144-block rule
    /// requires 147 headers. A retarget requires the first header of its period of 2,016.
    pub fn first_needed_ancestor(&self, tip: u32) -> u32 {
        let by_count = tip.saturating_sub(MIN_TRUSTED_HEADERS - 1);
        if self.retargeting && tip < self.daa_height {
            by_count.min(tip - tip % RETARGET_INTERVAL)
        } else {
            by_count
        }
    }

    /// Returns the compact target that the header after `ancestors` must have.
    ///
    /// `time` is the time of that header, in Unix seconds: on networks with minimum-difficulty
    /// blocks the required target depends on it.
    ///
    /// # Errors
    ///
    /// [`ChainRuleError::MissingAncestor`] if the branch starts above an ancestor that the rule
    /// needs.
    pub fn required_bits(
        &self,
        ancestors: &impl Ancestors,
        time: u32,
    ) -> Result<CompactTarget, ChainRuleError> {
        self.next_bits(ancestors, time)
    }

    /// Checks that the hash of a header is a proof of work for its target.
    ///
    /// # Errors
    ///
    /// [`ChainRuleError::ProofOfWork`].
    pub fn check_proof_of_work(
        &self,
        height: u32,
        header: &BlockHeader,
        hash: BlockHash,
    ) -> Result<(), ChainRuleError> {
        self.proof_of_work(header.bits, hash)
            .map_err(|error| ChainRuleError::ProofOfWork { height, error })
    }

    /// Like [`check_proof_of_work`](Self::check_proof_of_work), for a header of unknown height.
    #[inline]
    pub(super) fn proof_of_work(
        &self,
        bits: CompactTarget,
        hash: BlockHash,
    ) -> Result<(), ProofOfWorkError> {
        bits.check_below(hash, self.limit, self.limit_target)
    }

    /// Checks the rules of a header that depend on its ancestors, on its height and on the clock.
    ///
    /// `ancestors` ends with the parent of `header`, `now` is the time in Unix seconds. Linkage and
    /// proof of work must have been checked before; see
    /// [`check_proof_of_work`](Self::check_proof_of_work). The order of the checks is the node's:
    /// checkpoint, difficulty, median time, future time, version.
    ///
    /// # Errors
    ///
    /// [`ChainRuleError`] describes the first rule that the header violates, or the ancestor that
    /// a rule needs and `ancestors` does not have.
    #[inline]
    pub fn check_header(
        &self,
        ancestors: &impl Ancestors,
        header: &BlockHeader,
        hash: BlockHash,
        now: u32,
    ) -> Result<(), ChainRuleError> {
        let height = ancestors.height().saturating_add(1);
        if let Some(expected) = self.checkpoint_at(height)
            && hash != expected
        {
            return Err(ChainRuleError::CheckpointMismatch {
                height,
                expected,
                got: hash,
            });
        }
        let (expected, got) = (self.required_bits(ancestors, header.time)?, header.bits);
        if got != expected {
            return Err(ChainRuleError::BitsMismatch {
                height,
                expected,
                got,
            });
        }
        self.check_time(ancestors, header.time, now)?;
        let minimum = self.minimum_version(height);
        if header.version < minimum {
            return Err(ChainRuleError::VersionTooLow {
                height,
                minimum,
                got: header.version,
            });
        }
        Ok(())
    }

    fn check_time(
        &self,
        ancestors: &impl Ancestors,
        got: u32,
        now: u32,
    ) -> Result<(), ChainRuleError> {
        let parent = ancestors.height();
        let height = parent.saturating_add(1);
        let missing = |needed| ChainRuleError::MissingAncestor { height, needed };
        let count = parent.saturating_add(1).min(MEDIAN_TIME_SPAN);
        let oldest = parent + 1 - count;
        ancestors.time(oldest).ok_or_else(|| missing(oldest))?;
        // A time is after the median if it is after more than half of the times. This needs no
        // sorting, and usually only the newest headers.
        let mut earlier = 0;
        for height in (oldest..=parent).rev() {
            let time = ancestors.time(height).ok_or_else(|| missing(height))?;
            earlier += u32::from(time < got);
            if earlier > count / 2 {
                break;
            }
        }
        if earlier <= count / 2 {
            let median = ancestors.median_time(parent);
            return Err(ChainRuleError::TimeTooOld {
                height,
                median: median.ok_or_else(|| missing(oldest))?,
                got,
            });
        }
        let latest = now.saturating_add(MAX_FUTURE);
        if got > latest {
            return Err(ChainRuleError::TimeTooNew {
                height,
                latest,
                got,
            });
        }
        Ok(())
    }

    fn minimum_version(&self, height: u32) -> i32 {
        let applicable = self.versions.iter().filter(|(from, _)| height >= *from);
        applicable
            .map(|(_, version)| *version)
            .max()
            .unwrap_or(i32::MIN)
    }
}

/// The number of headers that the 144-block rule looks at.
pub(super) const MIN_TRUSTED_HEADERS: u32 = 147;

impl From<Network> for ChainRules {
    fn from(network: Network) -> Self {
        Self::new(network)
    }
}

impl From<&Network> for ChainRules {
    fn from(network: &Network) -> Self {
        Self::new(network.clone())
    }
}

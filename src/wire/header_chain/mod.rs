//! A chain of verified headers with its side chains.

mod active_chain;
mod batch;
mod checkpoint_start;
mod error;
mod hash_index;
mod side_chains;
mod window;

pub use self::batch::HeaderBatch;
pub use self::checkpoint_start::CheckpointStart;
pub use self::error::{ExtendOutcome, HeaderChainError};
pub use self::lookup::ChainTip;

use std::fmt;

use self::active_chain::ActiveChain;
use self::error::MAX_HEIGHT;
use self::side_chains::SideChains;
use self::window::{BranchView, Window};
use super::chain_rules::MIN_TRUSTED_HEADERS;
use super::{BlockHash, BlockHeader, ChainRuleError, ChainRules, Work};

/// A chain of headers, and the side chains that compete with it.
///
/// The active chain is the branch with the most work. If two branches have the same work, the
/// branch that was complete first is active. A branch with more work may replace any part of the
/// chain above its last checkpoint.
///
/// # Verification
///
/// Each header is verified by the [`ChainRules`] of its network, which accept the same headers as a
/// Bitcoin SV node. Transactions and scripts are **not** verified. A chain of valid headers can
/// therefore contain an invalid block, which costs its miner as much work as a valid block.
///
/// Full nodes do not build on an invalid block, so a caller should wait for
/// [confirmations](Self::confirmations). Their number depends on the value at stake and on the
/// share of the hash rate of an attacker:
///
/// | share of the attacker | 1 confirmation | 3 | 6 | 12 |
/// | --- | --- | --- | --- | --- |
/// | 10 % | 20.5 % | 1.3 % | 0.02 % | below 0.001 % |
/// | 30 % | 62.8 % | 32.5 % | 13.2 % | 2.4 % |
/// | 45 % | 92.0 % | 84.4 % | 76.6 % | 65.1 % |
///
/// The table shows the probability that the attacker replaces a block with these confirmations (S.
/// Nakamoto, "Bitcoin: A Peer-to-Peer Electronic Cash System", section 11). With half of the hash
/// rate or more, an attacker can replace any block above the last checkpoint.
///
/// # Memory
///
/// A header of the active chain takes 91 to 96 bytes: its 80 bytes, 2 bytes for the chain work, and
/// an index entry. A header of a side chain takes about 350 bytes.
///
/// The capacity of all side chains is 100,000 headers, or the length of the active chain above its
/// last checkpoint if that is larger. [`HeaderChain::with_side_capacity`] changes it. If the
/// capacity is exceeded, the branch with the least work is evicted. Each source of headers has an
/// equal share of the capacity, which other sources cannot use up.
///
/// # Cost
///
/// A reorganization of depth d takes O(d), and a side header at any depth O(log n). If a chain is
/// shared by threads, [`HeaderBatch`] computes the hashes before the chain is locked.
///
/// ```
/// use bsv_p2p::Network;
/// use bsv_p2p::wire::{ExtendOutcome, HeaderChain};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let headers = [];
/// # let now = 1_700_000_000;
/// let mut chain = HeaderChain::new(Network::Mainnet);
/// // Request headers with `chain.locator()` from a peer and add the answer:
/// match chain.extend(&headers, now)? {
///     ExtendOutcome::NewTip { disconnected, connected } => {
///         println!("{} blocks disconnected, {} connected", disconnected.len(), connected.len());
///     }
///     ExtendOutcome::SideChain { headers } => println!("{headers} headers on a side chain"),
///     ExtendOutcome::Known => println!("nothing new"),
/// }
/// println!("height {}, {} hashes of work", chain.tip().0, chain.total_work());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HeaderChain {
    rules: ChainRules,
    active: ActiveChain,
    /// Whether the chain work below the first header is known.
    is_work_known: bool,
    side_chains: SideChains,
    side_capacity: Option<usize>,
    /// The window of the active chain; `None` if it has to be built.
    window: Option<Window>,
}

/// Identifies the source of headers, so that one source cannot use up the capacity of all side
/// chains.
///
/// If headers come from peers, the id should be derived from a property that a peer cannot choose
/// freely, for example its IP address. 0 is [`SourceId::LOCAL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u64);

impl SourceId {
    /// The source of headers that are added without one, and of disconnected headers.
    pub const LOCAL: SourceId = SourceId(0);
}

impl HeaderChain {
    /// The minimum capacity for side headers, unless [`HeaderChain::with_side_capacity`] sets
    /// another one.
    pub const MIN_SIDE_CAPACITY: usize = 100_000;

    /// Creates a chain of the genesis header alone.
    pub fn new(rules: impl Into<ChainRules>) -> Self {
        let rules = rules.into();
        let genesis = rules.genesis();
        Self::starting_with(rules, genesis, 0, genesis.bits.work(), true)
    }

    /// Creates a chain from headers that the caller trusts.
    ///
    /// The first header has the height `first_height`. `total_work` is the work of the whole chain
    /// up to the last header, like the `chainwork` of a node. If it is `None`, the work is unknown:
    /// [`HeaderChain::total_work`] counts from the first header, and
    /// [`HeaderChain::has_minimum_work`] requires the last checkpoint.
    ///
    /// Linkage, proof of work and checkpoints of the headers are verified. The other rules are
    /// verified from the 148th header on, whose ancestors are known.
    ///
    /// # Errors
    ///
    /// - [`HeaderChainError::TooFewTrusted`] if the rules could not verify the next headers: 147
    ///   headers are needed, and before the 144-block rule those since the last retarget. A chain
    ///   that starts at height 0 needs one header.
    /// - [`HeaderChainError::NotLinked`], [`HeaderChainError::ProofOfWork`] or
    ///   [`HeaderChainError::InvalidHeader`] if a header violates a rule.
    /// - [`HeaderChainError::GenesisMismatch`] if the header at height 0 is not the genesis header.
    /// - [`HeaderChainError::InvalidTotalWork`] if `total_work` is below the work of the headers.
    /// - [`HeaderChainError::InvalidHeight`] if a height exceeds 2^31 - 1.
    pub fn from_trusted(
        rules: impl Into<ChainRules>,
        headers: &[BlockHeader],
        first_height: u32,
        total_work: impl Into<Option<Work>>,
    ) -> Result<Self, HeaderChainError> {
        let (rules, total_work) = (rules.into(), total_work.into());
        let got = headers.len();
        let above = u32::try_from(got.saturating_sub(1)).unwrap_or(u32::MAX);
        let last_height = first_height.saturating_add(above);
        if last_height > MAX_HEIGHT {
            return Err(HeaderChainError::InvalidHeight(last_height));
        }
        let needed = if first_height == 0 {
            1
        } else {
            let by_rules = last_height.saturating_sub(rules.first_needed_ancestor(last_height));
            (by_rules + 1).max(MIN_TRUSTED_HEADERS) as usize
        };
        let Some(first) = headers.first().filter(|_| got >= needed) else {
            return Err(HeaderChainError::TooFewTrusted { needed, got });
        };
        let batch = HeaderBatch::verify(&rules, headers)?;
        check_start(&rules, &batch, first_height)?;
        let works = headers.iter().map(|header| header.bits.work());
        let minimum: Work = works.sum();
        let total = total_work.unwrap_or(minimum);
        if total < minimum {
            return Err(HeaderChainError::InvalidTotalWork {
                minimum,
                got: total,
            });
        }
        let below = total.saturating_sub(minimum);
        let mut work = below.saturating_add(first.bits.work());
        let is_work_known = total_work.is_some() || first_height == 0;
        let mut chain = Self::starting_with(rules, *first, first_height, work, is_work_known);
        // With this many headers the rules have all ancestors but those of a 2,016-block retarget.
        let unchecked = if first_height == 0 {
            1
        } else {
            MIN_TRUSTED_HEADERS as usize
        };
        for (position, (header, hash)) in headers.iter().zip(batch.hashes()).enumerate().skip(1) {
            if position >= unchecked {
                chain.check_trusted(position, header, *hash)?;
            }
            work = work.saturating_add(header.bits.work());
            chain.active.extend(&[*header], &[*hash], &[work]);
            if let Some(window) = &mut chain.window {
                window.push(header.time, header.bits);
            }
        }
        Ok(chain)
    }

    /// Verifies the next trusted header, except for rules whose ancestors are unknown.
    fn check_trusted(
        &self,
        position: usize,
        header: &BlockHeader,
        hash: BlockHash,
    ) -> Result<(), HeaderChainError> {
        let Some(window) = &self.window else {
            return Ok(());
        };
        let branch = BranchView::new(self, self.tip(), &[], window);
        match self.rules.check_header(&branch, header, hash, u32::MAX) {
            Ok(()) | Err(ChainRuleError::MissingAncestor { .. }) => Ok(()),
            Err(error) => Err(HeaderChainError::InvalidHeader {
                position,
                hash,
                error,
            }),
        }
    }

    fn starting_with(
        rules: ChainRules,
        header: BlockHeader,
        height: u32,
        work: Work,
        is_work_known: bool,
    ) -> Self {
        Self {
            rules,
            active: ActiveChain::new(header, height, work),
            is_work_known,
            side_chains: SideChains::new(),
            side_capacity: None,
            window: Some(Window::new(height, &header, work)),
        }
    }

    /// Sets the maximum number of side headers.
    ///
    /// Defaults to the length of the active chain above its last checkpoint, and at least to
    /// [`HeaderChain::MIN_SIDE_CAPACITY`]. The maximum depth of a reorganization is the capacity,
    /// divided by the number of sources that compete for it.
    pub fn with_side_capacity(mut self, headers: usize) -> Self {
        self.side_capacity = Some(headers);
        self.side_chains.shrink_to(headers);
        self
    }

    fn side_capacity(&self) -> usize {
        self.side_capacity.unwrap_or_else(|| {
            let above = self.last_checkpoint().unwrap_or(self.first_height());
            let reorganizable = (self.tip().0 - above) as usize;
            reorganizable.max(Self::MIN_SIDE_CAPACITY)
        })
    }

    /// Returns the height of the last checkpoint that the active chain contains.
    fn last_checkpoint(&self) -> Option<u32> {
        let (tip, _) = self.tip();
        let checkpoints = self.rules.checkpoints();
        let reached = checkpoints.partition_point(|(height, _)| *height <= tip);
        let (height, _) = *checkpoints.get(reached.checked_sub(1)?)?;
        (height >= self.first_height()).then_some(height)
    }
}

/// Checks that trusted headers start with the genesis header and contain the checkpoints.
fn check_start(
    rules: &ChainRules,
    batch: &HeaderBatch<'_>,
    first_height: u32,
) -> Result<(), HeaderChainError> {
    if let Some(&got) = batch.hashes().first().filter(|_| first_height == 0) {
        let expected = rules.genesis().hash();
        if got != expected {
            return Err(HeaderChainError::GenesisMismatch { expected, got });
        }
    }
    for (height, expected) in rules.checkpoints() {
        let position = height.checked_sub(first_height).map(|at| at as usize);
        let got = position.and_then(|at| batch.hashes().get(at).copied());
        if let (Some(position), Some(got)) = (position, got)
            && got != *expected
        {
            let (height, expected) = (*height, *expected);
            let error = ChainRuleError::CheckpointMismatch {
                height,
                expected,
                got,
            };
            return Err(HeaderChainError::InvalidHeader {
                position,
                hash: got,
                error,
            });
        }
    }
    Ok(())
}

impl fmt::Debug for HeaderChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (height, tip) = self.tip();
        f.debug_struct("HeaderChain")
            .field("network", &self.network())
            .field("height", &height)
            .field("tip", &tip)
            .field("work", &self.total_work())
            .field("side_headers", &self.side_chains.len())
            .finish()
    }
}

// Below the constructors: rustdoc lists the methods in the order of the source.
mod extend;
mod lookup;

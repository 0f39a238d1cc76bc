//! A chain of verified headers with its side chains.

// rustdoc lists methods in the order of these modules, then those of this file. `HeaderChain::new` is
// the first one.
mod construction;

mod active_chain;
mod batch;
mod checkpoint_start;
mod error;
mod extend;
mod hash_index;
mod lookup;
mod side_chains;
mod window;

pub use self::batch::HeaderBatch;
pub use self::checkpoint_start::CheckpointStart;
pub use self::error::{ExtendOutcome, HeaderChainError};
pub use self::lookup::{ChainTip, HeaderIter};

use std::fmt;

use self::active_chain::ActiveChain;
use self::side_chains::SideChains;
use self::window::Window;
use super::ChainRules;

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

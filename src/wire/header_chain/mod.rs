//! A chain of headers that knows its best branch.

mod active;
mod branches;
mod growth;
mod outcome;

pub use outcome::{Extended, HeaderChainError};

use std::fmt;

use self::active::ActiveHeaders;
use self::branches::Branches;
use self::outcome::MAX_HEIGHT;
use super::{BlockHash, BlockHeader, Work, locator_heights};
use crate::network::Network;

/// The headers of a chain, from its first block on, and the branches that lately left it.
///
/// The branch with the most work is the active chain; of two with the same work it is that which was seen first.
/// Checked are that headers follow each other, and that each has its proof of work at a target that the network
/// allows. That the target is the one which the network's rules ask for at that height is not checked, nor are times
/// and versions.
///
/// ```
/// use bsv_p2p::Network;
/// use bsv_p2p::wire::{Extended, HeaderChain};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let headers = [];
/// let mut chain = HeaderChain::new(Network::Mainnet);
/// // … ask a peer for the headers behind `chain.locator()`, and give them to the chain:
/// match chain.extend(&headers)? {
///     Extended::NewTip { disconnected, connected } => {
///         println!("{} blocks left the chain, {} joined it", disconnected.len(), connected.len());
///     }
///     Extended::SideChain { headers } => println!("{headers} headers beside the chain"),
///     Extended::Known => println!("nothing new"),
/// }
/// println!("height {}, {} hashes of work", chain.tip().0, chain.total_work());
/// # Ok(())
/// # }
/// ```
///
/// # Memory
///
/// A header of the active chain costs its 80 bytes and 6 to 12 bytes in a table by hash, so a million of them take
/// less than 91 MB. Beside the active chain stand at most [`MAX_SIDE_HEADERS`](Self::MAX_SIDE_HEADERS) headers of
/// strangers, and as many of our own as a reorganisation may disconnect, of about 400 bytes each. A branch that
/// leaves the active chain more than the [fork depth](Self::with_fork_depth) below the tip cannot grow, and is
/// forgotten.
///
/// Work protects the active chain, not the memory: who finds many blocks of the easiest target makes a long chain, as
/// long as the chain is short. A [checkpoint](Self::from_checkpoint) above those heights is the way to refuse it.
#[derive(Clone)]
pub struct HeaderChain {
    network: Network,
    active: ActiveHeaders,
    work: Work,
    branches: Branches,
    fork_depth: u32,
}

/// A header's place: on the active chain, or on a branch that leaves it.
#[derive(Clone, Copy)]
struct Place {
    height: u32,
    /// The height at which the active chain is left: that of the header itself if it is on it.
    fork: u32,
}

impl HeaderChain {
    /// How many blocks a branch may disconnect unless said otherwise. Real nodes keep so many blocks at least when
    /// they prune.
    pub const DEFAULT_FORK_DEPTH: u32 = 288;

    /// How many headers beside the active chain are kept, before further ones are refused.
    pub const MAX_SIDE_HEADERS: usize = 10_000;

    /// The first header of `network` alone.
    pub fn new(network: Network) -> Self {
        Self::starting_with(network, BlockHeader::genesis(network), 0)
    }

    /// A chain that starts with a header which is known to be right, at the height which it has, below 2^31.
    /// Nothing that leaves the chain before it is ever taken.
    ///
    /// # Errors
    ///
    /// [`HeaderChainError::ProofOfWork`] and [`HeaderChainError::BadHeight`].
    pub fn from_checkpoint(
        network: Network,
        header: BlockHeader,
        height: u32,
    ) -> Result<Self, HeaderChainError> {
        let position = 0;
        header
            .check_proof_of_work(network)
            .map_err(|error| HeaderChainError::ProofOfWork { position, error })?;
        if height > MAX_HEIGHT {
            return Err(HeaderChainError::BadHeight(height));
        }
        Ok(Self::starting_with(network, header, height))
    }

    fn starting_with(network: Network, header: BlockHeader, height: u32) -> Self {
        Self {
            network,
            work: header.bits.work(),
            active: ActiveHeaders::new(header, height),
            branches: Branches::default(),
            fork_depth: Self::DEFAULT_FORK_DEPTH,
        }
    }

    /// The same chain with another limit for how many blocks a branch may disconnect.
    pub fn with_fork_depth(mut self, fork_depth: u32) -> Self {
        self.fork_depth = fork_depth;
        self.forget_deep_branches();
        self
    }

    /// Takes headers that follow each other, as a `headers` message brings them. Those which are there already are
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`HeaderChainError`]; the chain is then as it was.
    pub fn extend(&mut self, headers: &[BlockHeader]) -> Result<Extended, HeaderChainError> {
        let hashes = self.check(headers)?;
        let known = hashes.iter().take_while(|hash| self.contains(hash)).count();
        let (headers, hashes) = (&headers[known..], &hashes[known..]);
        let (Some(first), Some(&hash)) = (headers.first(), hashes.first()) else {
            return Ok(Extended::Known);
        };
        let parent = self
            .place_of(&first.previous)
            .ok_or(HeaderChainError::UnknownParent {
                header: hash,
                parent: first.previous,
            })?;
        let depth = self.active.tip().0 - parent.fork;
        if depth > self.fork_depth {
            let limit = self.fork_depth;
            return Err(HeaderChainError::ForkTooDeep { depth, limit });
        }
        let work = self.work_up_to(&first.previous, parent);
        if first.previous != self.tip().1 {
            self.check_room(headers, work)?;
        }
        let extended = self.append(headers, hashes, parent, work);
        self.forget_deep_branches();
        Ok(extended)
    }

    /// The height and the hash of the last header of the active chain.
    pub fn tip(&self) -> (u32, BlockHash) {
        self.active.tip()
    }

    /// The work of the active chain, from the first header that it has: for the whole chain unless it starts from a
    /// checkpoint.
    pub fn total_work(&self) -> Work {
        self.work
    }

    /// The network.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The height of a header, on the active chain or beside it.
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.place_of(hash).map(|place| place.height)
    }

    /// The header of the active chain at a height.
    pub fn header_at(&self, height: u32) -> Option<&BlockHeader> {
        self.active.header_at(height)
    }

    /// The hash of the header of the active chain at a height.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.active.hash_at(height)
    }

    /// Whether a header is there, on the active chain or beside it.
    pub fn contains(&self, hash: &BlockHash) -> bool {
        self.place_of(hash).is_some()
    }

    /// Whether a header is on the active chain.
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        self.active.height_of(hash).is_some()
    }

    /// Hashes of the active chain by which a peer finds the last block that it shares with it: at the
    /// [`locator_heights`] above the first header, which is followed by that of the network's first block.
    pub fn locator(&self) -> Vec<BlockHash> {
        let base = self.active.base();
        let mut locator: Vec<BlockHash> = locator_heights(self.tip().0 - base)
            .filter_map(|above| self.hash_at(base + above))
            .collect();
        let genesis = BlockHeader::genesis(self.network).hash();
        if locator.last() != Some(&genesis) {
            locator.push(genesis);
        }
        locator
    }
}

impl fmt::Debug for HeaderChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (height, tip) = self.tip();
        f.debug_struct("HeaderChain")
            .field("network", &self.network)
            .field("height", &height)
            .field("tip", &tip)
            .field("work", &self.work)
            .field("side_headers", &self.branches.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;

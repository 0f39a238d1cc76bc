//! A chain of headers that knows its best branch.

mod active;
mod branches;
mod outcome;

pub use outcome::{Extended, HeaderChainError};

use std::fmt;

use self::active::ActiveHeaders;
use self::branches::{Branches, SideHeader};
use self::outcome::MAX_HEIGHT;
use super::{BlockHash, BlockHeader, CompactTarget, Work, locator_heights};
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

    /// Checks what can be told from headers alone, and gives their hashes.
    fn check(&self, headers: &[BlockHeader]) -> Result<Vec<BlockHash>, HeaderChainError> {
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
    fn check_room(&self, headers: &[BlockHeader], parent: Work) -> Result<(), HeaderChainError> {
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
    fn append(
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
    fn switch_to(&mut self, tip: BlockHash) -> (Vec<BlockHash>, Vec<BlockHash>) {
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

    fn place_of(&self, hash: &BlockHash) -> Option<Place> {
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
    fn work_up_to(&self, hash: &BlockHash, place: Place) -> Work {
        if let Some(side) = self.branches.get(hash) {
            return side.work;
        }
        // So few headers are above it that their work need not be stored.
        let above = place.height + 1..=self.tip().0;
        let above = above.filter_map(|height| self.header_at(height));
        let above = above.map(|header| header.bits.work()).sum();
        self.work.saturating_sub(above)
    }

    fn forget_deep_branches(&mut self) {
        let lowest = self.tip().0.saturating_sub(self.fork_depth);
        self.branches.retain_forks_from(lowest);
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

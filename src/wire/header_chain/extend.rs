//! Adding headers to a chain: verification, side chains, reorganization.

use super::error::MAX_HEIGHT;
use super::window::{BranchView, Window};
use super::{ExtendOutcome, HeaderBatch, HeaderChain, HeaderChainError, SourceId};
use crate::wire::{BlockHash, BlockHeader, ChainRuleError, Work};

/// New headers of a batch, with the place of their parent.
struct NewHeaders<'b> {
    headers: &'b [BlockHeader],
    hashes: &'b [BlockHash],
    /// The position of the first one in the batch.
    skipped: usize,
    parent: (u32, BlockHash),
}

impl HeaderChain {
    /// Adds linked headers, as a `headers` message contains them. Known headers at the start of the
    /// list are skipped.
    ///
    /// `now` is the time in Unix seconds. Headers more than two hours ahead of it are rejected, and
    /// may be added later. Headers from peers should be added by [`HeaderChain::extend_from`],
    /// which limits the side chains of each source.
    ///
    /// # Errors
    ///
    /// [`HeaderChainError`]; the chain is unchanged.
    pub fn extend(
        &mut self,
        headers: &[BlockHeader],
        now: u32,
    ) -> Result<ExtendOutcome, HeaderChainError> {
        match HeaderBatch::verify(&self.rules, headers) {
            Ok(batch) => self.extend_from(SourceId::LOCAL, &batch, now),
            Err(error) => {
                // An earlier header may violate a rule that needs the chain.
                let before = &headers[..error.position().unwrap_or(0)];
                self.check(&HeaderBatch::verify(&self.rules, before)?, now)?;
                Err(self.with_height(error, headers))
            }
        }
    }

    /// Adds headers that a source has sent. Known headers at the start of the batch are skipped.
    ///
    /// Like [`HeaderChain::extend`], but the hashes have been computed before, and side chains
    /// count against the share of `source`. If the side chains are full, less work of a source
    /// that exceeds its share is evicted, even if the headers are then rejected.
    ///
    /// # Errors
    ///
    /// - [`HeaderChainError::UnknownParent`] if the parent of the first header is unknown.
    /// - [`HeaderChainError::InvalidHeader`] if a header violates a rule.
    /// - [`HeaderChainError::SideChainLimit`] if the headers are on a side chain, the side chains
    ///   are full, and none has less work.
    /// - [`HeaderChainError::InvalidHeight`] above a height of 2^31 - 1.
    pub fn extend_from(
        &mut self,
        source: SourceId,
        batch: &HeaderBatch<'_>,
        now: u32,
    ) -> Result<ExtendOutcome, HeaderChainError> {
        let Some(new) = self.new_headers(batch)? else {
            return Ok(ExtendOutcome::Known);
        };
        if new.parent.1 == self.tip().1 {
            return self.extend_tip(batch, &new, now);
        }
        let mut window = self.window_of(&new.parent.1)?;
        let works = self.verify(batch, &new, &mut window, now)?;
        if window.work() > self.total_work() {
            let checkpoint = self.last_checkpoint();
            let outcome = self.reorganize(&new, &works);
            self.window = Some(window);
            self.prune_side_chains(checkpoint);
            return Ok(outcome);
        }
        self.store_side_chain(source, &new, &works)
    }

    /// Verifies headers without adding them. Known headers at the start of the batch are skipped.
    ///
    /// # Errors
    ///
    /// Those of [`HeaderChain::extend_from`], except [`HeaderChainError::SideChainLimit`].
    pub fn check(&self, batch: &HeaderBatch<'_>, now: u32) -> Result<(), HeaderChainError> {
        let Some(new) = self.new_headers(batch)? else {
            return Ok(());
        };
        let mut window = self.window_of(&new.parent.1)?;
        self.verify(batch, &new, &mut window, now).map(|_| ())
    }

    /// Adds the height to an error of [`HeaderBatch::verify`], if the parent of the first header is
    /// known.
    pub fn with_height(
        &self,
        error: HeaderChainError,
        headers: &[BlockHeader],
    ) -> HeaderChainError {
        let HeaderChainError::ProofOfWork { position, error } = error else {
            return error;
        };
        let parent = headers
            .first()
            .and_then(|first| self.height_of(&first.previous));
        let height = parent.and_then(|parent| parent.checked_add(1 + position as u32));
        match (height, headers.get(position)) {
            (Some(height), Some(header)) => HeaderChainError::InvalidHeader {
                position,
                hash: header.hash(),
                error: ChainRuleError::ProofOfWork { height, error },
            },
            _ => HeaderChainError::ProofOfWork { position, error },
        }
    }

    /// Skips known headers and locates the parent of the first new one.
    fn new_headers<'b>(
        &self,
        batch: &'b HeaderBatch<'_>,
    ) -> Result<Option<NewHeaders<'b>>, HeaderChainError> {
        let hashes = batch.hashes();
        let skipped = hashes.iter().take_while(|hash| self.contains(hash)).count();
        let (headers, hashes) = (&batch.headers()[skipped..], &hashes[skipped..]);
        let (Some(first), Some(&hash)) = (headers.first(), hashes.first()) else {
            return Ok(None);
        };
        let parent = first.previous;
        let height = self
            .height_of(&parent)
            .ok_or(HeaderChainError::UnknownParent {
                header: hash,
                parent,
            })?;
        if headers.len() > (MAX_HEIGHT - height) as usize {
            return Err(HeaderChainError::InvalidHeight(MAX_HEIGHT + 1));
        }
        // Side chains below the last checkpoint are removed when the chain reaches it.
        if let Some(checkpoint) = self.last_checkpoint()
            && height < checkpoint
            && self.is_active(&parent)
        {
            return Err(HeaderChainError::InvalidHeader {
                position: batch.position(skipped),
                hash,
                error: ChainRuleError::ForkBelowCheckpoint {
                    height: height + 1,
                    checkpoint,
                },
            });
        }
        Ok(Some(NewHeaders {
            headers,
            hashes,
            skipped,
            parent: (height, parent),
        }))
    }

    fn extend_tip(
        &mut self,
        batch: &HeaderBatch<'_>,
        new: &NewHeaders<'_>,
        now: u32,
    ) -> Result<ExtendOutcome, HeaderChainError> {
        // After an error the window is built anew with the next header.
        let mut window = match self.window.take() {
            Some(window) => window,
            None => self.window_of(&new.parent.1)?,
        };
        let works = self.verify(batch, new, &mut window, now)?;
        let checkpoint = self.last_checkpoint();
        self.window = Some(window);
        self.active.extend(new.headers, new.hashes, &works);
        self.prune_side_chains(checkpoint);
        Ok(ExtendOutcome::NewTip {
            disconnected: Vec::new(),
            connected: new.hashes.to_vec(),
        })
    }

    /// Verifies new headers; `window` ends with their parent, and with the last of them at the end.
    /// Returns the chain work up to each of them.
    fn verify(
        &self,
        batch: &HeaderBatch<'_>,
        new: &NewHeaders<'_>,
        window: &mut Window,
        now: u32,
    ) -> Result<Vec<Work>, HeaderChainError> {
        let mut works = Vec::with_capacity(new.headers.len());
        for (at, (header, hash)) in new.headers.iter().zip(new.hashes).enumerate() {
            let branch = BranchView::new(self, new.parent, &new.headers[..at], window);
            self.rules
                .check_header(&branch, header, *hash, now)
                .map_err(|error| HeaderChainError::InvalidHeader {
                    position: batch.position(new.skipped + at),
                    hash: *hash,
                    error,
                })?;
            let results = branch.results();
            window.keep(results);
            works.push(window.push(header.time, header.bits));
        }
        Ok(works)
    }

    /// Makes the branch that ends with new headers the active chain.
    fn reorganize(&mut self, new: &NewHeaders<'_>, works: &[Work]) -> ExtendOutcome {
        let mut branch = Vec::new();
        let mut hash = new.parent.1;
        while let Some(side) = self.side_chains.remove(&hash) {
            hash = side.header.previous;
            branch.push(side);
        }
        let fork = self.active.height_of(&hash).unwrap_or(self.first_height());
        let mut disconnected = Vec::new();
        while self.tip().0 > fork
            && let Some((header, hash, work)) = self.active.pop()
        {
            let height = self.tip().0 + 1;
            self.side_chains
                .insert(hash, header, height, work, SourceId::LOCAL);
            disconnected.push(hash);
        }
        let mut connected = Vec::with_capacity(branch.len() + new.hashes.len());
        for side in branch.into_iter().rev() {
            self.active
                .extend(&[side.header], &[side.hash], &[side.work]);
            connected.push(side.hash);
        }
        connected.extend_from_slice(new.hashes);
        self.active.extend(new.headers, new.hashes, works);
        self.side_chains.shrink_to(self.side_capacity());
        ExtendOutcome::NewTip {
            disconnected,
            connected,
        }
    }

    fn store_side_chain(
        &mut self,
        source: SourceId,
        new: &NewHeaders<'_>,
        works: &[Work],
    ) -> Result<ExtendOutcome, HeaderChainError> {
        let needed = new.headers.len();
        let (height, parent) = new.parent;
        let work = works.last().copied().unwrap_or_default();
        let capacity = self.side_capacity();
        let available = self
            .side_chains
            .make_space(needed, source, &parent, work, capacity);
        if available < needed {
            return Err(HeaderChainError::SideChainLimit { needed, available });
        }
        let headers = new.headers.iter().zip(new.hashes).zip(works);
        for (height, ((header, hash), work)) in (height + 1..).zip(headers) {
            self.side_chains
                .insert(*hash, *header, height, *work, source);
        }
        Ok(ExtendOutcome::SideChain { headers: needed })
    }

    /// Removes side chains that leave the chain below a checkpoint that it has just reached.
    fn prune_side_chains(&mut self, previous: Option<u32>) {
        let reached = self.last_checkpoint();
        if let Some(checkpoint) = reached.filter(|_| reached != previous)
            && self.side_chains.len() > 0
        {
            let active = &self.active;
            self.side_chains
                .remove_forks_below(checkpoint, |hash| active.height_of(hash));
        }
    }

    /// Returns the window of the branch that ends with a known header.
    fn window_of(&self, parent: &BlockHash) -> Result<Window, HeaderChainError> {
        Window::ending_with(self, parent).ok_or(HeaderChainError::UnknownParent {
            header: BlockHash::ZERO,
            parent: *parent,
        })
    }
}

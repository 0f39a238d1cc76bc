//! The download of headers from one node.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bsv_p2p::wire::{BlockHash, BlockHeader, HeaderChain, HeaderChainError};
use bsv_p2p::{Connection, Error};

use crate::shared::{Failure, with_sources};

/// Maximum time for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Number of new headers below which an answer is short.
const SHORT_ANSWER: usize = 100;

/// Maximum number of short answers. A node sends one, at the end of its chain.
const MAX_SHORT_ANSWERS: u32 = 100;

/// Maximum number of new headers, several times the length of the longest chain. On regtest,
/// headers need almost no work, so a node could send them endlessly.
const MAX_DOWNLOADED: usize = 5_000_000;

/// Extends a chain with the headers of a node.
///
/// Follows the branch of the node, also if it forks below the tip. Each answer must contain new
/// headers, or known headers above the last header of the previous answer.
pub(crate) struct Download<'a> {
    node: &'a mut Connection,
    chain: &'a mut HeaderChain,
    timeout: Duration,
    deadline: Instant,
    /// The last header that the node sent.
    last: Option<BlockHash>,
    short_answers: u32,
    downloaded: usize,
}

impl<'a> Download<'a> {
    pub(crate) fn new(
        node: &'a mut Connection,
        chain: &'a mut HeaderChain,
        timeout: Duration,
    ) -> Self {
        Self {
            node,
            chain,
            timeout,
            deadline: Instant::now() + timeout,
            last: None,
            short_answers: 0,
            downloaded: 0,
        }
    }

    pub(crate) fn chain(&self) -> &HeaderChain {
        self.chain
    }

    /// Returns the number of new headers.
    pub(crate) fn downloaded(&self) -> usize {
        self.downloaded
    }

    /// Requests headers once and adds them to the chain. Returns whether the node has no more.
    ///
    /// Blocks for at most [`ANSWER_TIMEOUT`] or until the deadline, whichever is earlier.
    ///
    /// # Errors
    ///
    /// - If the request fails or times out.
    /// - If a header is invalid.
    /// - If the node repeats known headers or exceeds the limits of this file.
    pub(crate) fn step(&mut self) -> Result<bool, Failure> {
        let branch = self.last.and_then(|last| self.chain.locator_from(&last));
        let locator = branch.unwrap_or_else(|| self.chain.locator());
        let timeout = self.remaining().min(ANSWER_TIMEOUT);
        let headers = match self.node.headers(&locator, BlockHash::ZERO, timeout) {
            Err(Error::Timeout { .. }) if self.remaining().is_zero() => {
                let (after, (height, _)) = (self.timeout, self.chain.tip());
                return Err(
                    format!("download timed out after {after:?} at height {height}").into(),
                );
            }
            result => result.map_err(explain)?,
        };
        let Some(end) = headers.last().map(BlockHeader::hash) else {
            return Ok(true);
        };
        let is_known = |header: &&BlockHeader| self.chain.contains(&header.hash());
        let known = headers.iter().take_while(is_known).count();
        self.chain
            .extend(&headers, unix_time()?)
            .map_err(|error| with_height(self.chain, &headers, error))?;
        self.check_progress(end, headers.len() - known)?;
        self.last = Some(end);
        Ok(false)
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Checks that an answer makes progress. `end` is its last header, `new` its number of new
    /// headers.
    fn check_progress(&mut self, end: BlockHash, new: usize) -> Result<(), String> {
        let height = |hash: &BlockHash| self.chain.height_of(hash);
        if new == 0 && self.last.is_some_and(|last| height(&end) <= height(&last)) {
            return Err(format!("node repeats known headers up to {end}"));
        }
        self.downloaded += new;
        if self.downloaded > MAX_DOWNLOADED {
            return Err(format!("node sent more than {MAX_DOWNLOADED} headers"));
        }
        self.short_answers += u32::from(new < SHORT_ANSWER);
        if self.short_answers > MAX_SHORT_ANSWERS {
            return Err(format!(
                "node sent more than {MAX_SHORT_ANSWERS} answers with fewer than {SHORT_ANSWER} new headers"
            ));
        }
        Ok(())
    }
}

/// Returns the time in Unix seconds.
fn unix_time() -> Result<u32, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u32::try_from(since.as_secs())?)
}

/// Formats an error with the height of the header. The error of an unlinked header lacks it.
fn with_height(chain: &HeaderChain, headers: &[BlockHeader], error: HeaderChainError) -> String {
    let parent = headers.first().map(|first| first.previous);
    let parent = parent.and_then(|parent| chain.height_of(&parent));
    match (error, parent) {
        (
            HeaderChainError::NotLinked {
                position,
                expected,
                got,
            },
            Some(parent),
        ) => {
            let hash = headers.get(position).map(BlockHeader::hash);
            let (hash, height) = (hash.unwrap_or_default(), parent as usize + 1 + position);
            format!("header {hash} at height {height}: expected parent {expected}, got {got}")
        }
        (HeaderChainError::InvalidHeader { hash, error, .. }, _) => {
            format!("header {hash} at {}", with_sources(&error))
        }
        (error, _) => with_sources(&error),
    }
}

/// Adds the most frequent reason to a timeout.
fn explain(error: Error) -> Failure {
    match error {
        Error::Timeout { .. } => {
            let error = with_sources(&error);
            format!("{error}: a node sends no headers while it downloads the chain itself").into()
        }
        error => error.into(),
    }
}

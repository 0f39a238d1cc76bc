//! Reading a header file: verification, detection of damage.

use std::fmt;

use super::HeaderStoreError;
use super::record_file::{RecordFile, offset_of};
use crate::Network;
use crate::error::WithSources;
use crate::wire::{
    BlockHash, BlockHeader, ChainRules, CheckpointStart, HeaderBatch, HeaderChain,
    HeaderChainError, SourceId,
};

/// The number of headers that are verified together: 160 kB.
const BATCH: usize = 2000;

/// Disables the rule that a header is at most two hours ahead of the clock.
const NO_TIME_LIMIT: u32 = u32::MAX;

/// The result of reading a header file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// The number of valid headers in the file.
    pub headers: u32,
    /// The end of the file that was not valid, if any.
    pub damaged: Option<DamagedTail>,
}

/// A damaged end of a header file, for example after a crash or with a full disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedTail {
    /// The height of the first header that is not valid.
    pub height: u32,
    /// The number of bytes from there to the end of the file.
    pub bytes: u64,
    /// The reason, as one line of text.
    pub reason: String,
}

impl fmt::Display for DamagedTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            height,
            bytes,
            reason,
        } = self;
        write!(
            f,
            "{bytes} bytes from height {height} on are damaged: {reason}"
        )
    }
}

/// The content of a header file.
pub(super) struct LoadedHeaders {
    pub(super) chain: HeaderChain,
    pub(super) first_height: u32,
    /// The hash of the last valid header; zero if there is none.
    pub(super) last: BlockHash,
    pub(super) report: LoadReport,
}

/// Reads a file that starts with the genesis block, or after a checkpoint.
pub(super) fn load(
    file: &mut RecordFile,
    rules: ChainRules,
) -> Result<LoadedHeaders, HeaderStoreError> {
    let first = file.record(0)?;
    let checkpoint = first.and_then(|first| {
        let mut checkpoints = rules.checkpoints().iter();
        checkpoints.find_map(|(height, hash)| (*hash == first.previous).then_some(*height))
    });
    match checkpoint {
        Some(height) => load_after_checkpoint(file, &rules, height),
        None => load_from(file, HeaderChain::new(rules)),
    }
}

/// Reads a file that starts with the first header of `start`.
pub(super) fn load_from(
    file: &mut RecordFile,
    start: HeaderChain,
) -> Result<LoadedHeaders, HeaderStoreError> {
    let expected = start.headers(..).next().copied();
    let expected = expected.unwrap_or_else(|| start.rules().genesis());
    let first = file.record(0)?;
    if first == Some(expected) {
        return Loader::new(file, start).run();
    }
    let len = file.byte_len()?;
    let reason = if is_interrupted_start(file, start.rules(), &expected)? {
        (len > 0).then(|| "the first header is incomplete".to_owned())
    } else if file
        .record(1)?
        .is_some_and(|second| second.previous == expected.hash())
    {
        let got = first.unwrap_or(expected).hash();
        Some(format!("expected block {}, got {got}", expected.hash()))
    } else {
        return Err(start_error(file, &start, &expected, first));
    };
    let mut loaded = Loader::new(file, start).loaded();
    loaded.report.damaged = reason.map(|reason| DamagedTail {
        height: loaded.first_height,
        bytes: len,
        reason,
    });
    Ok(loaded)
}

fn start_error(
    file: &RecordFile,
    start: &HeaderChain,
    expected: &BlockHeader,
    first: Option<BlockHeader>,
) -> HeaderStoreError {
    let path = file.path().into();
    let Some(first) = first else {
        let len = file.byte_len().unwrap_or_default();
        return HeaderStoreError::NotHeaders { path, len };
    };
    let network = |network: &Network| BlockHeader::genesis(network) == first;
    HeaderStoreError::StartMismatch {
        path,
        network: start.network().clone(),
        expected: expected.hash(),
        got: first.hash(),
        got_network: Network::ALL.into_iter().find(network),
    }
}

/// Returns whether a file has the content of one whose first write was interrupted: the beginning
/// of the first header, then zeros only.
fn is_interrupted_start(
    file: &mut RecordFile,
    rules: &ChainRules,
    expected: &BlockHeader,
) -> Result<bool, HeaderStoreError> {
    let head = file.read_bytes(0, BlockHeader::LEN)?;
    let written = head
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    let head = &head[..written];
    let is_start = expected.to_bytes().starts_with(head) || {
        // After the version a header contains the hash of the one before it.
        let parent = head.get(4..head.len().min(36)).unwrap_or_default();
        let checkpoints = rules.checkpoints();
        checkpoints
            .iter()
            .any(|checkpoint| checkpoint.1.0.starts_with(parent))
    };
    Ok(is_start && is_zero_after(file, BlockHeader::LEN as u64)?)
}

fn is_zero_after(file: &mut RecordFile, mut offset: u64) -> Result<bool, HeaderStoreError> {
    loop {
        let bytes = file.read_bytes(offset, BATCH * BlockHeader::LEN)?;
        if bytes.is_empty() {
            return Ok(true);
        }
        if bytes.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        offset += bytes.len() as u64;
    }
}

/// Reads a file whose first header is the successor of the checkpoint at `height`. The next
/// checkpoint confirms the first headers, which the rules need to verify the others.
fn load_after_checkpoint(
    file: &mut RecordFile,
    rules: &ChainRules,
    height: u32,
) -> Result<LoadedHeaders, HeaderStoreError> {
    let first_height = height + 1;
    let mut starts = rules
        .checkpoints()
        .iter()
        .filter(|checkpoint| checkpoint.0 > height)
        .filter_map(|checkpoint| {
            let start = CheckpointStart::new(rules.clone(), checkpoint.0).ok()?;
            (start.first_height() == first_height).then_some((start, checkpoint.0))
        });
    let Some((mut start, checkpoint)) = starts.next() else {
        return Err(HeaderStoreError::UnconfirmedStart {
            path: file.path().into(),
            height: first_height,
        });
    };
    let missing = (checkpoint - height) as usize;
    let mut trusted = Vec::new();
    while trusted.len() < missing {
        let max = BATCH.min(missing - trusted.len());
        if file.read(trusted.len() as u32, max, &mut trusted)? < max {
            break;
        }
    }
    let reason = match start.add(&trusted, NO_TIME_LIMIT) {
        Ok(Some(chain)) => {
            let mut loader = Loader::new(file, chain);
            loader.accepted = trusted.len() as u32;
            loader.last = trusted.last().map(BlockHeader::hash).unwrap_or_default();
            return loader.run();
        }
        Ok(None) => format!("the file ends before the checkpoint at height {checkpoint}"),
        Err(HeaderChainError::InvalidHeader { hash, error, .. })
            if is_mined(file, missing as u32, hash)? =>
        {
            return Err(HeaderStoreError::InvalidHeader {
                path: file.path().into(),
                hash,
                error: Box::new(error),
            });
        }
        Err(error) => WithSources(&error).to_string(),
    };
    Ok(LoadedHeaders {
        chain: HeaderChain::new(rules.clone()),
        first_height: 0,
        last: BlockHash::ZERO,
        report: LoadReport {
            headers: 0,
            damaged: Some(DamagedTail {
                height: first_height,
                bytes: file.byte_len()?,
                reason,
            }),
        },
    })
}

/// Returns whether a header with this hash, before the record `next`, was mined. Damaged headers
/// are not: one with 32 leading zero bits does not occur by accident, nor a link to it.
fn is_mined(file: &mut RecordFile, next: u32, hash: BlockHash) -> Result<bool, HeaderStoreError> {
    Ok(is_hard(hash) || file.record(next)?.is_some_and(|next| next.previous == hash))
}

/// Returns whether a hash has the 32 leading zero bits that every public network requires.
fn is_hard(hash: BlockHash) -> bool {
    hash.0.ends_with(&[0; 4])
}

/// Extends a chain with the records of a file, up to the first invalid one.
struct Loader<'f> {
    file: &'f mut RecordFile,
    chain: HeaderChain,
    /// The number of records that the chain contains.
    accepted: u32,
    /// The hash of the last of them; zero if there is none.
    last: BlockHash,
}

/// The first invalid record of a batch.
struct Fault {
    position: usize,
    reason: String,
}

impl<'f> Loader<'f> {
    fn new(file: &'f mut RecordFile, chain: HeaderChain) -> Self {
        Self {
            file,
            chain,
            accepted: 0,
            last: BlockHash::ZERO,
        }
    }

    fn loaded(self) -> LoadedHeaders {
        LoadedHeaders {
            first_height: self.chain.first_height(),
            chain: self.chain,
            last: self.last,
            report: LoadReport {
                headers: self.accepted,
                damaged: None,
            },
        }
    }

    fn run(mut self) -> Result<LoadedHeaders, HeaderStoreError> {
        let mut headers = Vec::with_capacity(BATCH + 1);
        let mut reason = None;
        let mut at_end = false;
        while reason.is_none() && !at_end {
            let next = self.accepted + headers.len() as u32;
            at_end = self.file.read(next, BATCH, &mut headers)? < BATCH;
            // The last header is held back until the next batch shows that it is intact.
            let held_back = usize::from(!at_end);
            let accepted;
            (accepted, reason) = self.accept(&headers, headers.len() - held_back)?;
            headers.drain(..accepted);
        }
        let len = self.file.byte_len()?;
        let bytes = len.saturating_sub(offset_of(self.accepted));
        if reason.is_none() && bytes > 0 {
            reason = Some(format!("the last header is incomplete: {bytes} bytes"));
        }
        let height = self.chain.first_height() + self.accepted;
        let mut loaded = self.loaded();
        loaded.report.damaged = reason.map(|reason| DamagedTail {
            height,
            bytes,
            reason,
        });
        Ok(loaded)
    }

    /// Adds the first `end` headers to the chain, or those before the first invalid one. Returns
    /// their number, and the reason if it is less than `end`.
    fn accept(
        &mut self,
        headers: &[BlockHeader],
        mut end: usize,
    ) -> Result<(usize, Option<String>), HeaderStoreError> {
        let mut reason = None;
        while let Some(fault) = self.extend(headers, end, reason.is_none())? {
            // Those before it may be invalid too, and are verified again.
            end = fault.position;
            reason = Some(fault.reason);
        }
        self.accepted += end as u32;
        Ok((end, reason))
    }

    /// Adds the first `end` headers to the chain, if all are valid. Returns the fault otherwise.
    /// With `is_followed`, the header after them must link to the last one.
    fn extend(
        &mut self,
        headers: &[BlockHeader],
        end: usize,
        is_followed: bool,
    ) -> Result<Option<Fault>, HeaderStoreError> {
        let batch = match HeaderBatch::verify(self.chain.rules(), &headers[..end]) {
            Ok(batch) => batch,
            Err(HeaderChainError::NotLinked { position, .. }) => {
                return self.locate_damage(headers, position).map(Some);
            }
            Err(HeaderChainError::ProofOfWork { position, error }) => {
                let reason = WithSources(&error).to_string();
                return Ok(Some(Fault { position, reason }));
            }
            Err(error) => return Err(self.chain_error(error)),
        };
        let Some(&last) = batch.hashes().last() else {
            return Ok(None);
        };
        if is_followed && headers.get(end).is_some_and(|next| next.previous != last) {
            return self.locate_damage(headers, end).map(Some);
        }
        match self
            .chain
            .extend_from(SourceId::LOCAL, &batch, NO_TIME_LIMIT)
        {
            Ok(_) => {
                self.last = last;
                Ok(None)
            }
            Err(HeaderChainError::UnknownParent { parent, .. }) => {
                let reason = format!("expected a link to {}, got {parent}", self.last);
                let position = 0;
                Ok(Some(Fault { position, reason }))
            }
            Err(HeaderChainError::InvalidHeader {
                position,
                hash,
                error,
            }) => {
                let next = self.accepted + position as u32 + 1;
                if is_mined(self.file, next, hash)? {
                    return Err(HeaderStoreError::InvalidHeader {
                        path: self.file.path().into(),
                        hash,
                        error: Box::new(error),
                    });
                }
                let reason = WithSources(&error).to_string();
                Ok(Some(Fault { position, reason }))
            }
            Err(error) => Err(self.chain_error(error)),
        }
    }

    /// Returns the damaged header at a broken link: that at `position`, or the one before it.
    ///
    /// Where random bytes often are a proof of work, as on regtest, a damaged header is noticed by
    /// the link of the next one. That one is intact if the header after it links to it.
    fn locate_damage(
        &mut self,
        headers: &[BlockHeader],
        position: usize,
    ) -> Result<Fault, HeaderStoreError> {
        let (before, header) = (headers[position - 1].hash(), &headers[position]);
        let reason = format!("expected a link to {before}, got {}", header.previous);
        let may_be_damaged = !is_hard(before) && !self.chain.contains(&before);
        let next = self.accepted + position as u32 + 1;
        let is_before = may_be_damaged && is_mined(self.file, next, header.hash())?;
        Ok(Fault {
            position: position - usize::from(is_before),
            reason,
        })
    }

    fn chain_error(&self, error: HeaderChainError) -> HeaderStoreError {
        HeaderStoreError::Chain {
            path: self.file.path().into(),
            error: Box::new(error),
        }
    }
}

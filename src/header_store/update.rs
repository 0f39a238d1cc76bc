//! Writing the active chain of a header chain to the file.

use super::record_file::offset_of;
use super::{HeaderStore, HeaderStoreError};
use crate::wire::{BlockHeader, HeaderChain};

/// The maximum number of headers in an update: 160 kB.
const MAX_UPDATE: u32 = 2000;

/// The number of headers that are compared with the file to find the fork of a reorganization.
const COMPARED: u32 = MAX_UPDATE / 2;

/// Consecutive headers of an active chain that are missing in a file, or are compared with it.
///
/// Created by [`HeaderStore::plan`]. It holds at most 2,000 headers of 80 bytes.
#[derive(Clone, Debug)]
pub struct HeaderUpdate {
    first_height: u32,
    headers: Vec<BlockHeader>,
}

impl HeaderStore {
    /// Makes the file equal to the active chain of `chain`.
    ///
    /// The blocks that left the active chain are removed from the end of the file, and the new ones
    /// are appended. The cost is proportional to their number. Call [`sync`](Self::sync) afterwards
    /// if the headers must survive a power failure.
    ///
    /// Blocks for the time of the file operations. To lock a shared chain for less time, use
    /// [`plan`](Self::plan) and [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// Those of [`plan`](Self::plan) and [`write`](Self::write). What was written before the error
    /// remains, and the next call continues there.
    pub fn update(&mut self, chain: &HeaderChain) -> Result<(), HeaderStoreError> {
        while let Some(update) = self.plan(chain)? {
            self.write(&update)?;
        }
        Ok(())
    }

    /// Returns the next step that makes the file equal to the active chain of `chain`, or `None` if
    /// it is.
    ///
    /// Copies at most 2,000 headers. Does not block: a caller that shares the chain between threads
    /// locks it for this call only, and calls [`write`](Self::write) after it.
    ///
    /// ```
    /// use std::sync::RwLock;
    ///
    /// use bsv_p2p::wire::HeaderChain;
    /// use bsv_p2p::{HeaderStore, HeaderStoreError};
    ///
    /// fn save(
    ///     store: &mut HeaderStore,
    ///     chain: &RwLock<HeaderChain>,
    /// ) -> Result<(), HeaderStoreError> {
    ///     loop {
    ///         let step = store.plan(&chain.read().expect("no panic"))?;
    ///         let Some(update) = step else {
    ///             return store.sync();
    ///         };
    ///         store.write(&update)?;
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`HeaderStoreError::NetworkMismatch`] if the chain is of another network.
    /// - [`HeaderStoreError::ChainMismatch`] if the chain starts with another header than the file.
    pub fn plan(&self, chain: &HeaderChain) -> Result<Option<HeaderUpdate>, HeaderStoreError> {
        self.check_start(chain)?;
        let (chain_height, _) = chain.tip();
        let first_height = match self.tip() {
            None => chain.first_height(),
            Some((height, hash)) if chain.hash_at(height) == Some(hash) => {
                if height == chain_height {
                    return Ok(None);
                }
                height + 1
            }
            Some((height, _)) => {
                let compared = height.min(chain_height).saturating_sub(COMPARED - 1);
                compared.max(chain.first_height())
            }
        };
        let end = first_height.saturating_add(MAX_UPDATE);
        Ok(Some(HeaderUpdate {
            first_height,
            headers: chain.headers(first_height..end).copied().collect(),
        }))
    }

    /// Applies a step of [`plan`](Self::plan) to the file.
    ///
    /// Blocks for the time of the file operations: at most 160 kB are read and written.
    ///
    /// # Errors
    ///
    /// The file contains a valid chain after every error, except for a tail that the next update,
    /// or opening the file, removes.
    ///
    /// - [`HeaderStoreError::Io`] if an operation fails, for example because the disk is full.
    /// - [`HeaderStoreError::UnexpectedLength`] if another program has shortened the file.
    /// - [`HeaderStoreError::StaleUpdate`] if another update was written since the plan was made.
    pub fn write(&mut self, update: &HeaderUpdate) -> Result<(), HeaderStoreError> {
        self.remove_failed_write()?;
        let mut new = &update.headers[..];
        if let Some((height, _)) = self.tip()
            && update.first_height <= height
        {
            let index = update.first_height.checked_sub(self.first_height);
            let index = index.ok_or_else(|| self.stale(update))?;
            let shared = self.shared_len(index, new)?;
            self.truncate(index + shared)?;
            if shared == 0 {
                // The fork is deeper. The next plan compares the headers below.
                return Ok(());
            }
            new = &new[shared as usize..];
        }
        let Some(next) = new.first() else {
            return Ok(());
        };
        match self.tip() {
            None => self.first_height = update.first_height,
            Some((_, hash)) if hash == next.previous => (),
            Some(_) => return Err(self.stale(update)),
        }
        self.append(new)
    }

    /// Returns the number of `headers` that equal the records from `index` on.
    fn shared_len(&mut self, index: u32, headers: &[BlockHeader]) -> Result<u32, HeaderStoreError> {
        let mut stored = Vec::with_capacity(headers.len());
        self.file.read(index, headers.len(), &mut stored)?;
        let pairs = stored.iter().zip(headers);
        Ok(pairs
            .take_while(|(stored, header)| stored == header)
            .count() as u32)
    }

    /// Removes the bytes that a failed write has left after the last header.
    fn remove_failed_write(&mut self) -> Result<(), HeaderStoreError> {
        let (expected, got) = (offset_of(self.len), self.file.byte_len()?);
        if got > expected {
            self.file.truncate(self.len)?;
        } else if got < expected {
            return Err(HeaderStoreError::UnexpectedLength {
                path: self.path().into(),
                expected,
                got,
            });
        }
        Ok(())
    }

    /// Removes headers from the end of the file, down to `len`.
    fn truncate(&mut self, len: u32) -> Result<(), HeaderStoreError> {
        if len < self.len {
            let last = match len.checked_sub(1) {
                Some(index) => self.file.record(index)?,
                None => None,
            };
            self.file.truncate(len)?;
            self.len = len;
            self.last = last.map(|header| header.hash()).unwrap_or_default();
        }
        Ok(())
    }

    fn append(&mut self, headers: &[BlockHeader]) -> Result<(), HeaderStoreError> {
        self.file.append(self.len, headers)?;
        if self.len == 0 {
            self.first = headers.first().map(BlockHeader::hash).unwrap_or_default();
        }
        self.len += headers.len() as u32;
        self.last = headers.last().map(BlockHeader::hash).unwrap_or_default();
        Ok(())
    }

    fn stale(&self, update: &HeaderUpdate) -> HeaderStoreError {
        HeaderStoreError::StaleUpdate {
            path: self.path().into(),
            height: update.first_height,
        }
    }

    fn check_start(&self, chain: &HeaderChain) -> Result<(), HeaderStoreError> {
        let path = || self.path().into();
        if *chain.network() != self.network {
            return Err(HeaderStoreError::NetworkMismatch {
                path: path(),
                expected: self.network.clone(),
                got: chain.network().clone(),
            });
        }
        let height = chain.first_height();
        let got = (height, chain.hash_at(height).unwrap_or_default());
        let expected = (self.first_height, self.first);
        if self.len > 0 && got != expected {
            return Err(HeaderStoreError::ChainMismatch {
                path: path(),
                expected,
                got,
            });
        }
        Ok(())
    }
}

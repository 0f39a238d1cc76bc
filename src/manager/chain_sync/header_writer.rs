//! Writes the followed chain to its file.

use std::time::{Duration, Instant};

use super::chain_state::ChainState;
use crate::header_store::{HeaderStore, HeaderStoreError, LoadReport};

/// Maximum time before written headers survive a power failure.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// Delay before a failed operation is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The file of the followed chain, and the failures of writing it.
pub(super) struct HeaderWriter {
    store: HeaderStore,
    /// The damage that was removed when the file was opened, until it is reported.
    damage: Option<HeaderStoreError>,
    /// The last failure. Each failure is reported once.
    failure: Option<HeaderStoreError>,
    retry_at: Option<Instant>,
    /// When the headers written since the last sync must be synced.
    sync_at: Option<Instant>,
}

impl HeaderWriter {
    pub(super) fn new(store: HeaderStore, report: LoadReport) -> Self {
        let damage = report.damaged.map(|tail| HeaderStoreError::Damaged {
            path: store.path().into(),
            tail,
        });
        Self {
            store,
            damage,
            failure: None,
            retry_at: None,
            sync_at: None,
        }
    }

    /// Writes the changes of the chain. Passes new failures to `report`.
    ///
    /// Blocks for the time of the file operations.
    pub(super) fn poll(
        &mut self,
        state: &ChainState,
        now: Instant,
        mut report: impl FnMut(HeaderStoreError),
    ) {
        if let Some(damage) = self.damage.take() {
            report(damage);
        }
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let mut result = self.write(state, now);
        if result.is_ok() && self.sync_at.is_some_and(|at| now >= at) {
            result = self.sync();
        }
        let failure = result.err();
        self.retry_at = failure.as_ref().map(|_| now + RETRY_INTERVAL);
        if let Some(failure) = &failure
            && self.failure.as_ref() != Some(failure)
        {
            report(failure.clone());
        }
        self.failure = failure;
    }

    /// Returns when [`HeaderWriter::poll`] must be called if the chain does not change before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.retry_at.or(self.sync_at)
    }

    /// Writes and syncs everything. Blocks for the time of the file operations.
    pub(super) fn finish(&mut self, state: &ChainState) -> Result<(), HeaderStoreError> {
        self.write(state, Instant::now())?;
        match self.sync_at {
            Some(_) => self.sync(),
            None => Ok(()),
        }
    }

    fn write(&mut self, state: &ChainState, now: Instant) -> Result<(), HeaderStoreError> {
        loop {
            let next = state.with_followed(|chain| {
                // An empty file without the genesis header can still store a chain that starts at a
                // later height.
                if self.store.tip().is_none() && chain.tip().0 == 0 {
                    return Ok(None);
                }
                self.store.plan(chain)
            });
            let Some(update) = next.transpose()?.flatten() else {
                return Ok(());
            };
            // Set before the write, which can fail after a partial write.
            self.sync_at.get_or_insert(now + SYNC_INTERVAL);
            self.store.write(&update)?;
        }
    }

    fn sync(&mut self) -> Result<(), HeaderStoreError> {
        self.store.sync()?;
        self.sync_at = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use super::super::test_headers::{chain_of, mined};
    use super::*;
    use crate::{LogLevel, Network};

    fn state_at(height: usize) -> ChainState {
        let chain = chain_of(&mined(height, 1));
        ChainState::new(chain.into(), LogLevel::default()).0
    }

    fn writer_at(path: &Path) -> HeaderWriter {
        let (store, _, report) = HeaderStore::open(path, Network::Regtest).unwrap();
        HeaderWriter::new(store, report)
    }

    /// Polls the writer and returns the failures that it reports.
    fn poll(writer: &mut HeaderWriter, state: &ChainState, now: Instant) -> Vec<HeaderStoreError> {
        let mut failures = Vec::new();
        writer.poll(state, now, |error| failures.push(error));
        failures
    }

    #[test]
    fn failure_is_reported_once_and_retried() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        let mut writer = writer_at(&path);
        let state = state_at(3);
        let now = Instant::now();
        assert_eq!(poll(&mut writer, &state, now), []);
        let written = fs::read(&path).unwrap();
        assert_eq!(written.len(), 4 * 80);

        // Another program shortens the file.
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(80)
            .unwrap();
        state.replace(chain_of(&mined(5, 1)).into());
        let failures = poll(&mut writer, &state, now);
        assert!(
            matches!(
                failures[..],
                [HeaderStoreError::UnexpectedLength { got: 80, .. }]
            ),
            "{failures:?}"
        );
        let retry_at = now + RETRY_INTERVAL;
        assert_eq!(writer.next_deadline(), Some(retry_at));
        assert_eq!(poll(&mut writer, &state, retry_at), [], "the same failure");

        fs::write(&path, &written).unwrap();
        let early = retry_at + RETRY_INTERVAL - Duration::from_nanos(1);
        assert_eq!(poll(&mut writer, &state, early), []);
        assert_eq!(fs::read(&path).unwrap(), written, "before the pause ends");
        assert_eq!(poll(&mut writer, &state, retry_at + RETRY_INTERVAL), []);
        assert_eq!(fs::read(&path).unwrap().len(), 6 * 80);
    }

    #[test]
    fn sync_follows_first_write_after_interval() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer_at(&folder.path().join("headers"));
        let state = state_at(3);
        let now = Instant::now();
        assert_eq!(writer.next_deadline(), None);
        poll(&mut writer, &state, now);
        let sync_at = now + SYNC_INTERVAL;
        assert_eq!(writer.next_deadline(), Some(sync_at));
        state.replace(chain_of(&mined(4, 1)).into());
        poll(&mut writer, &state, now + Duration::from_secs(1));
        assert_eq!(writer.next_deadline(), Some(sync_at));
        poll(&mut writer, &state, sync_at);
        assert_eq!(writer.next_deadline(), None);
    }

    #[test]
    fn genesis_header_alone_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        let mut writer = writer_at(&path);
        let state = state_at(0);
        assert_eq!(writer.finish(&state), Ok(()));
        assert!(fs::read(&path).unwrap().is_empty());
    }
}

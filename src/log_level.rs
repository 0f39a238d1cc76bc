//! A maximum log level for each owner of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use log::{Level, LevelFilter};

/// The maximum log level of an owner of connections, such as a manager.
///
/// The global maximum level of the crate `log` also applies: this limit only removes records.
/// Clones share one limit. A change takes effect with the next record. Safe to use from several
/// threads; no method blocks.
///
/// ```
/// use bsv_p2p::LogLevel;
/// use log::LevelFilter;
///
/// let level = LogLevel::new(LevelFilter::Warn);
/// level.set(LevelFilter::Off);
/// assert_eq!(level.get(), LevelFilter::Off);
/// ```
#[derive(Clone, Debug)]
pub struct LogLevel(Arc<AtomicUsize>);

impl LogLevel {
    /// Creates a limit at which records of `level` and of more severe levels are written.
    pub fn new(level: LevelFilter) -> Self {
        Self(Arc::new(AtomicUsize::new(level as usize)))
    }

    /// Replaces the level of this limit and of its clones. Does not block.
    pub fn set(&self, level: LevelFilter) {
        self.0.store(level as usize, Relaxed);
    }

    /// Returns the current level. Does not block.
    pub fn get(&self) -> LevelFilter {
        let level = self.0.load(Relaxed);
        LevelFilter::iter()
            .find(|filter| *filter as usize == level)
            .unwrap_or(LevelFilter::Trace)
    }

    /// Returns whether records of this level are written.
    pub(crate) fn allows(&self, level: Level) -> bool {
        level as usize <= self.0.load(Relaxed)
    }
}

impl Default for LogLevel {
    /// Returns a limit that removes no records ([`LevelFilter::Trace`]).
    fn default() -> Self {
        Self::new(LevelFilter::Trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_limit_is_shared_by_clones() {
        let level = LogLevel::new(LevelFilter::Info);
        assert!(level.allows(Level::Info) && level.allows(Level::Error));
        assert!(!level.allows(Level::Debug));
        let clone = level.clone();
        for filter in LevelFilter::iter() {
            clone.set(filter);
            assert_eq!(level.get(), filter);
            assert_eq!(level.allows(Level::Error), filter != LevelFilter::Off);
        }
        assert!(LogLevel::default().allows(Level::Trace));
    }
}

//! Down to which level log records are written: one limit for each owner of connections, asked before each record.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use log::{Level, LevelFilter};

/// Down to which level log records are written.
///
/// The global level of the crate `log` belongs to the program, and holds besides: this one only takes records away. A clone is the
/// same limit; a change holds for the next record. Safe to use from several threads; nothing blocks.
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
    /// Records of this level and those that matter more are written.
    pub fn new(level: LevelFilter) -> Self {
        Self(Arc::new(AtomicUsize::new(level as usize)))
    }

    /// Changes it.
    pub fn set(&self, level: LevelFilter) {
        self.0.store(level as usize, Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> LevelFilter {
        let level = self.0.load(Relaxed);
        LevelFilter::iter()
            .find(|filter| *filter as usize == level)
            .unwrap_or(LevelFilter::Trace)
    }

    /// Whether a record of this level is written.
    pub(crate) fn allows(&self, level: Level) -> bool {
        level as usize <= self.0.load(Relaxed)
    }
}

impl Default for LogLevel {
    /// No limit.
    fn default() -> Self {
        Self::new(LevelFilter::Trace)
    }
}

/// Writes a log record if `$limit`, a [`LogLevel`], allows it.
macro_rules! record {
    ($limit:expr, $level:ident, $($rest:tt)+) => {
        if $limit.allows(log::Level::$level) {
            log::log!(log::Level::$level, $($rest)+);
        }
    };
}

pub(crate) use record;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_allows_what_matters_as_much_or_more_and_changes_for_all_clones() {
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

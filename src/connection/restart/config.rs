//! How often and how soon a lost connection is opened again.

use std::time::Duration;

use crate::session::ConfigError;

/// The limits and pauses of the restarts of an outbound connection.
///
/// Each pause is shortened at random by up to a quarter. Local faults have pauses of their own, as
/// documented at [`RestartPolicy::on_end`](super::RestartPolicy::on_end).
///
/// ```
/// use bsv_p2p::connection::RestartConfig;
///
/// // Dials the peer again however long it is unreachable.
/// let config = RestartConfig { max_retries: None, ..RestartConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RestartConfig {
    /// The maximum number of immediate restarts in a window. Defaults to 3; 0 disables them.
    ///
    /// A connection that was reset or closed by the peer, or whose socket failed, is restarted
    /// immediately. Further restarts in the window follow after a pause.
    pub max_restarts: u32,
    /// The length of the window of `max_restarts`, in seconds. Defaults to 3,600, at least 1.
    pub restart_window_secs: u64,
    /// The pause after the first failure. It doubles with each further failure in a row. Defaults
    /// to 5 s, above zero.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub backoff: Duration,
    /// The maximum pause. Defaults to 10 minutes, at least `backoff` and at most 365 days.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub max_backoff: Duration,
    /// The maximum number of pauses in a row after failures. Defaults to 10.
    ///
    /// After that the peer counts as inaccessible. A connection of at least 60 s resets the number.
    /// With `None` there is no limit, and a peer that refuses this node is dialed again after
    /// `max_backoff`.
    pub max_retries: Option<u32>,
}

impl RestartConfig {
    /// Checks the values of the configuration.
    ///
    /// # Errors
    ///
    /// - [`ConfigError`] for the first invalid field, with its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::unless(
            self.restart_window_secs > 0,
            "restart_window_secs",
            &self.restart_window_secs,
            "at least 1",
        )?;
        ConfigError::unless(
            !self.backoff.is_zero(),
            "backoff",
            &self.backoff,
            "a duration above zero",
        )?;
        ConfigError::unless(
            self.max_backoff >= self.backoff && self.max_backoff <= Self::LONGEST,
            "max_backoff",
            &self.max_backoff,
            "at least backoff and at most a year",
        )
    }

    /// Longer pauses might overflow the clock.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
}

impl Default for RestartConfig {
    fn default() -> Self {
        Self {
            max_restarts: 3,
            restart_window_secs: 3600,
            backoff: Duration::from_secs(5),
            max_backoff: Duration::from_secs(600),
            max_retries: Some(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_value_is_named_and_defaults_pass() {
        assert_eq!(RestartConfig::default().validate(), Ok(()));
        let wrong = |change: fn(&mut RestartConfig)| {
            let mut config = RestartConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(
            wrong(|config| config.restart_window_secs = 0),
            "restart_window_secs: expected at least 1, got 0"
        );
        assert_eq!(
            wrong(|config| config.backoff = Duration::ZERO),
            "backoff: expected a duration above zero, got 0ns"
        );
        assert_eq!(
            wrong(|config| config.max_backoff = Duration::from_secs(4)),
            "max_backoff: expected at least backoff and at most a year, got 4s"
        );
        assert!(wrong(|config| config.max_backoff = Duration::MAX).starts_with("max_backoff"));
    }
}

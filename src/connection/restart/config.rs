//! How often and how soon a lost connection is opened again.

use std::time::Duration;

use crate::session::ConfigError;

/// How often and how soon a connection that we dialled is opened again.
///
/// ```
/// use bsv_p2p::connection::RestartConfig;
///
/// // A peer that the program depends on: however long it is away, it is dialled again.
/// let config = RestartConfig { max_retries: None, ..RestartConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RestartConfig {
    /// How many times within the window a connection that the network has cut is opened again at once; 3 by default, 0 for
    /// never. Further cuts are followed by pauses.
    pub max_restarts: u32,
    /// How long the window is that `max_restarts` counts in, in whole seconds; an hour by default.
    pub restart_window_secs: u64,
    /// The pause after the first failure; each further failure in a row doubles it. 5 s by default.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub backoff: Duration,
    /// The longest pause; 10 minutes by default.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub max_backoff: Duration,
    /// After how many pauses in a row without a lasting connection the peer is given up as inaccessible; 10 by default. `None`: never; a
    /// peer that refuses us is tried again after the longest pause then.
    pub max_retries: Option<u32>,
}

impl RestartConfig {
    /// Checks that the values can work together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::unless(
            self.restart_window_secs > 0,
            "restart_window_secs",
            &self.restart_window_secs,
            "at least 1 is needed",
        )?;
        ConfigError::unless(
            !self.backoff.is_zero(),
            "backoff",
            &self.backoff,
            "a duration above zero is needed",
        )?;
        ConfigError::unless(
            self.max_backoff >= self.backoff && self.max_backoff <= Self::LONGEST,
            "max_backoff",
            &self.max_backoff,
            "at least backoff and at most a year is needed",
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
    fn the_defaults_are_valid_and_a_wrong_value_is_named() {
        assert_eq!(RestartConfig::default().validate(), Ok(()));
        let wrong = |change: fn(&mut RestartConfig)| {
            let mut config = RestartConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(
            wrong(|config| config.restart_window_secs = 0),
            "restart_window_secs is 0: at least 1 is needed"
        );
        assert_eq!(
            wrong(|config| config.backoff = Duration::ZERO),
            "backoff is 0ns: a duration above zero is needed"
        );
        assert_eq!(
            wrong(|config| config.max_backoff = Duration::from_secs(4)),
            "max_backoff is 4s: at least backoff and at most a year is needed"
        );
        assert!(wrong(|config| config.max_backoff = Duration::MAX).starts_with("max_backoff"));
    }
}

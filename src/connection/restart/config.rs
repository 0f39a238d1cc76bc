//! Configuration of restarts.

use std::time::Duration;

use crate::session::ConfigError;

/// The limits and pauses of the restarts of an outbound connection.
///
/// Each pause is shortened at random by up to a quarter. Local faults have pauses of their own, as
/// documented at [`RestartPolicy::on_end`](super::RestartPolicy::on_end).
///
/// Struct expressions that end with `..RestartConfig::default()` keep compiling when a field is
/// added.
///
/// ```
/// use bsv_p2p::connection::RestartConfig;
///
/// // Dials the peer again however long it is unreachable.
/// let config = RestartConfig { max_delayed_restarts: None, ..RestartConfig::default() };
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
    pub max_immediate_restarts: u32,
    /// The length of the window of `max_immediate_restarts`. Defaults to 1 hour. Must be above
    /// zero.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub restart_window: Duration,
    /// The pause after the first failure. It doubles with each further failure in a row. Defaults
    /// to 5 s. Must be above zero.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub backoff: Duration,
    /// The maximum pause. Defaults to 10 minutes. Must be at least `backoff` and at most 365 days.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub max_backoff: Duration,
    /// The maximum number of restarts in a row that follow a pause. Defaults to 10.
    ///
    /// After that the peer counts as inaccessible. A connection of at least 60 s resets the number.
    /// With `None` there is no limit, and a peer that refuses this node is dialed again after
    /// `max_backoff`.
    pub max_delayed_restarts: Option<u32>,
}

impl RestartConfig {
    /// Checks the values of the configuration.
    ///
    /// # Errors
    ///
    /// - [`ConfigError`] for the first invalid field, with its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::unless(
            !self.restart_window.is_zero(),
            "restart_window",
            &self.restart_window,
            "a duration above zero",
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

    /// The upper bound of `max_backoff`. Longer pauses could overflow an `Instant`.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
}

impl Default for RestartConfig {
    fn default() -> Self {
        Self {
            max_immediate_restarts: 3,
            restart_window: Duration::from_secs(3600),
            backoff: Duration::from_secs(5),
            max_backoff: Duration::from_secs(600),
            max_delayed_restarts: Some(10),
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
            wrong(|config| config.restart_window = Duration::ZERO),
            "restart_window: expected a duration above zero, got 0ns"
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

    #[cfg(feature = "serde")]
    #[test]
    fn restart_window_is_seconds_in_json() {
        let config: RestartConfig =
            serde_json::from_str(r#"{ "restart_window": 90, "max_delayed_restarts": null }"#)
                .unwrap();
        let expected = RestartConfig {
            restart_window: Duration::from_secs(90),
            max_delayed_restarts: None,
            ..RestartConfig::default()
        };
        assert_eq!(config, expected);
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json["restart_window"], 90);
        assert_eq!(json["max_immediate_restarts"], 3);
    }
}

//! The configuration of a session.

use std::borrow::Cow;
use std::time::Duration;

use super::user_agent::{UserAgentPolicy, check_user_agent};
use crate::wire::{
    BlockHash, LEGACY_MAX_RECEIVE_PAYLOAD, MAX_USER_AGENT, PayloadLimits, Services, StreamPolicy,
};

/// The protocol version of this library, which is that of Bitcoin SV node 1.2.2.
pub const PROTOCOL_VERSION: i32 = 70016;

/// The minimum protocol version that nodes accept (`src/version.h`, `MIN_PEER_PROTO_VERSION`).
pub const MINIMUM_PROTOCOL_VERSION: i32 = 31800;

/// The default user agent: `/bsv-p2p:`, the version of this crate, and `(Bitcoin SV)/`.
///
/// Teranode requires the comment `Bitcoin SV`: see [`check_user_agent`](super::check_user_agent).
pub const USER_AGENT: &str = concat!("/bsv-p2p:", env!("CARGO_PKG_VERSION"), "(Bitcoin SV)/");

/// The maximum timeout. Longer ones might overflow the clock.
const MAX_TIMEOUT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The configuration of a [`Session`](super::Session): its `version`, limits, timeouts, and the
/// requirements for peers.
///
/// [`Session::update_config`](super::Session::update_config) replaces the configuration of a
/// running session. Each field specifies when its new value takes effect.
///
/// Struct expressions that end with `..SessionConfig::default()` keep compiling when a field is
/// added.
///
/// ```
/// use std::time::Duration;
///
/// use bsv_p2p::session::SessionConfig;
///
/// let config = SessionConfig {
///     ping_timeout: Duration::from_secs(20),
///     ..SessionConfig::default()
/// };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SessionConfig {
    /// The protocol version of our `version`. Defaults to [`PROTOCOL_VERSION`]; must be at least
    /// [`MINIMUM_PROTOCOL_VERSION`].
    ///
    /// An update takes effect with the next connection. Rules that depend on the minimum of both
    /// versions, such as the form of pings, change immediately.
    pub protocol_version: i32,
    /// The services of our `version`. Defaults to [`Services::NONE`].
    ///
    /// [`Services::NETWORK`] should be set only if blocks are served, because nodes then request
    /// them. An update takes effect with the next connection. Whether Bloom filters of a peer are
    /// accepted changes immediately.
    pub services: Services,
    /// The user agent of our `version`. Defaults to [`USER_AGENT`]. At most 256 bytes.
    ///
    /// [`validate`](Self::validate) refuses agents that a kind of node bans or rejects, as found by
    /// [`check_user_agent`], unless [`allow_rejected_user_agent`](Self::allow_rejected_user_agent)
    /// is set. An update takes effect with the next connection.
    pub user_agent: String,
    /// Whether [`user_agent`](Self::user_agent) may be one that nodes ban or reject. Defaults to
    /// `false`.
    ///
    /// Useful on private networks and in tests. On public networks, nodes ban the address of this
    /// host for 24 hours.
    pub allow_rejected_user_agent: bool,
    /// The height of our best block in our `version`. Defaults to 0; -1 means that there is none.
    /// An update takes effect with the next connection.
    pub start_height: i32,
    /// Whether peers should announce transactions to us. Defaults to `true`. An update takes effect
    /// with the next connection.
    pub relay: bool,
    /// Whether peers should announce new blocks with `headers` rather than `inv`. Defaults to
    /// `true`.
    ///
    /// Nodes do so only after headers have been exchanged. `sendheaders` is always sent to a
    /// [Teranode](super::PeerProfile::Teranode), which announces blocks to no other peer. An update
    /// takes effect with the next connection.
    pub send_headers: bool,
    /// The minimum protocol version of peers. Defaults to [`MINIMUM_PROTOCOL_VERSION`]. An update
    /// takes effect with the next connection.
    pub minimum_protocol_version: i32,
    /// The services that dialed peers must have. Defaults to [`Services::NONE`]. Inbound peers are
    /// not checked. An update takes effect with the next connection.
    pub required_services: Services,
    /// The user agents of peers that are accepted. By default, those of other chains are not.
    ///
    /// A policy that requires `*Bitcoin SV*` alone excludes Teranode: see [`UserAgentPolicy`]. An
    /// update takes effect with the next connection.
    pub user_agents: UserAgentPolicy,
    /// A block that the peer must have on its chain. Defaults to `None`.
    ///
    /// [`Network::first_own_block`](crate::Network::first_own_block) distinguishes nodes of this
    /// chain from nodes of others, whatever user agent they send. After the handshake the session
    /// requests the headers after the block. A peer that starts with genesis or its child is closed
    /// with [`WrongChain`](super::DisconnectReason::WrongChain). A peer that sends no headers is
    /// accepted: it may be in its initial block download. An update takes effect with the next
    /// connection.
    pub required_block: Option<BlockHash>,
    /// Whether a peer may have a second TCP connection, for blocks and headers (`-multistreams` of
    /// the node). Defaults to `true`.
    ///
    /// A [`Connection`](crate::Connection) always uses a single TCP connection. An update takes
    /// effect with the next connection.
    pub multistreams: bool,
    /// The stream policies that are offered to peers, in order of preference. Defaults to
    /// [`StreamPolicy::BlockPriority`] and [`StreamPolicy::Default`].
    ///
    /// The side that dials chooses the first policy of its list that the other side also offers.
    /// The list must contain [`StreamPolicy::Default`], and no policy twice. A node closes the
    /// connection if it knows no offered policy. An update takes effect with the next connection.
    pub stream_policies: Vec<StreamPolicy>,
    /// The maximum lengths of payloads. `limits.general` is announced in `protoconf`.
    ///
    /// `limits.general` must be at least 1,048,576, and at most `limits.ceiling`. An update takes
    /// effect immediately. A peer may still send payloads of the length that was announced to it.
    pub limits: PayloadLimits,
    /// The maximum duration of the handshake, from the established TCP connection. Also the timeout
    /// of a request for a second stream. Defaults to 30 s. Must be above zero and at most 100
    /// years. An update takes effect immediately.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub handshake_timeout: Duration,
    /// The interval between pings. Defaults to 5 minutes. Must be above zero and at most 100 years.
    ///
    /// The first ping is sent directly after the handshake. A
    /// [Teranode](super::PeerProfile::Teranode) gets a ping at least every 60 s, because it closes
    /// silent connections after 125 s. An update takes effect immediately.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub ping_interval: Duration,
    /// The maximum time until a ping is answered. Defaults to 60 s. Must be above zero and at most
    /// 100 years.
    ///
    /// The timeout is suspended while a large frame is transferred. An update takes effect
    /// immediately.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub ping_timeout: Duration,
    /// The maximum time without received data. Defaults to 20 minutes, as in the node. Must be
    /// above zero and at most 100 years. An update takes effect immediately.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub idle_timeout: Duration,
    /// The misbehavior score at which the connection is closed. Defaults to 100, as in the node.
    /// Must be at least 1. An update takes effect immediately.
    pub ban_threshold: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            protocol_version: PROTOCOL_VERSION,
            services: Services::NONE,
            user_agent: USER_AGENT.to_owned(),
            allow_rejected_user_agent: false,
            start_height: 0,
            relay: true,
            send_headers: true,
            minimum_protocol_version: MINIMUM_PROTOCOL_VERSION,
            required_services: Services::NONE,
            user_agents: UserAgentPolicy::default(),
            required_block: None,
            multistreams: true,
            stream_policies: vec![StreamPolicy::BlockPriority, StreamPolicy::Default],
            limits: PayloadLimits::default(),
            handshake_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(300),
            ping_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(20 * 60),
            ban_threshold: 100,
        }
    }
}

/// The error of an invalid configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, got {value}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The path of the field.
    pub field: &'static str,
    /// The value of the field.
    pub value: String,
    /// A description of the valid values.
    pub expected: Cow<'static, str>,
}

impl ConfigError {
    /// Returns an error unless `is_valid` is `true`.
    pub(crate) fn unless(
        is_valid: bool,
        field: &'static str,
        value: &dyn std::fmt::Debug,
        expected: &'static str,
    ) -> Result<(), Self> {
        if is_valid {
            Ok(())
        } else {
            Err(Self {
                field,
                value: format!("{value:?}"),
                expected: expected.into(),
            })
        }
    }
}

impl SessionConfig {
    /// Checks the values of all fields.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the first invalid field and its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless;
        check(
            self.protocol_version >= MINIMUM_PROTOCOL_VERSION,
            "protocol_version",
            &self.protocol_version,
            "at least 31800",
        )?;
        check(
            self.user_agent.len() as u64 <= MAX_USER_AGENT,
            "user_agent",
            &self.user_agent,
            "at most 256 bytes",
        )?;
        if !self.allow_rejected_user_agent {
            check_user_agent(&self.user_agent).map_err(|error| ConfigError {
                field: "user_agent",
                value: format!("{:?}", self.user_agent),
                expected: format!("a user agent that nodes accept ({error})").into(),
            })?;
        }
        check(
            self.start_height >= -1,
            "start_height",
            &self.start_height,
            "a height of at least 0, or -1 for none",
        )?;
        check(
            self.limits.general >= LEGACY_MAX_RECEIVE_PAYLOAD,
            "limits.general",
            &self.limits.general,
            "at least 1048576",
        )?;
        check(
            self.limits.ceiling >= u64::from(self.limits.general),
            "limits.ceiling",
            &self.limits.ceiling,
            "at least limits.general",
        )?;
        for (field, value) in [
            ("handshake_timeout", self.handshake_timeout),
            ("ping_interval", self.ping_interval),
            ("ping_timeout", self.ping_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            check(
                !value.is_zero() && value <= MAX_TIMEOUT,
                field,
                &value,
                "a duration above zero and at most 100 years",
            )?;
        }
        check(
            self.stream_policies.contains(&StreamPolicy::Default),
            "stream_policies",
            &self.stream_policies,
            "a list that contains Default",
        )?;
        let twice = |at| self.stream_policies[..at].contains(&self.stream_policies[at]);
        check(
            !(0..self.stream_policies.len()).any(twice),
            "stream_policies",
            &self.stream_policies,
            "distinct policies",
        )?;
        check(
            self.ban_threshold > 0,
            "ban_threshold",
            &self.ban_threshold,
            "at least 1",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(SessionConfig::default().validate(), Ok(()));
        assert_eq!(USER_AGENT, "/bsv-p2p:0.1.0(Bitcoin SV)/");
    }

    #[test]
    fn rejected_user_agent_needs_explicit_permission() {
        let mut config = SessionConfig {
            user_agent: "/wallet:1/".into(),
            ..SessionConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "user_agent: expected a user agent that nodes accept (Teranode bans user agents that contain \
             neither \"Bitcoin SV\" nor \"BSV\"), got \"/wallet:1/\""
        );
        config.allow_rejected_user_agent = true;
        assert_eq!(config.validate(), Ok(()));
        config.user_agent = "x".repeat(257);
        assert_eq!(config.validate().unwrap_err().field, "user_agent");
    }

    #[test]
    fn error_names_field_and_value() {
        let wrong = |change: fn(&mut SessionConfig)| {
            let mut config = SessionConfig::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert_eq!(
            wrong(|config| config.user_agent = "/abcd:1/".into()).to_string(),
            "user_agent: expected a user agent that nodes accept (SV Node bans user agents that contain \
             \"abc\" in any case of letters), got \"/abcd:1/\""
        );
        assert_eq!(
            wrong(|config| config.user_agent = "x".repeat(257)).field,
            "user_agent"
        );
        assert_eq!(
            wrong(|config| config.limits.general = 1_048_575).field,
            "limits.general"
        );
        assert_eq!(
            wrong(|config| config.ping_timeout = Duration::ZERO).field,
            "ping_timeout"
        );
        assert_eq!(
            wrong(|config| config.start_height = -2).field,
            "start_height"
        );
        assert_eq!(
            wrong(|config| config.protocol_version = 209).field,
            "protocol_version"
        );
    }
}

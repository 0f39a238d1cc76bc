//! What a session announces, expects and waits for.

use std::borrow::Cow;
use std::time::Duration;

use super::user_agent::{UserAgentPolicy, check_user_agent};
use crate::wire::{
    BlockHash, LEGACY_MAX_RECEIVE_PAYLOAD, MAX_USER_AGENT, PayloadLimits, Services, StreamPolicy,
};

/// The protocol version that we speak: that of Bitcoin SV node 1.2.2.
pub const PROTOCOL_VERSION: i32 = 70016;

/// The oldest protocol version that a node talks to (`src/version.h`, `MIN_PEER_PROTO_VERSION`).
pub const MINIMUM_PROTOCOL_VERSION: i32 = 31800;

/// The default user agent: `/bsv-p2p:`, the version of this crate, and `(Bitcoin SV)/`.
///
/// The comment `Bitcoin SV` is required by Teranode: see
/// [`check_user_agent`](super::check_user_agent).
pub const USER_AGENT: &str = concat!("/bsv-p2p:", env!("CARGO_PKG_VERSION"), "(Bitcoin SV)/");

/// Longer ones might overflow the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What a [`Session`](super::Session) announces of us, expects of the peer, and waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SessionConfig {
    /// The protocol version that we announce; 70016 by default, at least 31800.
    pub protocol_version: i32,
    /// What we serve; nothing by default. Announce [`Services::NETWORK`] only if blocks are served: a node
    /// asks for them then.
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
    /// The height of our best block; 0 by default, -1 for none.
    pub start_height: i32,
    /// Whether we want transactions announced; yes by default.
    pub relay: bool,
    /// Whether we ask for new blocks to be announced with `headers`; yes by default. A node does so only
    /// after headers have been exchanged. A [Teranode](super::PeerProfile::Teranode) is always asked: it announces blocks to no
    /// other peer.
    pub send_headers: bool,
    /// The oldest protocol version that a peer may speak; 31800 by default.
    pub minimum_protocol_version: i32,
    /// What a peer that we dial has to serve; nothing by default. Inbound peers are not asked.
    pub required_services: Services,
    /// The user agents of peers that are accepted. By default those of other chains are not. A
    /// policy that requires `*Bitcoin SV*` alone excludes Teranode: see [`UserAgentPolicy`].
    pub user_agents: UserAgentPolicy,
    /// A block that the peer must have on its chain. Defaults to `None`.
    ///
    /// [`Network::first_own_block`](crate::Network::first_own_block) distinguishes nodes of this
    /// chain from nodes of others, whatever user agent they send. After the handshake the session
    /// requests the headers after the block. A peer that starts with genesis or its child is closed
    /// with [`WrongChain`](super::DisconnectReason::WrongChain). A peer that sends no headers is
    /// accepted: it may be in its initial block download.
    pub required_block: Option<BlockHash>,
    /// Whether a peer may have a second TCP connection, for blocks and headers; yes by default. What a node calls `-multistreams`.
    /// A [`Connection`](crate::Connection) has one all the same.
    pub multistreams: bool,
    /// What may go over which stream, the preferred policy first: [`StreamPolicy::BlockPriority`] and [`StreamPolicy::Default`] by default.
    /// Whoever dials chooses the first of its own list that the other side has as well. [`StreamPolicy::Default`] has to be among them: a
    /// node closes connections whose other side knows no policy of its list.
    pub stream_policies: Vec<StreamPolicy>,
    /// How long payloads may be. `protoconf` announces `limits.general`.
    pub limits: PayloadLimits,
    /// How long the handshake may take once TCP stands, and how long the answer to a request for a second stream; 30 s by default.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub handshake_timeout: Duration,
    /// How often we ping; every 5 minutes by default. The first ping follows the handshake at once. A
    /// [Teranode](super::PeerProfile::Teranode) gets one at least every 60 s, as it ends silent connections after 125 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub ping_interval: Duration,
    /// How long a pong may take; 60 s by default. The time stands still while a large frame is moving.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub ping_timeout: Duration,
    /// How long a peer may send nothing at all; 20 minutes by default, as in the node.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub idle_timeout: Duration,
    /// The misbehaviour score at which a connection ends; 100 by default, as in the node.
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

/// A value that a configuration cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: {expected}")]
pub struct ConfigError {
    /// The field, by its path.
    pub field: &'static str,
    /// What it is set to.
    pub value: String,
    /// What would be right.
    pub expected: Cow<'static, str>,
}

impl ConfigError {
    /// An error unless `right` holds.
    pub(crate) fn unless(
        right: bool,
        field: &'static str,
        value: &dyn std::fmt::Debug,
        expected: &'static str,
    ) -> Result<(), Self> {
        if right {
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
    /// Checks that the values can work together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless;
        check(
            self.protocol_version >= MINIMUM_PROTOCOL_VERSION,
            "protocol_version",
            &self.protocol_version,
            "nodes refuse versions below 31800",
        )?;
        check(
            self.user_agent.len() as u64 <= MAX_USER_AGENT,
            "user_agent",
            &self.user_agent,
            "at most 256 bytes are allowed",
        )?;
        if !self.allow_rejected_user_agent {
            check_user_agent(&self.user_agent).map_err(|error| ConfigError {
                field: "user_agent",
                value: format!("{:?}", self.user_agent),
                expected: error.to_string().into(),
            })?;
        }
        check(
            self.start_height >= -1,
            "start_height",
            &self.start_height,
            "a height is 0 or more, or -1 for none",
        )?;
        check(
            self.limits.general >= LEGACY_MAX_RECEIVE_PAYLOAD,
            "limits.general",
            &self.limits.general,
            "nodes close connections that announce less than 1048576",
        )?;
        check(
            self.limits.ceiling >= u64::from(self.limits.general),
            "limits.ceiling",
            &self.limits.ceiling,
            "at least limits.general is needed: peers send what it announces",
        )?;
        for (field, value) in [
            ("handshake_timeout", self.handshake_timeout),
            ("ping_interval", self.ping_interval),
            ("ping_timeout", self.ping_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            check(
                !value.is_zero() && value <= LONGEST_WAIT,
                field,
                &value,
                "a duration above zero and of at most 100 years is needed",
            )?;
        }
        check(
            self.stream_policies.contains(&StreamPolicy::Default),
            "stream_policies",
            &self.stream_policies,
            "nodes close connections that do not offer Default",
        )?;
        let twice = |at| self.stream_policies[..at].contains(&self.stream_policies[at]);
        check(
            !(0..self.stream_policies.len()).any(twice),
            "stream_policies",
            &self.stream_policies,
            "each policy may be named once",
        )?;
        check(
            self.ban_threshold > 0,
            "ban_threshold",
            &self.ban_threshold,
            "at least 1 is needed",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
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
            "user_agent is \"/wallet:1/\": \
             Teranode bans user agents that contain neither \"Bitcoin SV\" nor \"BSV\""
        );
        config.allow_rejected_user_agent = true;
        assert_eq!(config.validate(), Ok(()));
        config.user_agent = "x".repeat(257);
        assert_eq!(config.validate().unwrap_err().field, "user_agent");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_field() {
        let wrong = |change: fn(&mut SessionConfig)| {
            let mut config = SessionConfig::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert_eq!(
            wrong(|config| config.user_agent = "/abcd:1/".into()).to_string(),
            "user_agent is \"/abcd:1/\": \
             SV Node bans user agents that contain \"abc\" in any case of letters"
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

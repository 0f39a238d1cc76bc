//! What a connection is made with.

use std::net::SocketAddr;
use std::time::Duration;

use crate::error::Error;
use crate::network::{Magic, Network};
use crate::session::{ConfigError, SessionConfig};

/// How one connection behaves: what it announces, and how long each of its waits may be.
///
/// ```
/// use std::time::Duration;
/// use bsv_p2p::{ConnectionConfig, Network};
///
/// let mut config = ConnectionConfig::new(Network::Testnet);
/// config.connect_timeout = Duration::from_secs(3);
/// config.session.ping_timeout = Duration::from_secs(20);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ConnectionConfig {
    /// The network; mainnet by default.
    pub network: Network,
    /// Another magic than the network's own, for nodes that run with `-magicbytes`.
    pub magic: Option<Magic>,
    /// Whether to dial an address that the caller names although its port is the default port of
    /// another network. Defaults to false. See [`check_port`](Self::check_port).
    pub allow_any_port: bool,
    /// The protocol: what is announced, expected and waited for.
    pub session: SessionConfig,
    /// How long a name may take to be resolved; 10 s by default.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub resolve_timeout: Duration,
    /// How long TCP may take to connect to one address; 10 s by default.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub connect_timeout: Duration,
    /// In which time 64 KiB, or the rest, of a payload that has begun must come; 20 s by default. A payload must also be
    /// complete after 60 s and 1 s for each 64 KiB of its length.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub read_stall_timeout: Duration,
    /// How long a frame may take to be written, and 1 s more for each 256 KiB of its length; 20 s by
    /// default. A peer that reads slower is dropped.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub write_timeout: Duration,
    /// How many bytes may wait to be sent by an actor, over each stream of its peer; 16 MiB by default. A message above that is taken when
    /// nothing else waits.
    pub max_send_queue_bytes: usize,
    /// How many messages may wait to be sent by an actor, over each stream; 10,000 by default.
    pub max_send_queue_messages: usize,
    /// How many bytes of messages a `Connection` keeps that came while something else was waited for; 32 MiB by
    /// default. The oldest are dropped and counted.
    pub max_receive_queue_bytes: u64,
    /// How many bytes of payloads an actor's peer may hold, from their arrival until the program has dropped them; 64 MiB by default, at
    /// least `session.limits.buffered`. Without room nothing is read.
    pub max_payload_memory: u64,
    /// How long an actor waits for such room before it ends the connection; 30 s by default.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub payload_memory_timeout: Duration,
    /// How long a program may take nothing from a [`BlockReader`](crate::connection::BlockReader) whose queue is full before the actor
    /// ends the connection; 30 s by default.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub block_reader_timeout: Duration,
    /// How many bytes of the events of each stream of an actor's peer may wait for [subscribers](crate::connection::OverflowPolicy::Block) that do not keep up, and one message more; 4 MiB
    /// by default, at least 1. Each event counts as its payload's length and 512 bytes, once for each subscriber that it waits for. When
    /// so much waits, the messages of that stream are no longer read.
    pub max_subscriber_backlog_bytes: u64,
    /// How long reading may stand still for a subscription that takes nothing before the subscription ends; 30 s by default. As long a
    /// connection that has ended waits for its subscribers to take what is left.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub subscriber_timeout: Duration,
    /// After how much silence TCP itself probes the peer; 60 s by default, `None` for never.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::optional_seconds"))]
    pub tcp_keepalive: Option<Duration>,
}

impl ConnectionConfig {
    /// The defaults for `network`.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            magic: None,
            allow_any_port: false,
            session: SessionConfig::default(),
            resolve_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            read_stall_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(20),
            max_send_queue_bytes: 16 * 1024 * 1024,
            max_send_queue_messages: 10_000,
            max_receive_queue_bytes: 32 * 1024 * 1024,
            max_payload_memory: 64 * 1024 * 1024,
            payload_memory_timeout: Duration::from_secs(30),
            block_reader_timeout: Duration::from_secs(30),
            max_subscriber_backlog_bytes: 4 * 1024 * 1024,
            subscriber_timeout: Duration::from_secs(30),
            tcp_keepalive: Some(Duration::from_secs(60)),
        }
    }

    /// The magic that frames start with.
    pub fn magic(&self) -> Magic {
        self.magic.unwrap_or(self.network.magic())
    }

    /// Checks that the port of an address is not the default port of another network.
    ///
    /// Such an address is usually a mistake: a node of another network listens there. Functions
    /// that dial an address of the caller check it. Addresses that seeds and peers advertise are
    /// not checked.
    ///
    /// # Errors
    ///
    /// [`Error::PortMismatch`] if the port is the default port of another network of
    /// [`Network::ALL`] and not of this one, and [`allow_any_port`](Self::allow_any_port) is false.
    pub fn check_port(&self, address: SocketAddr) -> Result<(), Error> {
        let port = address.port();
        let is_default_of_other = Network::ALL
            .into_iter()
            .any(|network| network.port() == port);
        if self.allow_any_port || port == self.network.port() || !is_default_of_other {
            return Ok(());
        }
        let expected = self.network.clone();
        Err(Error::PortMismatch { address, expected })
    }

    /// Checks that the values can work together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.session.validate()?;
        for (field, value) in [
            ("resolve_timeout", self.resolve_timeout),
            ("connect_timeout", self.connect_timeout),
            ("read_stall_timeout", self.read_stall_timeout),
            ("write_timeout", self.write_timeout),
            ("block_reader_timeout", self.block_reader_timeout),
            ("payload_memory_timeout", self.payload_memory_timeout),
            ("subscriber_timeout", self.subscriber_timeout),
            ("tcp_keepalive", self.tcp_keepalive.unwrap_or(Duration::MAX)),
        ] {
            let right = !value.is_zero();
            ConfigError::unless(right, field, &value, "a duration above zero is needed")?;
        }
        let messages = self.max_send_queue_messages;
        ConfigError::unless(
            messages > 0,
            "max_send_queue_messages",
            &messages,
            "at least 1 is needed",
        )?;
        let bytes = self.max_send_queue_bytes;
        ConfigError::unless(
            bytes > 0,
            "max_send_queue_bytes",
            &bytes,
            "at least 1 is needed",
        )?;
        let bytes = self.max_subscriber_backlog_bytes;
        ConfigError::unless(
            bytes > 0,
            "max_subscriber_backlog_bytes",
            &bytes,
            "at least 1 is needed",
        )?;
        ConfigError::unless(
            self.max_payload_memory >= self.session.limits.buffered,
            "max_payload_memory",
            &self.max_payload_memory,
            "at least session.limits.buffered is needed",
        )
    }
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self::new(Network::Mainnet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::UserAgentPolicy;

    #[test]
    fn the_defaults_are_valid_and_a_wrong_value_is_named() {
        assert_eq!(ConnectionConfig::default().validate(), Ok(()));
        let config = ConnectionConfig {
            max_send_queue_messages: 0,
            ..ConnectionConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "max_send_queue_messages is 0: at least 1 is needed"
        );
        let zero = Some(Duration::ZERO);
        let config = ConnectionConfig {
            tcp_keepalive: zero,
            ..ConnectionConfig::default()
        };
        assert_eq!(config.validate().unwrap_err().field, "tcp_keepalive");
        let config = ConnectionConfig {
            max_subscriber_backlog_bytes: 0,
            ..ConnectionConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().field,
            "max_subscriber_backlog_bytes"
        );
        let config = ConnectionConfig {
            subscriber_timeout: Duration::ZERO,
            ..ConnectionConfig::default()
        };
        assert_eq!(config.validate().unwrap_err().field, "subscriber_timeout");
    }

    #[test]
    fn another_magic_takes_the_place_of_the_networks_own() {
        let mut config = ConnectionConfig::new(Network::Regtest);
        assert_eq!(config.magic(), Network::Regtest.magic());
        config.magic = Some(Magic([1, 2, 3, 4]));
        assert_eq!(config.magic(), Magic([1, 2, 3, 4]));
    }

    #[test]
    fn a_configuration_in_json_names_what_differs_and_comes_back_as_it_was() {
        let json = r#"{
            "network": "stn",
            "magic": "01020304",
            "connect_timeout": 2.5,
            "tcp_keepalive": null,
            "session": {
                "ping_timeout": 20,
                "user_agents": { "require": ["*Bitcoin SV*"] },
                "limits": { "block": 4000000000, "ceiling": null }
            }
        }"#;
        let mut config = ConnectionConfig::new(Network::Stn);
        config.magic = Some(Magic([1, 2, 3, 4]));
        config.connect_timeout = Duration::from_millis(2_500);
        config.tcp_keepalive = None;
        config.session.ping_timeout = Duration::from_secs(20);
        config.session.user_agents = UserAgentPolicy::Require(vec!["*Bitcoin SV*".into()]);
        config.session.limits.block = 4_000_000_000;
        assert_eq!(
            serde_json::from_str::<ConnectionConfig>(json).unwrap(),
            config
        );
        for config in [config, ConnectionConfig::default()] {
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(
                serde_json::from_str::<ConnectionConfig>(&json).unwrap(),
                config
            );
            let bytes = postcard::to_stdvec(&config).unwrap();
            assert_eq!(
                postcard::from_bytes::<ConnectionConfig>(&bytes).unwrap(),
                config
            );
        }
    }

    #[test]
    fn a_field_that_a_configuration_does_not_have_is_refused() {
        for json in [
            r#"{ "connect_timout": 1 }"#,
            r#"{ "session": { "ping_timout": 1 } }"#,
            r#"{ "session": { "limits": { "blocks": 1 } } }"#,
        ] {
            let refused = serde_json::from_str::<ConnectionConfig>(json).unwrap_err();
            assert!(refused.to_string().contains("unknown field"), "{refused}");
        }
    }
}

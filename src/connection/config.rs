//! Configuration of a connection.

use std::net::SocketAddr;
use std::time::Duration;

use crate::error::Error;
use crate::network::{Magic, Network};
use crate::session::{ConfigError, SessionConfig};

/// The minimum timeout. The options of a socket have a resolution of 1 µs or 1 ms, and a timeout
/// below that would mean that there is none.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
/// The minimum of the socket option of [`ConnectionConfig::tcp_keepalive`].
const MIN_KEEPALIVE: Duration = Duration::from_secs(1);
/// The maximum of that option (Linux, `MAX_TCP_KEEPIDLE`).
const MAX_KEEPALIVE: Duration = Duration::from_secs(32_767);

/// The configuration of one connection: its network, session, timeouts and memory limits.
///
/// [`PeerConnectionHandle::update_config`](crate::connection::PeerConnectionHandle::update_config)
/// replaces the configuration of an actor. The connection applies it within a second, or when it
/// resumes reading if reading is paused. The exceptions are documented on the fields. All timeouts
/// must be at least 1 ms. Longer ones than 136 years, such as [`Duration::MAX`], never expire.
///
/// Struct expressions that end with `..ConnectionConfig::new(network)` keep compiling when a field
/// is added. So does code that changes the fields of a configuration, as below.
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
    /// The network. Defaults to mainnet. An update must not change it.
    pub network: Network,
    /// The frame magic, if it differs from that of the network. Defaults to `None`.
    ///
    /// Needed for nodes that run with `-magicbytes`. An update must not change it.
    pub magic: Option<Magic>,
    /// Whether to dial an address of the caller although its port is the default port of another
    /// network. Defaults to `false`. See [`check_port`](Self::check_port).
    pub allow_any_port: bool,
    /// The configuration of the protocol session: announced values, limits and protocol timeouts.
    ///
    /// Updates of timeouts, intervals and limits apply to the running connection. Values of the
    /// handshake apply to the next connection.
    pub session: SessionConfig,
    /// The maximum time of a name lookup by [`Connection::connect`](crate::Connection::connect).
    /// Defaults to 10 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub resolve_timeout: Duration,
    /// The maximum time to establish a TCP connection to one address. Defaults to 10 s. An update
    /// takes effect with the next TCP connection.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub connect_timeout: Duration,
    /// The maximum time to receive 64 KiB, or the rest, of a payload that is being received.
    /// Defaults to 20 s.
    ///
    /// A payload must also be complete within 60 s and 1 s for each 64 KiB of its length. If either
    /// time is exceeded, the connection is closed with
    /// [`ReadStall`](crate::session::DisconnectReason::ReadStall).
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub read_stall_timeout: Duration,
    /// The maximum time to write a frame, in addition to 1 s for each 256 KiB of its length.
    /// Defaults to 20 s.
    ///
    /// A peer that reads more slowly is disconnected with
    /// [`SlowReader`](crate::session::DisconnectReason::SlowReader).
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub write_timeout: Duration,
    /// The maximum number of bytes in the send queue of each stream of an actor. Defaults to 16
    /// MiB. Must be at least 1.
    ///
    /// A message above this limit is accepted if the queue is empty.
    pub max_send_queue_bytes: usize,
    /// The maximum number of messages in the send queue of each stream of an actor. Defaults to
    /// 10,000. Must be at least 1.
    pub max_send_queue_messages: usize,
    /// The maximum size of the receive queue of a [`Connection`](crate::Connection), in bytes.
    /// Defaults to 32 MiB.
    ///
    /// The queue holds messages that arrive during a request or a send. Each counts as its payload
    /// and 256 bytes. If the queue is full, the oldest messages are dropped and counted. The newest
    /// message is kept whatever its size. A decoded message can take up to twice its payload.
    pub max_receive_queue_bytes: u64,
    /// The maximum memory of the received large payloads of one peer of an actor, in bytes.
    /// Defaults to 64 MiB. Must be at least `session.limits.buffered`.
    ///
    /// A payload of at least 32 KiB counts from its arrival until its last owner drops it. Smaller
    /// payloads do not count. If the limit is reached, reading pauses in the middle of the next
    /// large payload.
    ///
    /// The memory of all peers together is limited by a [`PayloadMemory`](crate::PayloadMemory),
    /// where the first 1 MiB of each peer does not count. An update applies at once, also to a
    /// connection that waits for memory.
    pub max_payload_memory: u64,
    /// The maximum time an actor waits for payload memory. Defaults to 15 s, which is less than the
    /// write timeout of the peer.
    ///
    /// The connection is then closed with
    /// [`PayloadMemoryExhausted`](crate::session::DisconnectReason::PayloadMemoryExhausted) if it
    /// has reached `max_payload_memory`. If the shared memory is exhausted, the connection is
    /// closed whose incomplete payloads hold the most of it: see
    /// [`PayloadMemory`](crate::PayloadMemory). An update applies at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub payload_memory_timeout: Duration,
    /// The maximum time a caller may take nothing from a
    /// [`BlockReader`](crate::connection::BlockReader) whose queue is full. Defaults to 15 s.
    ///
    /// The actor then closes the connection with
    /// [`BlockReaderAbandoned`](crate::session::DisconnectReason::BlockReaderAbandoned).
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub block_reader_timeout: Duration,
    /// The maximum size of the messages of one stream that are pending in the queues of [slow
    /// subscribers](crate::connection::OverflowPolicy::Block), in bytes. Defaults to 4 MiB. Must be
    /// at least 1.
    ///
    /// A message counts from the capacity of a queue on, once for each subscription, until it is
    /// taken. It counts as its content in memory, at most twice its payload, and 512 bytes. The last
    /// message may exceed the limit. When the limit is reached, reading from that stream pauses
    /// until half of it is free.
    pub max_subscriber_backlog_bytes: u64,
    /// The maximum time that reading may pause for a subscription that takes no event of any peer.
    /// Defaults to 15 s.
    ///
    /// The subscription is then ended as [`TooSlow`](crate::event::SubscriptionEndReason::TooSlow).
    /// The timeout should be less than the write timeout of the peers, which is 20 s in this library.
    /// Otherwise, a peer closes the connection before the subscription is ended.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub subscriber_timeout: Duration,
    /// The idle time after which TCP probes the peer, from 1 s to 32,767 s. Defaults to 60 s; `None`
    /// disables the probes. The system counts whole seconds: a fraction is dropped. An update takes
    /// effect with the next connection.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::optional_seconds"))]
    pub tcp_keepalive: Option<Duration>,
}

impl ConnectionConfig {
    /// Creates the default configuration for `network`.
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
            payload_memory_timeout: Duration::from_secs(15),
            block_reader_timeout: Duration::from_secs(15),
            max_subscriber_backlog_bytes: 4 * 1024 * 1024,
            subscriber_timeout: Duration::from_secs(15),
            tcp_keepalive: Some(Duration::from_secs(60)),
        }
    }

    /// Returns the magic that frames start with: `magic`, or that of the network.
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

    /// Checks the values of the configuration.
    ///
    /// # Errors
    ///
    /// - [`ConfigError`] for the first invalid field, with its value.
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
        ] {
            ConfigError::unless(value >= MIN_TIMEOUT, field, &value, "at least 1ms")?;
        }
        if let Some(idle) = self.tcp_keepalive {
            let is_valid = (MIN_KEEPALIVE..=MAX_KEEPALIVE).contains(&idle);
            let expected = "1s to 32767s, or None";
            ConfigError::unless(is_valid, "tcp_keepalive", &idle, expected)?;
        }
        let messages = self.max_send_queue_messages;
        ConfigError::unless(
            messages > 0,
            "max_send_queue_messages",
            &messages,
            "at least 1",
        )?;
        let bytes = self.max_send_queue_bytes;
        ConfigError::unless(bytes > 0, "max_send_queue_bytes", &bytes, "at least 1")?;
        let bytes = self.max_subscriber_backlog_bytes;
        ConfigError::unless(
            bytes > 0,
            "max_subscriber_backlog_bytes",
            &bytes,
            "at least 1",
        )?;
        ConfigError::unless(
            self.max_payload_memory >= self.session.limits.buffered,
            "max_payload_memory",
            &self.max_payload_memory,
            "at least session.limits.buffered",
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
    fn invalid_value_is_named_and_defaults_pass() {
        assert_eq!(ConnectionConfig::default().validate(), Ok(()));
        let config = ConnectionConfig {
            max_send_queue_messages: 0,
            ..ConnectionConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "max_send_queue_messages: expected at least 1, got 0"
        );
        let config = ConnectionConfig {
            max_subscriber_backlog_bytes: 0,
            ..ConnectionConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().field,
            "max_subscriber_backlog_bytes"
        );
    }

    /// The other side of a connection may have the same defaults. Pauses of this side must end
    /// before the other side gives up.
    #[test]
    fn default_timeouts_of_two_peers_fit() {
        let config = ConnectionConfig::default();
        let session = &config.session;
        // A pause is checked once a second.
        let margin = Duration::from_secs(2);
        for pause in [
            config.subscriber_timeout,
            config.payload_memory_timeout,
            config.block_reader_timeout,
        ] {
            assert!(pause + margin < config.write_timeout);
        }
        // A peer that is not read answers no ping: waits for memory and for subscribers may follow
        // each other.
        let pauses = config.payload_memory_timeout + config.subscriber_timeout;
        assert!(pauses + margin < session.ping_timeout);
        let pauses = config.payload_memory_timeout + config.block_reader_timeout;
        assert!(pauses + margin < session.ping_timeout);
        // A silent peer answers several pings before it counts as idle.
        assert!(2 * (session.ping_interval + session.ping_timeout) < session.idle_timeout);
    }

    #[test]
    fn timeouts_below_resolution_are_invalid() {
        type Timeout = fn(&mut ConnectionConfig) -> &mut Duration;
        let all: [(&str, Timeout); 7] = [
            ("resolve_timeout", |config| &mut config.resolve_timeout),
            ("connect_timeout", |config| &mut config.connect_timeout),
            ("read_stall_timeout", |config| {
                &mut config.read_stall_timeout
            }),
            ("write_timeout", |config| &mut config.write_timeout),
            ("payload_memory_timeout", |config| {
                &mut config.payload_memory_timeout
            }),
            ("block_reader_timeout", |config| {
                &mut config.block_reader_timeout
            }),
            ("subscriber_timeout", |config| {
                &mut config.subscriber_timeout
            }),
        ];
        for (field, timeout) in all {
            let mut config = ConnectionConfig::default();
            for (value, text) in [(0, "0ns"), (500, "500ns"), (999_999, "999.999µs")] {
                *timeout(&mut config) = Duration::from_nanos(value);
                assert_eq!(
                    config.validate().unwrap_err().to_string(),
                    format!("{field}: expected at least 1ms, got {text}")
                );
            }
            for valid in [Duration::from_millis(1), Duration::MAX] {
                *timeout(&mut config) = valid;
                assert_eq!(config.validate(), Ok(()), "{field}");
            }
        }
    }

    #[test]
    fn keepalive_outside_of_system_range_is_invalid() {
        let mut config = ConnectionConfig::default();
        for (millis, text) in [
            (0, "0ns"),
            (999, "999ms"),
            (32_767_001, "32767.001s"),
            (36_000_000, "36000s"),
        ] {
            config.tcp_keepalive = Some(Duration::from_millis(millis));
            assert_eq!(
                config.validate().unwrap_err().to_string(),
                format!("tcp_keepalive: expected 1s to 32767s, or None, got {text}")
            );
        }
        for valid in [None, Some(MIN_KEEPALIVE), Some(MAX_KEEPALIVE)] {
            config.tcp_keepalive = valid;
            assert_eq!(config.validate(), Ok(()));
        }
    }

    #[test]
    fn custom_magic_replaces_network_magic() {
        let mut config = ConnectionConfig::new(Network::Regtest);
        assert_eq!(config.magic(), Network::Regtest.magic());
        config.magic = Some(Magic([1, 2, 3, 4]));
        assert_eq!(config.magic(), Magic([1, 2, 3, 4]));
    }

    #[test]
    fn json_lists_changed_fields_and_round_trips() {
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
    fn unknown_json_field_is_rejected() {
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

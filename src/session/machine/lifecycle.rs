//! Creates, starts and configures a session.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::Session;
use super::streams::StreamsState;
use crate::session::expectations::Expectations;
use crate::session::keepalive::Keepalive;
use crate::session::teranode_rules::PeerRequests;
use crate::session::{
    ConfigError, ConnectionState, Direction, InvalidTransition, NonceRegistry, NonceSource,
    PeerProfile, SessionConfig,
};
use crate::wire::StreamType;

impl Session {
    /// Creates a session for one connection. `nonces` provides random numbers for our `version` and
    /// pings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration is invalid.
    pub fn new(
        direction: Direction,
        config: SessionConfig,
        registry: NonceRegistry,
        nonces: NonceSource,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            direction,
            state: ConnectionState::Disconnected,
            nonces,
            registry,
            own_nonce: None,
            peer_address: None,
            unix_time: 0,
            version_sent: false,
            verack_sent: false,
            peer: None,
            profile: PeerProfile::default(),
            verack_received: false,
            protoconf: None,
            headers_requested: false,
            enriched_headers_requested: false,
            version_reject: None,
            over_capacity: false,
            announced_max_payload: 0,
            streams: StreamsState::default(),
            stream: StreamType::General,
            genesis: None,
            chain_probe: None,
            probe_end_marker: None,
            expectations: Expectations::default(),
            sendhdrsen_sent: false,
            peer_requests: PeerRequests::default(),
            keepalive: Keepalive::new(config.ping_interval, config.ping_timeout, now),
            handshake_started: None,
            last_received: now,
            score: 0,
            bad_checksums: 0,
            last_bad_checksum: None,
            outputs: VecDeque::new(),
            close_reason: None,
            config,
        })
    }

    /// Handles the start of an outbound connection attempt. Must be called before dialing.
    ///
    /// # Errors
    ///
    /// [`InvalidTransition`] if the session was started before.
    pub fn on_connect_started(&mut self) -> Result<(), InvalidTransition> {
        self.start(ConnectionState::Connecting)
    }

    /// Handles an established TCP connection. Starts the handshake timeout; an outbound session
    /// sends `version`.
    ///
    /// `unix_time` is the current time in seconds since 1970, for our `version`.
    ///
    /// # Errors
    ///
    /// [`InvalidTransition`] if the session has or had a connection. Each connection needs a new
    /// session.
    pub fn on_connected(
        &mut self,
        peer: SocketAddr,
        unix_time: i64,
        now: Instant,
    ) -> Result<(), InvalidTransition> {
        self.start(ConnectionState::AwaitingHandshake)?;
        self.peer_address = Some(peer);
        self.unix_time = unix_time;
        self.last_received = now;
        self.handshake_started = Some(now);
        if self.direction == Direction::Outbound {
            self.send_version();
        }
        Ok(())
    }

    /// Rejects the peer with code 0x44 (`reject`) once the handshake is complete. The connection is
    /// then closed with [`AtCapacity`](crate::session::DisconnectReason::AtCapacity).
    ///
    /// Must be called before [`Session::on_connected`].
    pub fn reject_over_capacity(&mut self) {
        self.over_capacity = true;
    }

    /// Replaces the configuration.
    ///
    /// Timeouts, intervals, limits and the ban threshold take effect immediately. The content of
    /// our `version`, the requirements for peers and one-time requests take effect with the next
    /// connection. A peer may continue to send payloads of the length that our `protoconf`
    /// announced: a lower `limits.general` is not applied to them on this connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration is invalid. The previous one remains in effect.
    pub fn update_config(&mut self, config: SessionConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.config = config;
        self.keepalive
            .set(self.ping_interval(), self.config.ping_timeout);
        Ok(())
    }

    /// Changes the state at the start of the connection. Fails after its end, since a session
    /// cannot be reused.
    fn start(&mut self, state: ConnectionState) -> Result<(), InvalidTransition> {
        if self.close_reason.is_some() {
            return Err(InvalidTransition {
                from: self.state,
                to: state,
            });
        }
        self.state.transition_to(state)
    }
}

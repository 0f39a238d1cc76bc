//! The handshake, for both directions.
//!
//! After the peer's `version` is accepted, the session sends `verack` and `protoconf`, and nothing
//! else before the peer's `verack`. The four flags (each side's `version` and `verack`) may be set
//! in any order.

use std::time::Instant;

use super::Session;
use crate::session::keepalive::{Keepalive, PING_WITHOUT_NONCE};
use crate::session::output::Output;
use crate::session::{
    AwaitedMessage, ConnectionState, Direction, DisconnectReason, Misbehavior, PeerInfo,
    PeerProfile, SessionEvent,
};
use crate::wire::{
    DecodeError, LEGACY_MAX_RECEIVE_PAYLOAD, Message, NetworkAddress, Protoconf, Reject,
    RejectCode, Services, Version,
};

/// The minimum protocol version that supports `sendheaders` (`src/version.h`).
const SENDHEADERS: i32 = 70012;

impl Session {
    pub(super) fn send_version(&mut self) {
        let nonce = (self.nonces)();
        if self.direction == Direction::Outbound {
            self.own_nonce = Some(self.registry.register(nonce));
        }
        let receiver = match self.peer_address {
            Some(address) => NetworkAddress::new(Services::NONE, address),
            None => NetworkAddress::unspecified(Services::NONE),
        };
        let association_id = self.association_id();
        let version = Version {
            version: self.config.protocol_version,
            services: self.config.services,
            timestamp: self.unix_time,
            receiver,
            sender: Some(NetworkAddress::unspecified(self.config.services)),
            nonce: Some(nonce),
            user_agent: Some(self.config.user_agent.as_str().into()),
            start_height: Some(self.config.start_height),
            relay: Some(self.config.relay),
            association_id: Some(association_id),
        };
        self.version_sent = true;
        self.send(version);
    }

    pub(super) fn on_version(&mut self, version: &Version, now: Instant) {
        if self.peer.is_some() {
            self.on_second_version();
            return;
        }
        if let Some(reason) = self.rejection_of(version) {
            self.close(reason);
            return;
        }
        let peer = PeerInfo::from(version);
        self.profile = peer.profile();
        self.peer = Some(Box::new(peer));
        if !self.version_sent {
            self.send_version();
        }
        self.send(Message::Verack);
        self.announced_max_payload = self.config.limits.general;
        self.send(Protoconf {
            max_receive_payload: self.config.limits.general,
            stream_policies: Some(self.offered_policies().into()),
        });
        self.verack_sent = true;
        self.complete_if_possible(now);
    }

    /// Handles a second `version`. Like the node, it scores the message before it is decoded.
    pub(super) fn on_second_version(&mut self) {
        let text = "Duplicate version message";
        self.reject("version", RejectCode::DUPLICATE, text);
        self.misbehaved(Misbehavior::DuplicateVersion);
    }

    /// Returns the reason to close the connection, if the peer's `version` is not accepted. Sends a
    /// `reject` where the node sends one.
    fn rejection_of(&mut self, version: &Version) -> Option<DisconnectReason> {
        // Our `version` always has a nonce. A node treats a missing nonce as 1; it is not looked up
        // here.
        let own = |nonce| self.registry.check_inbound(nonce);
        if version.nonce.is_some_and(own) {
            return Some(DisconnectReason::SelfConnection);
        }
        let required = self.config.required_services;
        if self.direction == Direction::Outbound && !version.services.contains(required) {
            let text = format!("Expected to offer services {:08x}", required.0);
            self.reject("version", RejectCode::NONSTANDARD, &text);
            let got = version.services;
            return Some(DisconnectReason::ServicesMissing { got, required });
        }
        let minimum = self.config.minimum_protocol_version;
        if version.version < minimum {
            let text = format!("Version must be {minimum} or greater");
            self.reject("version", RejectCode::OBSOLETE, &text);
            return Some(DisconnectReason::VersionTooOld {
                got: version.version,
                minimum,
            });
        }
        let user_agent = version.user_agent.clone().unwrap_or_default();
        if let Some(rule) = self.config.user_agents.rejection_reason(&user_agent) {
            return Some(DisconnectReason::UserAgentRejected { user_agent, rule });
        }
        self.is_mismatch(version)
            .then_some(DisconnectReason::AssociationMismatch)
    }

    /// Handles a `verack`. A second one has no effect.
    pub(super) fn on_verack(&mut self, now: Instant) {
        self.verack_received = true;
        self.complete_if_possible(now);
    }

    pub(super) fn on_protoconf(&mut self, protoconf: &Protoconf) {
        if self.protoconf.is_some() {
            self.close(DisconnectReason::DuplicateProtoconf);
        } else if protoconf.max_receive_payload < LEGACY_MAX_RECEIVE_PAYLOAD {
            self.close(DisconnectReason::MalformedProtoconf(
                DecodeError::InvalidValue {
                    field: "max receive payload",
                    expected: "at least 1048576",
                    got: u64::from(protoconf.max_receive_payload),
                },
            ));
        } else {
            self.protoconf = Some(protoconf.clone());
            self.choose_policy(protoconf);
        }
    }

    /// Handles a `reject`. A full peer may send it after a complete handshake, because only then it
    /// is sure to be understood.
    pub(super) fn on_reject(&mut self, reject: &Reject) {
        if reject.message != "version" {
            return;
        }
        if reject.code == RejectCode::TOO_BUSY {
            self.close(DisconnectReason::PeerAtCapacity(Box::new(reject.clone())));
        } else {
            self.version_reject = Some(reject.clone());
        }
    }

    pub(super) fn on_malformed_version(&mut self, error: &DecodeError) {
        let text = match error {
            DecodeError::TooLong {
                field: "user agent",
                ..
            } => "Array length limit exceeded",
            DecodeError::InvalidValue { .. } => "Badly formatted association ID",
            _ => "error parsing message",
        };
        self.reject("version", RejectCode::STREAM_SETUP, text);
        self.close(DisconnectReason::MalformedVersion(error.clone()));
    }

    /// Returns the message that an incomplete handshake waits for.
    pub(super) fn awaited(&self) -> AwaitedMessage {
        match &self.peer {
            None => AwaitedMessage::Version,
            Some(_) => AwaitedMessage::Verack,
        }
    }

    pub(super) fn handshake_close_reason(&self) -> DisconnectReason {
        if self
            .own_nonce
            .as_ref()
            .is_some_and(|nonce| nonce.is_self_connection())
        {
            return DisconnectReason::SelfConnection;
        }
        match &self.version_reject {
            Some(reject) => DisconnectReason::RejectedByPeer(Box::new(reject.clone())),
            None => DisconnectReason::ClosedDuringHandshake {
                missing: self.awaited(),
            },
        }
    }

    pub(super) fn reject(&mut self, message: &str, code: RejectCode, reason: &str) {
        self.send(Reject::new(message, code, reason));
    }

    fn complete_if_possible(&mut self, now: Instant) {
        let complete = self.version_sent && self.verack_sent && self.verack_received;
        let Some(peer) = self.peer.clone().filter(|_| complete) else {
            return;
        };
        if self.over_capacity {
            self.reject("version", RejectCode::TOO_BUSY, "Too many connections");
            self.close(DisconnectReason::AtCapacity);
            return;
        }
        if self
            .state
            .transition_to(ConnectionState::Connected)
            .is_err()
        {
            return;
        }
        self.handshake_started = None;
        self.own_nonce = None;
        self.keepalive = Keepalive::new(self.ping_interval(), self.config.ping_timeout, now);
        // A Teranode announces blocks only to peers that sent `sendheaders`, and closes silent
        // connections.
        let is_teranode = self.profile == PeerProfile::Teranode;
        self.keepalive.repeat(is_teranode);
        self.outputs
            .push_back(Output::Event(SessionEvent::HandshakeComplete(peer)));
        self.check_association();
        let send_headers = self.config.send_headers || is_teranode;
        if send_headers && self.negotiated_version() >= SENDHEADERS {
            self.send(Message::SendHeaders);
        }
        self.start_chain_probe();
        self.send_ping(now);
    }

    pub(super) fn supports_ping_nonce(&self) -> bool {
        self.negotiated_version() > PING_WITHOUT_NONCE
    }
}

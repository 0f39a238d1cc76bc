//! Handling of received messages, and of frames that cannot be decoded.

use std::time::{Duration, Instant};

use super::Session;
use crate::session::misbehavior::is_ignored;
use crate::session::output::Output;
use crate::session::{DisconnectReason, Disposition, Misbehavior, SessionEvent};
use crate::wire::{
    Authch, Command, DecodeError, FrameDropReason, Inv, Inventory, Message, Ping, Pong, RejectCode,
    Services,
};

/// The maximum gap between two invalid checksums of one burst (`src/net/net.cpp`).
const CHECKSUM_BURST_GAP: Duration = Duration::from_millis(500);
/// The number of invalid checksums in a burst after which each further one scores
/// (`src/net/net.cpp`).
const CHECKSUM_BURST: u32 = 100;

/// The minimum protocol version whose peers must not send Bloom filters unless the service is
/// announced (`src/version.h`, `NO_BLOOM_VERSION`).
const BLOOM_IS_ANNOUNCED: i32 = 70011;

impl Session {
    /// Handles a received message. Returns whether it must be delivered to the application.
    ///
    /// The end marker of the session's own check of the chain
    /// ([`SessionConfig::required_block`](crate::session::SessionConfig)) is returned by the peer
    /// in a `notfound`, which is consumed. If the peer reports other missing objects in the same
    /// message, it is delivered.
    pub fn on_message(&mut self, message: &Message, now: Instant) -> Disposition {
        if self.is_stream_greeting(message.command()) || !self.is_allowed(message.command(), now) {
            return Disposition::Handled;
        }
        self.peer_requests.on_received(message);
        if self.expectations.on_received(message) {
            // Peers respond in order, so the pong follows the responses to requests before the
            // ping.
            self.on_partial_frame(now);
        }
        match message {
            Message::Version(version) => self.on_version(version, now),
            Message::Verack => self.on_verack(now),
            Message::Protoconf(protoconf) => self.on_protoconf(protoconf),
            Message::Ping(ping) => self.on_ping(*ping),
            Message::Pong(pong) => self.on_pong(*pong, now),
            Message::SendHeaders => {
                let again = std::mem::replace(&mut self.headers_requested, true);
                return self.on_send_mode(message.command(), again);
            }
            Message::SendHdrsEn => {
                let again = std::mem::replace(&mut self.enriched_headers_requested, true);
                return self.on_send_mode(message.command(), again);
            }
            Message::Reject(reject) => {
                self.on_reject(reject);
                // A `reject` that closes the session is not delivered.
                return self.delivery();
            }
            Message::CreateStrm(request) => self.on_createstrm(request),
            Message::StreamAck(_) => self.on_streamack(),
            Message::Inv(inv) => return self.on_inv(inv),
            Message::NotFound(missing) => {
                if !self.is_probe_end(missing, now) {
                    return self.delivery();
                }
            }
            Message::Headers(headers) => {
                if !self.answers_chain_probe(headers) {
                    return self.delivery();
                }
            }
            Message::Authch(challenge) if challenge.version != Authch::VERSION => {
                let error = DecodeError::InvalidValue {
                    field: "challenge version",
                    expected: "1",
                    got: u64::from(challenge.version),
                };
                self.on_malformed(message.command(), &error, now);
            }
            Message::CompactBlock(compact) => match compact.check() {
                Ok(()) => return self.delivery(),
                Err(error) => self.misbehaved(Misbehavior::InvalidCompactBlock(error)),
            },
            Message::DsDetected(detected) => match detected.verify() {
                Ok(()) => return self.delivery(),
                Err(error) => self.misbehaved(Misbehavior::InvalidDsDetected(error)),
            },
            _ => return self.delivery(),
        }
        Disposition::Handled
    }

    /// Handles a frame whose payload cannot be decoded as its command.
    pub fn on_malformed(&mut self, command: Command, error: &DecodeError, now: Instant) {
        if !self.is_open() || self.is_stream_greeting(command) {
            return;
        }
        match command.name() {
            "version" if self.peer.is_some() => return self.on_second_version(),
            "version" => return self.on_malformed_version(error),
            "createstrm" => return self.on_malformed_createstrm(error),
            "streamack" => return self.on_streamack(),
            _ => {}
        }
        if !self.is_allowed(command, now) {
            return;
        }
        match command.name() {
            "protoconf" if self.protoconf.is_some() => {
                self.close(DisconnectReason::DuplicateProtoconf);
            }
            "protoconf" => self.close(DisconnectReason::MalformedProtoconf(error.clone())),
            // Peers with an old protocol version send pings without a nonce.
            "ping" if !self.supports_ping_nonce() => {}
            "filterload" | "filteradd" if error.is_above_limit() => {
                self.misbehaved(Misbehavior::OversizedFilter {
                    command,
                    error: error.clone(),
                });
            }
            name => {
                let code = match name {
                    _ if is_ignored(command) => None,
                    // SV Node 1.0.13 scores it and sends no `reject`.
                    "dsdetected" => None,
                    // A node scores a list that is too long, but sends no `reject`.
                    _ if matches!(error, DecodeError::TooManyEntries { .. }) => None,
                    "authch" | "authresp" => Some(RejectCode::AUTHENTICATED_SETUP),
                    _ => Some(RejectCode::MALFORMED),
                };
                if let Some(code) = code {
                    self.reject(name, code, "error parsing message");
                }
                self.misbehaved(Misbehavior::Malformed {
                    command,
                    error: error.clone(),
                });
            }
        }
    }

    /// Handles a frame that was dropped before it could be decoded.
    pub fn on_dropped(&mut self, cause: FrameDropReason, now: Instant) {
        if !self.is_open() {
            return;
        }
        if let FrameDropReason::ChecksumMismatch { .. } = cause {
            let before = self.last_bad_checksum.replace(now);
            let burst = before
                .is_some_and(|before| now.saturating_duration_since(before) < CHECKSUM_BURST_GAP);
            self.bad_checksums = if burst {
                self.bad_checksums.saturating_add(1)
            } else {
                0
            };
            if self.bad_checksums > CHECKSUM_BURST {
                return self.misbehaved(Misbehavior::ChecksumBurst(cause));
            }
        }
        self.misbehaved(Misbehavior::InvalidFrame(cause));
    }

    /// Returns whether a message is handled in the current state of the handshake. Scores it if not
    /// (`src/net/net_processing.cpp`, `ProcessMessage`).
    ///
    /// Unlike the node, the session scores a `verack` before the peer's `version` but accepts it.
    fn is_allowed(&mut self, command: Command, now: Instant) -> bool {
        if !self.is_open() {
            return false;
        }
        // Fast path: after the handshake only messages of Bloom filters may be rejected.
        const FILTERS: [Command; 2] = [Command::new("filterload"), Command::new("filteradd")];
        if self.peer.is_some() && self.verack_received && !FILTERS.contains(&command) {
            return true;
        }
        match command.name() {
            "reject" | "version" | "createstrm" | "streamack" => true,
            "verack" if self.peer.is_none() => {
                self.misbehaved(Misbehavior::BeforeVersion { command });
                if self.is_open() {
                    self.on_verack(now);
                }
                false
            }
            "filterload" | "filteradd" if !self.config.services.contains(Services::BLOOM) => {
                self.on_filter_not_served(command);
                false
            }
            _ if self.peer.is_none() => {
                self.misbehaved(Misbehavior::BeforeVersion { command });
                false
            }
            "verack" | "authch" | "authresp" => true,
            _ if !self.verack_received => {
                self.misbehaved(Misbehavior::BeforeVerack { command });
                false
            }
            _ => true,
        }
    }

    /// Scores a Bloom filter that is not served. A peer whose protocol version predates the rule,
    /// or is unknown, is disconnected without a ban.
    fn on_filter_not_served(&mut self, command: Command) {
        match self.peer_info() {
            Some(peer) if peer.version >= BLOOM_IS_ANNOUNCED => {
                self.misbehaved(Misbehavior::BloomFilterNotSupported { command });
            }
            _ => self.close(DisconnectReason::BloomFilterNotSupported { command }),
        }
    }

    /// Closes the session for announcements of objects other than transactions and blocks, which
    /// must only be requested.
    fn on_inv(&mut self, inv: &Inv) -> Disposition {
        if let Some(entry) = inv.inventory.iter().find(|entry| !is_announced(entry)) {
            let kind = entry.kind();
            self.close(DisconnectReason::InvalidInventoryType { kind });
            return Disposition::Handled;
        }
        self.delivery()
    }

    /// Returns whether a message changes nothing in a session that is connected, and must be
    /// delivered. [`Session::on_message`] need not be called for it.
    pub(crate) fn is_only_delivered(message: &Message) -> bool {
        matches!(message, Message::Inv(inv) if inv.inventory.iter().all(is_announced))
    }

    /// Returns `Deliver` if the handshake is complete and the session is open.
    fn delivery(&self) -> Disposition {
        if self.state == crate::session::ConnectionState::Connected {
            Disposition::Deliver
        } else {
            Disposition::Handled
        }
    }

    /// Announcement preferences are delivered to the application. Sending one twice is misbehavior.
    fn on_send_mode(&mut self, command: Command, again: bool) -> Disposition {
        if again {
            self.misbehaved(Misbehavior::DuplicateMessage { command });
        }
        self.delivery()
    }

    fn on_ping(&mut self, ping: Ping) {
        match ping.nonce {
            _ if !self.supports_ping_nonce() => {}
            Some(nonce) => self.send(Pong::new(nonce)),
            None => {
                let command = const { Command::new("ping") };
                let error = DecodeError::Truncated {
                    field: "ping nonce",
                    needed: 8,
                    left: 0,
                };
                self.reject("ping", RejectCode::MALFORMED, "error parsing message");
                self.misbehaved(Misbehavior::Malformed { command, error });
            }
        }
    }

    fn on_pong(&mut self, pong: Pong, now: Instant) {
        match pong.nonce {
            None | Some(0) => self.keepalive.on_pong_without_nonce(),
            Some(nonce) => {
                if let Some(round_trip) = self.keepalive.on_pong(nonce, now) {
                    self.on_pong_after_chain(nonce);
                    self.on_pong_after_verack();
                    let pong = SessionEvent::Pong {
                        nonce,
                        round_trip,
                        stream: self.stream,
                    };
                    self.outputs.push_back(Output::Event(pong));
                }
            }
        }
    }
}

/// Returns whether objects of this type may be announced. All others must only be requested.
fn is_announced(entry: &Inventory) -> bool {
    matches!(entry, Inventory::Tx(_) | Inventory::Block(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BlockHash, NotFound, Txid};

    #[test]
    fn only_valid_announcements_skip_the_session() {
        let (tx, block) = (Inventory::Tx(Txid::ZERO), Inventory::Block(BlockHash::ZERO));
        let filtered = Inventory::FilteredBlock(BlockHash::ZERO);
        for (entries, expected) in [
            (vec![], true),
            (vec![tx, block], true),
            (vec![tx, filtered], false),
        ] {
            let inv = Inv::from(entries).into();
            assert_eq!(Session::is_only_delivered(&inv), expected, "{inv:?}");
        }
        for other in [Ping::new(1).into(), NotFound::from(vec![tx]).into()] {
            assert!(!Session::is_only_delivered(&other), "{other:?}");
        }
    }
}

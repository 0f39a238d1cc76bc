//! What is done about a message, and about one that cannot be read.

use std::time::{Duration, Instant};

use super::Session;
use crate::session::output::Output;
use crate::session::{Delivery, DisconnectReason, Misbehavior, SessionEvent};
use crate::wire::{Command, DecodeError, DropCause, Message, Ping, Pong, RejectCode, Services};

/// Frames with bad checksums are a burst while they come closer together than this …
const CHECKSUM_BURST_GAP: Duration = Duration::from_millis(500);
/// … and each scores once there have been more than so many (`src/net/net.cpp`).
const CHECKSUM_BURST: u32 = 100;

/// From this protocol version on, peers know that bloom filters have to be announced (`src/version.h`, `NO_BLOOM_VERSION`).
const BLOOM_IS_ANNOUNCED: i32 = 70011;

impl Session {
    /// A message has come. Tells whether it is for the program.
    pub fn on_message(&mut self, message: &Message, now: Instant) -> Delivery {
        if !self.admits(message.command(), now) {
            return Delivery::Consumed;
        }
        match message {
            Message::Version(version) => self.on_version(version, now),
            Message::Verack => self.on_verack(now),
            Message::Protoconf(protoconf) => self.on_protoconf(protoconf),
            Message::Ping(ping) => self.on_ping(*ping),
            Message::Pong(pong) => self.on_pong(*pong, now),
            Message::SendHeaders => {
                let again = std::mem::replace(&mut self.headers_wanted, true);
                return self.on_wish(message.command(), again);
            }
            Message::SendHdrsEn => {
                let again = std::mem::replace(&mut self.enriched_headers_wanted, true);
                return self.on_wish(message.command(), again);
            }
            Message::Reject(reject) => {
                self.on_reject(reject);
                // If it has ended the connection, it is not delivered.
                return self.delivery();
            }
            Message::CreateStrm(_) => self.on_createstrm(),
            _ => return self.delivery(),
        }
        Delivery::Consumed
    }

    /// A frame has come whose payload is not what its command says.
    pub fn on_malformed(&mut self, command: Command, error: &DecodeError, now: Instant) {
        if !self.stands() {
            return;
        }
        match command.name() {
            "version" if self.peer.is_some() => return self.on_second_version(),
            "version" => return self.on_malformed_version(error),
            "createstrm" => return self.on_createstrm(),
            // We ask for no stream: what this would answer does not exist, whatever it says.
            "streamack" => return,
            _ => {}
        }
        if !self.admits(command, now) {
            return;
        }
        match command.name() {
            "protoconf" if self.protoconf.is_some() => {
                self.close(DisconnectReason::SecondProtoconf);
            }
            "protoconf" => self.close(DisconnectReason::MalformedProtoconf(error.clone())),
            // From old peers nobody expects a nonce.
            "ping" if !self.exchanges_nonces() => {}
            "filterload" | "filteradd" if error.is_above_limit() => {
                self.misbehaved(Misbehavior::OversizedFilter {
                    command,
                    error: error.clone(),
                });
            }
            name => {
                let code = match name {
                    // The node never answers a reject with one, does not read an alert, and gives no answer about miner IDs.
                    "reject" | "alert" | "revokemid" => None,
                    // It only scores a list that it has read the length of.
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

    /// A frame has been dropped before it could be read.
    pub fn on_dropped(&mut self, cause: DropCause, now: Instant) {
        if !self.stands() {
            return;
        }
        if let DropCause::BadChecksum { .. } = cause {
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
        self.misbehaved(Misbehavior::DroppedFrame(cause));
    }

    /// The node's gate in front of every message (`src/net/net_processing.cpp`, `ProcessMessage`).
    ///
    /// One thing is laxer: a `verack` that comes before its `version` is scored, but counts.
    fn admits(&mut self, command: Command, now: Instant) -> bool {
        if !self.stands() {
            return false;
        }
        match command.name() {
            "reject" | "version" | "createstrm" | "streamack" => true,
            "verack" if self.peer.is_none() => {
                self.misbehaved(Misbehavior::BeforeVersion { command });
                if self.stands() {
                    self.on_verack(now);
                }
                false
            }
            _ if self.peer.is_none() => {
                self.misbehaved(Misbehavior::BeforeVersion { command });
                false
            }
            "filterload" | "filteradd" if !self.serves_filters() => {
                self.misbehaved(Misbehavior::FilterNotServed { command });
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

    /// Peers that are too old to know that filters have to be announced may try.
    fn serves_filters(&self) -> bool {
        let knows = self
            .peer()
            .is_some_and(|peer| peer.version >= BLOOM_IS_ANNOUNCED);
        self.config.services.contains(Services::BLOOM) || !knows
    }

    /// Nothing reaches the program before the handshake is complete, nor after the end.
    fn delivery(&self) -> Delivery {
        if self.state == crate::session::ConnectionState::Connected {
            Delivery::Deliver
        } else {
            Delivery::Consumed
        }
    }

    /// How a peer wants to hear of blocks is for the program to know; to say so twice is wrong.
    fn on_wish(&mut self, command: Command, again: bool) -> Delivery {
        if again {
            self.misbehaved(Misbehavior::Repeated { command });
        }
        self.delivery()
    }

    fn on_ping(&mut self, ping: Ping) {
        match ping.nonce {
            _ if !self.exchanges_nonces() => {}
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
            None | Some(0) => self.keepalive.on_blank_pong(),
            Some(nonce) => {
                if let Some(round_trip) = self.keepalive.on_pong(nonce, now) {
                    let pong = SessionEvent::Pong { nonce, round_trip };
                    self.outputs.push_back(Output::Event(pong));
                }
            }
        }
    }
}

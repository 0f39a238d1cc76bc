//! Checks whether a peer follows the required chain.
//!
//! Nodes of other chains may have the same history, magic and genesis. They lack a block that only
//! the required chain contains
//! ([`SessionConfig::required_block`](crate::session::SessionConfig::required_block)). After the
//! handshake the session requests the headers after that block:
//! - On the same chain, an SV Node answers with the headers after the block. A Teranode answers
//!   with the header of the block itself and the headers after it.
//! - A peer on another chain starts with genesis or its child (Bitcoin SV node 1.2.2,
//!   `src/net/net_processing.cpp`, `ProcessGetHeadersMessage`, and `src/validation.cpp`,
//!   `FindForkInGlobalIndex`). The session closes the connection.
//! - A peer may send no answer, for example during its initial block download. It is accepted.
//!
//! The probe also requests a transaction that no peer has: its end marker. When the peer reports
//! the marker as missing and has sent no headers, the probe ends. Otherwise a later announcement
//! could be taken for the answer.

use std::time::Instant;

use super::Session;
use crate::network::Network;
use crate::session::{DisconnectReason, PROTOCOL_VERSION};
use crate::wire::{
    BlockHash, BlockHeader, GetData, GetHeaders, Headers, Inventory, Message, NotFound, StreamType,
    Txid,
};

/// A chain check whose answer is pending.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainProbe {
    block: BlockHash,
    /// Whether the ping after the probe has been answered. A peer that answers in order sends no
    /// answer after that. Peers that send pongs ahead of other messages, as those of this library
    /// do, still may.
    is_overdue: bool,
    /// Whether the application has requested headers since. With two streams, the answer to that
    /// may arrive before the answer to the probe, but not over the first stream, on which the probe
    /// was sent.
    is_contended: bool,
    /// The ping that was sent when the end marker came back, if the peer may have a second stream.
    fence: Option<u64>,
}

impl Session {
    /// Sets the genesis block of the network. Those of [`Network::ALL`] are known.
    ///
    /// A peer whose headers start there does not have the
    /// [required block](crate::session::SessionConfig::required_block).
    pub fn set_genesis(&mut self, genesis: BlockHash) {
        self.genesis = Some(genesis);
    }

    /// Sends the probe if the configuration requires a block. Must be called when the handshake is
    /// complete.
    pub(super) fn start_chain_probe(&mut self) {
        let Some(block) = self.config.required_block else {
            return;
        };
        self.chain_probe = Some(ChainProbe {
            block,
            is_overdue: false,
            is_contended: false,
            fence: None,
        });
        self.send(GetHeaders {
            version: PROTOCOL_VERSION,
            locator: vec![block],
            stop: BlockHash::default(),
        });
        let marker = self.new_end_marker();
        self.probe_end_marker = Some(marker);
        self.send(GetData::from(vec![Inventory::Tx(marker)]));
    }

    /// Handles received headers. Returns whether they answer the probe, so that they are not for
    /// the application.
    pub(super) fn answers_chain_probe(&mut self, headers: &Headers) -> bool {
        let Some(probe) = self.chain_probe else {
            return false;
        };
        let is_ours = !probe.is_contended || self.stream == StreamType::General;
        match headers.headers.first() {
            // An announcement is never empty: the peer has no headers after the block, or after
            // genesis.
            None if is_ours => {}
            Some(first) if first.previous == probe.block || first.hash() == probe.block => {}
            Some(first) if is_ours && self.starts_at_genesis(first) => {
                self.close(DisconnectReason::WrongChain);
            }
            // An announcement that was sent before the answer, or an answer to the application.
            _ => return false,
        }
        self.chain_probe = None;
        true
    }

    /// Handles a `notfound`. Returns whether it reports nothing but the probe's end marker.
    ///
    /// The marker ends a probe that has no answer. If the peer may have a second stream, the answer
    /// may still be on its way over that one. Then a ping is sent, whose pong follows the answer on
    /// the same stream.
    pub(super) fn is_probe_end(&mut self, missing: &NotFound, now: Instant) -> bool {
        let Some(marker) = self.probe_end_marker.map(Inventory::Tx) else {
            return false;
        };
        if !missing.inventory.contains(&marker) {
            return false;
        }
        if !self.streams.is_agreed() {
            self.chain_probe = None;
        } else if let Some(probe) = self.chain_probe.filter(|probe| probe.fence.is_none()) {
            let ping = self.ping(now);
            self.chain_probe = Some(ChainProbe {
                fence: ping.nonce,
                ..probe
            });
            self.send(ping);
        }
        missing.inventory.iter().all(|entry| *entry == marker)
    }

    /// Removes the probe's end marker from a list that the application receives.
    pub(crate) fn remove_end_marker(&self, missing: &mut NotFound) {
        if let Some(marker) = self.probe_end_marker {
            missing
                .inventory
                .retain(|entry| *entry != Inventory::Tx(marker));
        }
    }

    /// Handles the pong of a ping that was sent after the probe.
    pub(super) fn on_pong_after_chain(&mut self, nonce: u64) {
        self.chain_probe.take_if(|probe| probe.fence == Some(nonce));
        if let Some(probe) = &mut self.chain_probe {
            probe.is_overdue = true;
        }
    }

    /// Handles a message of the application. If it requests headers while the probe is overdue, the
    /// next answer belongs to the application.
    pub(super) fn on_sent_after_chain(&mut self, message: &Message) {
        let asks = matches!(message, Message::GetHeaders(_));
        self.chain_probe.take_if(|probe| asks && probe.is_overdue);
        if let Some(probe) = &mut self.chain_probe {
            probe.is_contended |= asks;
        }
    }

    /// Returns whether a list with this first header starts with the genesis block of a network, or
    /// with its child.
    fn starts_at_genesis(&self, first: &BlockHeader) -> bool {
        let hash = first.hash();
        let builtin = Network::ALL.map(|network| network.genesis_header().hash());
        let mut known = builtin.into_iter().chain(self.genesis);
        known.any(|genesis| first.previous == genesis || hash == genesis)
    }

    /// Returns the id of a transaction that does not exist: 16 random bytes and 16 zero bytes.
    fn new_end_marker(&mut self) -> Txid {
        let mut hash = [0; 32];
        for half in hash[..16].chunks_exact_mut(8) {
            half.copy_from_slice(&(self.nonces)().to_le_bytes());
        }
        Txid(hash)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::session::{
        ConnectionState, Direction, Disposition, NonceRegistry, PeerInfo, SessionConfig,
    };

    const REQUIRED: BlockHash = BlockHash([7; 32]);

    /// A session that has sent the probe, and whose application has requested headers after that.
    fn contended() -> Session {
        let config = SessionConfig {
            required_block: Some(REQUIRED),
            ..SessionConfig::default()
        };
        let (nonces, now) = (Box::new(|| 7), Instant::now());
        let registry = NonceRegistry::default();
        let session = Session::new(Direction::Inbound, config, registry, nonces, now);
        let mut session = session.unwrap();
        session.state = ConnectionState::Connected;
        session.peer = Some(Box::new(PeerInfo::default()));
        session.verack_received = true;
        session.start_chain_probe();
        session.on_sent(&Message::from(GetHeaders {
            version: PROTOCOL_VERSION,
            locator: vec![REQUIRED],
            stop: BlockHash::default(),
        }));
        session
    }

    fn headers_after(previous: BlockHash) -> Message {
        let header = BlockHeader {
            previous,
            ..BlockHeader::genesis(&Network::Regtest)
        };
        let headers = vec![header];
        Headers { headers }.into()
    }

    /// Passes a message to the session. Returns its delivery and whether the session has ended.
    fn receive(session: &mut Session, message: Message, stream: StreamType) -> (Disposition, bool) {
        session.set_stream(stream);
        let delivery = session.on_message(&message, Instant::now());
        (delivery, session.close_reason().is_some())
    }

    #[test]
    fn answer_from_custom_genesis_ends_session() {
        let genesis = BlockHash([9; 32]);
        let answer = || headers_after(genesis);
        let mut session = contended();
        // Without the genesis block it could be an announcement.
        let delivered = (Disposition::Deliver, false);
        assert_eq!(
            receive(&mut session, answer(), StreamType::General),
            delivered
        );
        session.set_genesis(genesis);
        let ended = (Disposition::Handled, true);
        assert_eq!(receive(&mut session, answer(), StreamType::General), ended);
    }

    #[test]
    fn answer_to_application_on_second_stream_is_delivered() {
        let genesis = BlockHeader::genesis(&Network::Regtest).hash();
        let empty = Message::from(Headers::default());
        for (message, stream, expected) in [
            (
                headers_after(genesis),
                StreamType::Data1,
                (Disposition::Deliver, false),
            ),
            (
                empty.clone(),
                StreamType::Data1,
                (Disposition::Deliver, false),
            ),
            (
                headers_after(genesis),
                StreamType::General,
                (Disposition::Handled, true),
            ),
            (empty, StreamType::General, (Disposition::Handled, false)),
            (
                headers_after(REQUIRED),
                StreamType::Data1,
                (Disposition::Handled, false),
            ),
        ] {
            let mut session = contended();
            assert_eq!(
                receive(&mut session, message.clone(), stream),
                expected,
                "{message:?}"
            );
        }
    }
}

//! chain-gang's `Peer`, which dials and keeps what it receives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use chain_gang::messages::{
    Inv, InvVect, Message, NODE_BITCOIN_CASH, NODE_NETWORK, PROTOCOL_VERSION, Ping, Version,
};
use chain_gang::network::Network;
use chain_gang::peer::{Peer, PeerFilter, PeerMessage, PeerNodeFilter};
use chain_gang::util::Hash256;
use chain_gang::util::rx::{Observable, Observer};
use test_support::raw_peer::DEADLINE;

use crate::served_chain::ServedChain;

/// The user agent of chain-gang's examples.
pub(crate) const USER_AGENT: &str = "chain-gang";

/// Returns the `version` of chain-gang's examples, with transactions announced.
pub(crate) fn chain_gang_version() -> Version {
    Version {
        version: PROTOCOL_VERSION,
        services: NODE_BITCOIN_CASH,
        timestamp: 1_700_000_000,
        user_agent: USER_AGENT.to_string(),
        relay: true,
        ..Version::default()
    }
}

/// A chain-gang peer that has dialed an address. It disconnects when it is dropped.
pub(crate) struct Dialer {
    pub(crate) peer: Arc<Peer>,
    messages: Receiver<Message>,
    /// chain-gang holds its observers weakly.
    _observer: Arc<Recorder>,
}

/// Records the messages of a peer, and answers them if it has a chain.
struct Recorder {
    messages: Sender<Message>,
    chain: Option<ServedChain>,
}

impl Observer<PeerMessage> for Recorder {
    fn next(&self, event: &PeerMessage) {
        // The peer answers pings itself.
        if let Some(chain) = &self.chain
            && !matches!(event.message, Message::Ping(_))
        {
            for answer in chain.answers(&event.message) {
                // A failure to send ends the connection, which the test notices.
                let _ = event.peer.send(&answer);
            }
        }
        // The receiver is gone once the test has ended.
        let _ = self.messages.send(event.message.clone());
    }
}

impl Dialer {
    /// Starts to dial. Does not block.
    pub(crate) fn dial(address: SocketAddr) -> Self {
        Self::start(address, chain_gang_version(), no_filter(), None)
    }

    /// Like [`Dialer::dial`], with another `version` and a filter for the peer's.
    pub(crate) fn dial_with(
        address: SocketAddr,
        version: Version,
        filter: Arc<dyn PeerFilter>,
    ) -> Self {
        Self::start(address, version, filter, None)
    }

    /// Starts to dial as a node that serves a chain.
    pub(crate) fn dial_with_chain(address: SocketAddr, chain: ServedChain) -> Self {
        let version = Version {
            services: NODE_BITCOIN_CASH | NODE_NETWORK,
            start_height: chain.height(),
            ..chain_gang_version()
        };
        Self::start(address, version, no_filter(), Some(chain))
    }

    fn start(
        address: SocketAddr,
        version: Version,
        filter: Arc<dyn PeerFilter>,
        chain: Option<ServedChain>,
    ) -> Self {
        let (sender, messages) = channel();
        let observer = Arc::new(Recorder {
            messages: sender,
            chain,
        });
        let peer = Peer::connect(
            address.ip(),
            address.port(),
            Network::BSV_Regtest,
            version,
            filter,
        );
        peer.messages().subscribe(&observer);
        Self {
            peer,
            messages,
            _observer: observer,
        }
    }

    /// Waits until the handshake is complete.
    #[track_caller]
    pub(crate) fn wait_connected(&self) {
        let connected = self.peer.connected_event().poll_timeout(DEADLINE);
        connected.expect("a handshake of chain-gang");
    }

    /// Waits until chain-gang has ended the connection or given up the handshake.
    #[track_caller]
    pub(crate) fn wait_disconnected(&self) {
        let disconnected = self.peer.disconnected_event().poll_timeout(DEADLINE);
        disconnected.expect("an end of the connection");
    }

    #[track_caller]
    pub(crate) fn send(&self, message: Message) {
        self.peer.send(&message).unwrap();
    }

    /// Sends a `getdata` for one object.
    #[track_caller]
    pub(crate) fn request(&self, objects: Vec<InvVect>) {
        self.send(Message::GetData(Inv { objects }));
    }

    /// Returns the first message for which `wanted` returns something. Earlier messages are
    /// skipped.
    #[track_caller]
    pub(crate) fn expect<T>(&self, mut wanted: impl FnMut(&Message) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut skipped = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                Ok(message) => match wanted(&message) {
                    Some(found) => return found,
                    None => skipped.push(message),
                },
                Err(error) => panic!("{error}; messages so far: {skipped:?}"),
            }
        }
    }

    /// Sends a ping and waits for its pong.
    #[track_caller]
    pub(crate) fn ping(&self, nonce: u64) {
        self.send(Message::Ping(Ping { nonce }));
        self.expect(|message| (*message == Message::Pong(Ping { nonce })).then_some(()));
    }

    /// Waits for an announcement of an object.
    #[track_caller]
    pub(crate) fn expect_announced(&self, obj_type: u32, hash: Hash256) {
        self.expect(|message| match message {
            Message::Inv(inv) => {
                let is_it = |entry: &&InvVect| entry.obj_type == obj_type && entry.hash == hash;
                inv.objects.iter().find(is_it).map(|_| ())
            }
            _ => None,
        });
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        self.peer.disconnect();
    }
}

fn no_filter() -> Arc<dyn PeerFilter> {
    Arc::new(PeerNodeFilter::default())
}

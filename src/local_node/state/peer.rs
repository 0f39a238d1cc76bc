//! A peer of a local node: its preferences, its requests and its known blocks.

use std::collections::VecDeque;

use log::Level;

use crate::Network;
use crate::connection::PeerConnectionHandle;
use crate::error::Error;
use crate::event::BitcoinMessageEvent;
use crate::local_node::Chain;
use crate::log_record::{Component, LogRecord};
use crate::session::{DisconnectReason, Misbehavior, PeerInfo, PeerProfile};
use crate::wire::{BlockHash, BloomFilter, GetData, Inv, Inventory, Message, NotFound, Services};

/// A connected peer.
pub(super) struct NodePeer {
    pub(super) handle: PeerConnectionHandle,
    network: Network,
    /// The content of the peer's `version`. `None` until the handshake is complete.
    pub(super) info: Option<Box<PeerInfo>>,
    /// Whether the peer receives announcements of transactions.
    pub(super) relays_transactions: bool,
    /// The filter for transactions. Matches everything until the peer loads another one.
    pub(super) filter: BloomFilter,
    /// Whether the peer requested announcements by `headers`.
    pub(super) wants_headers: bool,
    /// Whether the peer requested announcements by `hdrsen`.
    pub(super) wants_enriched_headers: bool,
    /// Whether the peer requested announcements by `cmpctblock`.
    pub(super) wants_compact_blocks: bool,
    /// The highest block of our chain that the peer announced.
    best_known: Option<BlockHash>,
    /// The last block that the peer announced and that we did not have then.
    last_unknown: Option<BlockHash>,
    /// The last header that we sent to the peer.
    pub(super) best_header_sent: Option<BlockHash>,
    /// The last block of a full answer to `getblocks`. When the peer requests it, the tip is
    /// announced, so that the peer requests the next part.
    pub(super) continue_after: Option<BlockHash>,
    /// The requested objects that have not been sent.
    pub(super) requested: VecDeque<Inventory>,
    /// The requested objects that are missing and have not been reported.
    pub(super) missing: Vec<Inventory>,
    /// Messages that arrived while requested objects had to be sent.
    pub(super) pending: VecDeque<BitcoinMessageEvent>,
    /// The number of short lists of headers in a row that did not connect.
    pub(super) unconnected_lists: u32,
    /// Whether the one `getaddr` of the peer has been answered.
    pub(super) got_addresses: bool,
    /// Whether we are closing the connection: later messages of the peer are dropped.
    pub(super) is_closing: bool,
}

impl NodePeer {
    /// Creates the peer of a new connection.
    pub(super) fn new(handle: PeerConnectionHandle, network: Network) -> Self {
        Self {
            handle,
            network,
            info: None,
            relays_transactions: true,
            filter: BloomFilter::match_all(),
            wants_headers: false,
            wants_enriched_headers: false,
            wants_compact_blocks: false,
            best_known: None,
            last_unknown: None,
            best_header_sent: None,
            continue_after: None,
            requested: VecDeque::new(),
            missing: Vec::new(),
            pending: VecDeque::new(),
            unconnected_lists: 0,
            got_addresses: false,
            is_closing: false,
        }
    }

    /// Creates a log record about the peer, with the fields of its connection.
    pub(super) fn log(&self, level: Level) -> LogRecord<'static> {
        log(level)
            .network(&self.network)
            .peer_id(self.handle.peer_id())
            .peer_address(self.handle.peer_addr())
            .direction(self.handle.direction())
    }

    /// Returns whether the handshake is complete.
    pub(super) fn is_ready(&self) -> bool {
        self.info.is_some()
    }

    /// Returns whether the handshake is complete and the peer serves blocks.
    pub(super) fn serves_blocks(&self) -> bool {
        let info = self.info.as_ref();
        info.is_some_and(|info| info.services.contains(Services::NETWORK))
    }

    /// Returns the kind of node that the peer identifies itself as.
    pub(super) fn profile(&self) -> Option<PeerProfile> {
        self.info.as_ref().map(|info| info.profile())
    }

    /// Sends a message without blocking. The content is not checked again: blocks, headers and
    /// transactions of the node were checked when they were accepted.
    ///
    /// A message that the connection refuses is logged. A peer whose queue is full, because it does
    /// not read, is disconnected.
    pub(super) fn send(&self, message: &Message) {
        match self.handle.try_send_valid(message) {
            Ok(()) | Err(Error::Disconnected { .. }) => {}
            Err(Error::Timeout { .. }) => {
                let waiting = self.handle.send_queue().bytes as u64;
                let reason = DisconnectReason::SlowReader { waiting };
                let record = self.log(Level::Warn).command(message.command());
                record.error(&reason).write(format_args!("closing"));
                self.handle.stop(reason);
            }
            Err(error) => {
                let command = message.command();
                let record = self.log(Level::Warn).command(command).error(&error);
                record.write(format_args!("{command} not sent"));
            }
        }
    }

    /// Announces objects, in as many messages as the limits require.
    pub(super) fn send_inv(&self, entries: &[Inventory]) {
        Inv::split(entries, self.handle.max_inventory()).for_each(|inv| self.send(&inv.into()));
    }

    /// Requests objects, in as many messages as the limits require.
    pub(super) fn send_getdata(&self, entries: &[Inventory]) {
        GetData::split(entries, self.handle.max_inventory())
            .for_each(|getdata| self.send(&getdata.into()));
    }

    /// Reports the missing objects, in as many messages as the limits require.
    pub(super) fn send_notfound(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        NotFound::split(&missing, self.handle.max_inventory())
            .for_each(|notfound| self.send(&notfound.into()));
    }

    /// Returns whether objects or pending messages of the peer must be handled.
    pub(super) fn is_busy(&self) -> bool {
        let is_done = self.requested.is_empty() && self.pending.is_empty();
        !self.is_closing && !is_done
    }

    /// Closes the connection. Messages that wait in the queue are lost.
    pub(super) fn close(&mut self, why: &str) {
        self.log(Level::Info).write(format_args!("closing: {why}"));
        self.is_closing = true;
        self.handle.stop(DisconnectReason::Requested);
    }

    /// Adds to the score of the peer. The connection ends at the threshold of its configuration.
    pub(super) fn misbehaved(&mut self, misbehavior: Misbehavior) {
        let score = misbehavior.score();
        let level = match score {
            0 => Level::Debug,
            _ => Level::Warn,
        };
        let text = format_args!("misbehavior (score {score})");
        self.log(level).error(&misbehavior).write(text);
        self.handle.misbehaved(misbehavior);
        self.is_closing |= self.handle.has_ended();
    }

    /// Records that the peer has a block and its ancestors.
    pub(super) fn record_block(&mut self, chain: &Chain, hash: BlockHash) {
        if !chain.contains(&hash) {
            self.last_unknown = Some(hash);
            return;
        }
        let best = self.best_known.and_then(|best| chain.height_of(&best));
        if best <= chain.height_of(&hash) {
            self.best_known = Some(hash);
        }
    }

    /// Returns whether the peer is known to have a block. It must have announced the block or a
    /// descendant, or received one of their headers.
    ///
    /// Source: Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`, `PeerHasHeader`.
    pub(super) fn has_block(&mut self, chain: &Chain, hash: &BlockHash) -> bool {
        if let Some(now_known) = self.last_unknown.take_if(|last| chain.contains(last)) {
            self.record_block(chain, now_known);
        }
        let descendants = [self.best_known, self.best_header_sent];
        let mut descendants = descendants.iter().flatten();
        descendants.any(|descendant| chain.is_ancestor(hash, descendant))
    }
}

/// Creates a log record of a local node.
pub(super) fn log(level: Level) -> LogRecord<'static> {
    LogRecord::new(Component::LocalNode, level, None)
}

//! The state machine of a connection.

// rustdoc lists methods in the order of these modules, then those of this file. `Session::new` is
// the first one.
mod lifecycle;

mod chain_check;
mod handshake;
mod messages;
mod streams;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use self::chain_check::ChainProbe;
use self::streams::StreamsState;
use super::expectations::Expectations;
use super::keepalive::{self, Keepalive, KeepaliveAction, PING_WITHOUT_NONCE};
use super::send_rules::{PeerCapabilities, SENDHDRSEN};
use super::teranode_rules::{self, PeerRequests};
use super::{
    ConnectionState, Direction, DisconnectReason, Misbehavior, NonceGuard, NonceRegistry,
    NonceSource, ObjectCount, Output, PeerInfo, PeerProfile, PeerRequest, RoundTrip, SendError,
    SessionConfig, SessionEvent, TransportClose,
};
use crate::wire::{
    BlockHash, Command, ExpectedPayloads, FrameError, LEGACY_MAX_RECEIVE_PAYLOAD, Message,
    PayloadLimits, Ping, Protoconf, Reject, Services, StreamType, Txid, inventory_limit,
};

/// The protocol state machine of one connection.
///
/// The [module documentation](crate::session) shows how to drive it. A session performs no I/O, and
/// no method blocks. Methods that change it take `&mut self`: to share a session between threads,
/// wrap it in a lock.
#[must_use = "a session does nothing unless it is driven"]
pub struct Session {
    direction: Direction,
    config: SessionConfig,
    state: ConnectionState,
    nonces: NonceSource,
    registry: NonceRegistry,
    /// The nonce of our `version`, registered while an outbound handshake is in progress.
    own_nonce: Option<NonceGuard>,
    peer_address: Option<SocketAddr>,
    unix_time: i64,

    version_sent: bool,
    verack_sent: bool,
    /// The content of the peer's `version`.
    peer: Option<Box<PeerInfo>>,
    /// The kind of node that the peer's user agent identifies.
    profile: PeerProfile,
    verack_received: bool,
    protoconf: Option<Protoconf>,
    /// Whether the peer requested announcements by `headers`.
    headers_requested: bool,
    /// Whether the peer requested announcements by `hdrsen`.
    enriched_headers_requested: bool,
    /// The peer's `reject` of our version.
    version_reject: Option<Reject>,
    /// Whether the peer is rejected after its handshake because the connection limit is reached.
    over_capacity: bool,
    /// The limit that our `protoconf` announced. The peer may send payloads of this length until
    /// the end of the connection.
    announced_max_payload: u32,

    streams: StreamsState,
    /// The stream on which the next messages arrive.
    stream: StreamType,
    /// The pending check of the peer's chain.
    chain_probe: Option<ChainProbe>,
    /// The transaction that ends the chain check. The peer may report it as missing at any time.
    probe_end_marker: Option<Txid>,
    expectations: Expectations,
    /// Whether the application sent `sendhdrsen`.
    sendhdrsen_sent: bool,
    peer_requests: PeerRequests,
    keepalive: Keepalive,
    /// The start of the handshake, while it is in progress.
    handshake_started: Option<Instant>,
    last_received: Instant,
    score: u32,
    bad_checksums: u32,
    last_bad_checksum: Option<Instant>,

    /// The genesis block of a custom network.
    genesis: Option<BlockHash>,
    outputs: VecDeque<Output>,
    /// The reason of the end, once the session is closed.
    close_reason: Option<DisconnectReason>,
}

impl Session {
    /// Records that bytes were received, which restarts the idle timeout.
    pub fn on_received(&mut self, now: Instant) {
        self.last_received = now;
        self.expectations.on_clock(now);
    }

    /// Records that bytes of a large frame were sent or received. A pong cannot overtake them, so
    /// the ping timeout is restarted.
    ///
    /// The caller must bound the duration of a single frame.
    pub fn on_partial_frame(&mut self, now: Instant) {
        self.keepalive.on_partial_frame(now);
    }

    /// Suspends the peer's timeouts for the time from `from` to `until`, during which the caller
    /// intentionally read nothing.
    ///
    /// The deadline of a ping that was sent during this time is shifted by the remainder only.
    pub fn on_reads_paused(&mut self, from: Instant, until: Instant) {
        self.last_received += keepalive::overlap(self.last_received, from, until);
        self.keepalive.on_reads_paused(from, until);
        let pause = until.saturating_duration_since(from);
        self.expectations.on_reads_paused(pause);
    }

    /// Handles an error of the [`FrameReader`](crate::wire::FrameReader). Closes the session.
    pub fn on_frame_error(&mut self, error: FrameError) {
        self.close(error.into());
    }

    /// Handles the end of the transport. Closes the session if it was open.
    ///
    /// Returns the reason of the end. If the session was closed before, this is the earlier reason.
    pub fn on_transport_end(&mut self, end: TransportClose) -> DisconnectReason {
        if self.close_reason.is_none() {
            self.close(self.map_transport_close(end));
        }
        self.close_reason
            .clone()
            .unwrap_or(DisconnectReason::ConnectionClosed)
    }

    /// Handles expired timeouts and sends pings that are due. Must be called at
    /// [`Session::next_deadline`] or later; earlier calls do nothing.
    pub fn on_timeout(&mut self, now: Instant) {
        self.on_timeout_read_until(now, now);
    }

    /// Like [`Session::on_timeout`], for a driver that has read the peer's data up to `read_until`.
    ///
    /// Timeouts of the peer are checked at that time, because data that arrived later may be
    /// unread: another thread reads it, or the process was stopped.
    pub(crate) fn on_timeout_read_until(&mut self, now: Instant, read_until: Instant) {
        if self.close_reason.is_some() {
            return;
        }
        if self
            .handshake_deadline()
            .is_some_and(|deadline| read_until >= deadline)
        {
            let after = self.config.handshake_timeout;
            let missing = self.awaited();
            self.close(DisconnectReason::HandshakeTimeout { after, missing });
        } else if self.state == ConnectionState::Connected {
            if read_until >= self.idle_deadline() {
                self.close(DisconnectReason::IdleTimeout {
                    after: self.config.idle_timeout,
                });
                return;
            }
            match self.keepalive.next_action(now, read_until) {
                KeepaliveAction::None => {}
                KeepaliveAction::Ping => self.send_ping(now),
                KeepaliveAction::TimedOut => {
                    self.close(DisconnectReason::PingTimeout {
                        after: self.config.ping_timeout,
                    });
                }
            }
        }
    }

    /// Returns the time at which [`Session::on_timeout`] must be called. Returns `None` if the
    /// connection is not yet established or has ended.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.close_reason.is_some() {
            return None;
        }
        match self.state {
            ConnectionState::Connected => Some(self.idle_deadline().min(self.keepalive.deadline())),
            _ => self.handshake_deadline(),
        }
    }

    /// Returns the next action, or `None` if there is none. Must be called until it returns `None`
    /// after each other method that changes the session.
    #[must_use = "each output is returned once"]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Like [`poll_output`](Self::poll_output), but returns [`Output::Close`] only if
    /// `owns_shutdown` is set. If several threads drive a session, one of them owns its shutdown.
    pub(crate) fn poll_output_of(&mut self, owns_shutdown: bool) -> Option<Output> {
        let is_end = matches!(self.outputs.front(), Some(Output::Close(_)));
        if is_end && !owns_shutdown {
            return None;
        }
        self.poll_output()
    }

    /// Sets the stream on which the next messages arrive. Defaults to [`StreamType::General`].
    ///
    /// A driver with several streams must call it before it passes messages of another stream. On a
    /// second stream `verack` and `protoconf` are ignored, since Teranode repeats them there.
    pub fn set_stream(&mut self, stream: StreamType) {
        self.stream = stream;
    }

    /// Returns whether [`Session::poll_output`] would return an action.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Closes the session. Does nothing if it was closed before. Messages sent earlier are still
    /// returned by [`Session::poll_output`], followed by [`Output::Close`].
    pub fn close(&mut self, reason: DisconnectReason) {
        if self.close_reason.is_some() {
            return;
        }
        let state = match &reason {
            DisconnectReason::PeerAtCapacity(_) | DisconnectReason::AtCapacity => {
                ConnectionState::Rejected
            }
            DisconnectReason::Requested
            | DisconnectReason::Shutdown
            | DisconnectReason::Duplicate => ConnectionState::Disconnected,
            _ => ConnectionState::Failed,
        };
        // `Rejected` is reached only from the handshake. In other states the end counts as a
        // failure.
        if self.state != state && self.state.transition_to(state).is_err() {
            self.state = ConnectionState::Failed;
        }
        self.own_nonce = None;
        self.close_reason = Some(reason.clone());
        self.outputs.push_back(Output::Close(reason));
    }

    /// Checks whether the application may send `message` now.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the violated rule.
    pub fn check_outgoing(&self, message: &Message) -> Result<(), SendError> {
        self.peer_capabilities().check(message)
    }

    /// Like [`Session::check_outgoing`], but accepts messages that a default node punishes or
    /// ignores, and messages that no receiver can decode.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the violated rule.
    pub fn check_outgoing_lenient(&self, message: &Message) -> Result<(), SendError> {
        self.peer_capabilities().check_lenient(message)
    }

    /// Registers a ping of the application. Returns the message, which the caller must send. The
    /// answer is reported by [`SessionEvent::Pong`].
    pub fn ping(&mut self, now: Instant) -> Ping {
        let nonce = (self.nonces)();
        self.keepalive.on_requested_ping(nonce, now);
        Ping::new(nonce)
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// Returns the side that opened the connection.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Returns the content of the peer's `version`. Returns `None` until it was accepted.
    pub fn peer_info(&self) -> Option<&PeerInfo> {
        self.peer.as_deref()
    }

    /// Returns the misbehavior score of the peer.
    pub fn score(&self) -> u32 {
        self.score
    }

    /// Returns the round-trip times of the peer's pongs.
    pub fn round_trip(&self) -> RoundTrip {
        self.keepalive.round_trip()
    }

    /// Returns whether the peer requested announcements of new blocks by `headers`. Otherwise,
    /// blocks must be announced by `inv`.
    ///
    /// Always `false` for a [Teranode](PeerProfile::Teranode), which closes the connection for
    /// headers that it did not request.
    pub fn wants_headers(&self) -> bool {
        self.headers_requested && self.profile != PeerProfile::Teranode
    }

    /// Returns whether the peer requested that new blocks are announced with `hdrsen`. Applies if
    /// the peer did not request `headers`.
    ///
    /// Always `false` for a [Teranode](PeerProfile::Teranode), which does not support that message.
    pub fn wants_enriched_headers(&self) -> bool {
        self.enriched_headers_requested && self.profile != PeerProfile::Teranode
    }

    /// Returns the maximum payload the peer accepts for commands without a limit of their own, in
    /// bytes.
    ///
    /// It is 1 MiB until the peer's `protoconf` arrives after the handshake. That message never
    /// announces less.
    ///
    /// [`Session::max_inventory`] returns the number of entries of a list.
    pub fn peer_max_payload(&self) -> u32 {
        self.protoconf
            .as_ref()
            .map_or(LEGACY_MAX_RECEIVE_PAYLOAD, |protoconf| {
                protoconf.max_receive_payload
            })
    }

    /// Returns the maximum number of entries that an `inv`, `getdata` or `notfound` to this peer
    /// should have.
    ///
    /// The first limit is the number of entries that the peer accepts. The second limit is the
    /// number of entries in a response that this side accepts and keeps in memory. A node may list
    /// all missing objects of a `getdata` in one `notfound`, regardless of the receiver's limit
    /// (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`). Both numbers follow from the payload
    /// limits by [`inventory_limit`](crate::wire::inventory_limit).
    ///
    /// For a [Teranode](PeerProfile::Teranode), the maximum is 505. A Teranode does not score
    /// requests of 505 objects, scores larger requests, and bans the sender for two requests of
    /// 50,000 objects within a minute.
    ///
    /// [`Inv::split`](crate::wire::Inv::split) and [`GetData::split`](crate::wire::GetData::split)
    /// take this number.
    pub fn max_inventory(&self) -> usize {
        let PayloadLimits {
            buffered, ceiling, ..
        } = self.config.limits;
        let own = u64::from(self.general_limit()).min(ceiling).min(buffered);
        let own = u32::try_from(own).unwrap_or(u32::MAX);
        let limit = inventory_limit(own.min(self.peer_max_payload()));
        match self.profile {
            PeerProfile::Teranode => limit.min(teranode_rules::MAX_UNSCORED_OBJECTS),
            PeerProfile::SvNode | PeerProfile::Other => limit,
        }
    }

    /// Returns the maximum payload that is read for commands without a limit of their own, in
    /// bytes.
    fn general_limit(&self) -> u32 {
        let limit = self.config.limits.general.max(self.announced_max_payload);
        match self.profile {
            // A Teranode ignores the limit that our `protoconf` announces.
            PeerProfile::Teranode => limit.max(teranode_rules::MAX_INV_PAYLOAD),
            PeerProfile::SvNode | PeerProfile::Other => limit,
        }
    }

    /// Returns the limit of the peer's `protoconf` in bytes, or 0 before it has arrived.
    pub(crate) fn peer_protoconf_payload(&self) -> u32 {
        let protoconf = self.protoconf.as_ref();
        protoconf.map_or(0, |protoconf| protoconf.max_receive_payload)
    }

    /// Returns the limits of received payloads. They are lower until the handshake is complete.
    /// Must be passed to [`FrameReader::set_limits`](crate::wire::FrameReader::set_limits) before
    /// each frame.
    pub fn limits(&self) -> PayloadLimits {
        let mut limits = self.config.limits;
        limits.general = self.general_limit();
        match self.state {
            ConnectionState::Connected => limits,
            _ => limits.before_handshake(),
        }
    }

    /// Returns the large payloads that the peer was requested to send. Lower limits apply to
    /// unrequested ones. Must be passed to
    /// [`FrameReader::set_expected`](crate::wire::FrameReader::set_expected) before each frame.
    pub fn expected_payloads(&self) -> ExpectedPayloads {
        self.expectations.expected()
    }

    /// Handles a payload that was discarded while it arrived. The request that it answers is
    /// complete.
    pub fn on_discarded(&mut self, command: Command, len: u64) {
        self.expectations.on_discarded(command, len);
    }

    /// Handles the end of a block that was delivered incrementally instead of as a message.
    pub fn on_streamed_block(&mut self) {
        self.expectations.on_streamed_block();
    }

    /// Returns whether a message is a request, so that [`Session::on_sent`] must be called when it
    /// is sent.
    pub fn is_request(message: &Message) -> bool {
        Expectations::affects(message)
            || matches!(message, Message::GetHeaders(_))
            || message.command() == SENDHDRSEN
    }

    /// Returns whether a message may be a response to the peer, so that [`Session::on_sent`] must
    /// be called when it is sent.
    pub fn is_answer(message: &Message) -> bool {
        PeerRequests::affects(message)
    }

    /// Records a message of the application. Must be called before the message is sent. Responses
    /// to a request are then expected, each until it arrives, for 30 to 60 minutes.
    pub fn on_sent(&mut self, message: &Message) {
        self.sendhdrsen_sent |= message.command() == SENDHDRSEN;
        self.peer_requests.on_sent(message);
        self.expectations.on_sent(message);
        self.on_sent_after_chain(message);
    }

    /// Handles a message for which [`Session::on_sent`] was called, but which was not sent.
    pub(crate) fn on_not_sent(&mut self, message: &Message) {
        self.sendhdrsen_sent &= message.command() != SENDHDRSEN;
        self.expectations.on_not_sent(message);
    }

    /// Records a message of a request that is open in the request table of the connection. Its
    /// objects are those of [`Session::set_open_objects`].
    pub(crate) fn on_request_sent(&mut self, message: &Message) {
        self.on_sent_after_chain(message);
    }

    /// Sets the objects of all open requests. `late` are those of requests that ended without them
    /// since the last call.
    pub(crate) fn set_open_objects(&mut self, open: ObjectCount, late: ObjectCount) {
        self.expectations.set_open(open, late);
    }

    /// Returns the reason of the end. Returns `None` while the session is open.
    pub fn close_reason(&self) -> Option<&DisconnectReason> {
        self.close_reason.as_ref()
    }

    /// Returns whether there is a connection, during or after its handshake.
    fn is_open(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::AwaitingHandshake | ConnectionState::Connected
        )
    }

    /// Returns the properties of the peer that determine the messages it accepts now.
    pub(crate) fn peer_capabilities(&self) -> PeerCapabilities {
        PeerCapabilities {
            ready: self.state == ConnectionState::Connected,
            services: self
                .peer_info()
                .map_or(Services::NONE, |peer| peer.services),
            version: self.negotiated_version(),
            max_payload: self.peer_max_payload(),
            profile: self.profile,
            relay: self.peer_info().is_some_and(|peer| peer.relay),
            awaits_headers: self.peer_requests.awaits_headers(),
            awaits_block: self.peer_requests.awaits_block(),
            sendhdrsen_sent: self.sendhdrsen_sent,
        }
    }

    /// Returns the kind of the peer if nodes of this kind do not answer the request.
    pub(crate) fn unsupported(&self, request: PeerRequest) -> Option<PeerProfile> {
        let is_inbound = self.direction == Direction::Inbound;
        let is_unsupported = match (request, self.profile) {
            _ if self.close_reason.is_some() => false,
            (PeerRequest::HeaderByHash, PeerProfile::Teranode) => true,
            (PeerRequest::Addresses, PeerProfile::Teranode | PeerProfile::SvNode) => is_inbound,
            _ => false,
        };
        is_unsupported.then_some(self.profile)
    }

    /// Returns whether nodes of this kind also send unrequested addresses.
    pub(crate) fn relays_addresses(&self) -> bool {
        self.profile != PeerProfile::Teranode
    }

    /// Returns how often this side sends pings.
    fn ping_interval(&self) -> Duration {
        match self.profile {
            PeerProfile::Teranode => self
                .config
                .ping_interval
                .min(teranode_rules::MAX_PING_INTERVAL),
            PeerProfile::SvNode | PeerProfile::Other => self.config.ping_interval,
        }
    }

    /// Returns the minimum of both protocol versions.
    fn negotiated_version(&self) -> i32 {
        let own = self.config.protocol_version;
        self.peer_info().map_or(own, |peer| peer.version.min(own))
    }

    fn handshake_deadline(&self) -> Option<Instant> {
        Some(self.handshake_started? + self.config.handshake_timeout)
    }

    fn idle_deadline(&self) -> Instant {
        self.last_received + self.config.idle_timeout
    }

    fn send(&mut self, message: impl Into<Message>) {
        self.outputs.push_back(Output::Send(message.into()));
    }

    /// Returns the ping that is due, if the peer closes connections on which this side is silent.
    ///
    /// Unlike [`Session::on_timeout`], it checks no timeout of the peer. Must be called about once
    /// a second while the caller intentionally reads nothing.
    pub(crate) fn keepalive_ping(&mut self, now: Instant) -> Option<Ping> {
        let is_open = self.close_reason.is_none() && self.state == ConnectionState::Connected;
        let is_due = is_open && self.keepalive.must_repeat(now);
        is_due.then(|| self.own_ping(now))
    }

    fn send_ping(&mut self, now: Instant) {
        let ping = self.own_ping(now);
        self.send(ping);
    }

    fn own_ping(&mut self, now: Instant) -> Ping {
        let nonce = (self.negotiated_version() > PING_WITHOUT_NONCE).then(|| (self.nonces)());
        self.keepalive.on_ping(nonce, now);
        Ping { nonce }
    }

    /// Records misbehavior that the session or the owner of the connection detected. Closes the
    /// session if the score reaches the threshold.
    pub(crate) fn misbehaved(&mut self, misbehavior: Misbehavior) {
        self.score = self.score.saturating_add(misbehavior.score());
        let score = self.score;
        self.outputs
            .push_back(Output::Event(SessionEvent::Misbehavior {
                misbehavior,
                score,
            }));
        if score >= self.config.ban_threshold {
            self.close(DisconnectReason::Misbehaved { score });
        }
    }

    fn map_transport_close(&self, end: TransportClose) -> DisconnectReason {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        let cut = match end {
            TransportClose::ConnectionClosed => true,
            TransportClose::Failed(kind) => {
                matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe)
            }
        };
        let complete = self.state == ConnectionState::Connected;
        match end {
            // A peer that dials may reject our `version` after it has sent its own `verack`, which
            // completes the handshake here.
            _ if cut && (!complete || self.version_reject.is_some()) => {
                self.handshake_close_reason()
            }
            TransportClose::ConnectionClosed => DisconnectReason::ConnectionClosed,
            TransportClose::Failed(_) if cut => DisconnectReason::ConnectionReset,
            // `Io` restarts immediately, which is reserved for peers that were reached before.
            TransportClose::Failed(kind) if !complete => DisconnectReason::Unreachable(kind.into()),
            TransportClose::Failed(kind) => DisconnectReason::Io(kind),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("direction", &self.direction)
            .field("state", &self.state)
            .field("peer_address", &self.peer_address)
            .field("peer", &self.peer)
            .field("score", &self.score)
            .field("close_reason", &self.close_reason)
            .finish_non_exhaustive()
    }
}

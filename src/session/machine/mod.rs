//! The state machine.

mod chain_check;
mod handshake;
mod messages;
mod streams;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use self::chain_check::ChainProbe;
use self::streams::Streams;
use super::expectations::Expectations;
use super::keepalive::{self, Due, Keepalive, PING_WITHOUT_NONCE};
use super::outgoing::Receiver;
use super::teranode_rules::{self, PeerRequests};
use super::{
    ConfigError, ConnectionState, Direction, DisconnectReason, InvalidTransition, Misbehavior,
    NonceGuard, NonceRegistry, NonceSource, Output, PeerInfo, PeerProfile, PeerRequest, RoundTrip,
    SendError, SessionConfig, SessionEvent, TransportClose,
};
use crate::wire::{
    BlockHash, Command, ExpectedPayloads, FrameError, LEGACY_MAX_RECEIVE_PAYLOAD, Message,
    PayloadLimits, Ping, Protoconf, Reject, Services, StreamType, Txid, inventory_limit,
};

/// One peer's protocol, from the connection's first byte to its end.
///
/// The module page shows how it is driven. Used by one thread at a time.
pub struct Session {
    direction: Direction,
    config: SessionConfig,
    state: ConnectionState,
    nonces: NonceSource,
    registry: NonceRegistry,
    /// The nonce of our version, entered in the registry while we dial and the handshake is open.
    own_nonce: Option<NonceGuard>,
    peer_address: Option<SocketAddr>,
    unix_time: i64,

    version_sent: bool,
    verack_sent: bool,
    /// What the peer's version said.
    peer: Option<Box<PeerInfo>>,
    /// The kind of node that its user agent names.
    profile: PeerProfile,
    verack_received: bool,
    protoconf: Option<Protoconf>,
    /// Whether the peer asked for announcements by `headers`.
    headers_wanted: bool,
    /// Whether the peer asked for announcements by `hdrsen`.
    enriched_headers_wanted: bool,
    /// The peer's `reject` of our version.
    refusal: Option<Reject>,
    /// Whether we have no room for the peer, and tell it so when the handshake is complete.
    over_capacity: bool,
    /// What our `protoconf` has announced: the peer may send as much to the end of the connection.
    announced_max_payload: u32,

    streams: Streams,
    /// Over which stream comes what it is told.
    stream: StreamType,
    /// The check of the peer's chain, until it has a result.
    chain_probe: Option<ChainProbe>,
    /// The transaction that ends the chain check. The peer may report it as missing at any time.
    probe_end_marker: Option<Txid>,
    expectations: Expectations,
    peer_requests: PeerRequests,
    keepalive: Keepalive,
    /// When the handshake began, while it is open.
    handshake_began: Option<Instant>,
    last_received: Instant,
    score: u32,
    bad_checksums: u32,
    last_bad_checksum: Option<Instant>,

    /// The genesis block of a custom network.
    genesis: Option<BlockHash>,
    outputs: VecDeque<Output>,
    /// Why the connection ends or has ended.
    end: Option<DisconnectReason>,
}

impl Session {
    /// A session that has not begun. `nonces` gives the random numbers of our `version` and pings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration is not valid.
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
            headers_wanted: false,
            enriched_headers_wanted: false,
            refusal: None,
            over_capacity: false,
            announced_max_payload: 0,
            streams: Streams::default(),
            stream: StreamType::General,
            genesis: None,
            chain_probe: None,
            probe_end_marker: None,
            expectations: Expectations::default(),
            peer_requests: PeerRequests::default(),
            keepalive: Keepalive::new(config.ping_interval, config.ping_timeout, now),
            handshake_began: None,
            last_received: now,
            score: 0,
            bad_checksums: 0,
            last_bad_checksum: None,
            outputs: VecDeque::new(),
            end: None,
            config,
        })
    }

    /// An outbound connection is about to be dialled.
    ///
    /// # Errors
    ///
    /// [`InvalidTransition`] unless the session has not begun.
    pub fn on_connect_started(&mut self) -> Result<(), InvalidTransition> {
        self.begin(ConnectionState::Connecting)
    }

    /// TCP stands: the handshake's deadline begins, and an outbound session sends its `version`.
    ///
    /// `unix_time` is the clock in seconds since 1970, for our `version`.
    ///
    /// # Errors
    ///
    /// [`InvalidTransition`] if there is a connection already, or was: each needs a session of its own.
    pub fn on_connected(
        &mut self,
        peer: SocketAddr,
        unix_time: i64,
        now: Instant,
    ) -> Result<(), InvalidTransition> {
        self.begin(ConnectionState::AwaitingHandshake)?;
        self.peer_address = Some(peer);
        self.unix_time = unix_time;
        self.last_received = now;
        self.handshake_began = Some(now);
        if self.direction == Direction::Outbound {
            self.send_version();
        }
        Ok(())
    }

    /// We have no room for this peer: when its handshake is complete it is told so by `reject` (code 0x44), and the connection
    /// is closed for [`DisconnectReason::AtCapacity`]. To be called before [`Session::on_connected`].
    pub fn reject_over_capacity(&mut self) {
        self.over_capacity = true;
    }

    /// Other rules hold from now on.
    ///
    /// At once: timeouts and intervals, limits, the threshold. With the next connection: what our `version` says, whom we
    /// accept, and what is asked for once. A peer may go on to send what our `protoconf` allowed it: a lower `limits.general`
    /// holds for this connection only as far as that.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration is not valid; the old one stays then.
    pub fn update_config(&mut self, config: SessionConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.config = config;
        self.keepalive
            .set(self.ping_interval(), self.config.ping_timeout);
        Ok(())
    }

    /// Bytes have come.
    pub fn on_received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// Bytes of a large frame have moved, in or out: an answer to our ping cannot overtake them, so its time
    /// begins anew. The caller sees to it that a frame cannot take for ever.
    pub fn on_partial_frame(&mut self, now: Instant) {
        self.keepalive.on_partial_frame(now);
    }

    /// From `from` until `until` nothing was read on purpose: the deadlines that wait for the peer have stood still. What began in between,
    /// a ping of the program's for example, has stood still only from then on.
    pub fn on_reads_paused(&mut self, from: Instant, until: Instant) {
        self.last_received += keepalive::share(self.last_received, from, until);
        self.keepalive.on_reads_paused(from, until);
    }

    /// The stream of frames cannot go on.
    pub fn on_frame_error(&mut self, error: FrameError) {
        self.close(error.into());
    }

    /// The transport has ended. Returns the reason of the end, which is the first that was given.
    pub fn on_transport_end(&mut self, end: TransportClose) -> DisconnectReason {
        if self.end.is_none() {
            self.close(self.meaning_of(end));
        }
        self.end
            .clone()
            .unwrap_or(DisconnectReason::ConnectionClosed)
    }

    /// Looks at the clock. To be called at [`Session::next_deadline`] or later; early calls do nothing.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.end.is_some() {
            return;
        }
        if self
            .handshake_deadline()
            .is_some_and(|deadline| now >= deadline)
        {
            let after = self.config.handshake_timeout;
            let missing = self.awaited();
            self.close(DisconnectReason::HandshakeTimeout { after, missing });
        } else if self.state == ConnectionState::Connected {
            if now >= self.idle_deadline() {
                self.close(DisconnectReason::IdleTimeout {
                    after: self.config.idle_timeout,
                });
                return;
            }
            match self.keepalive.due(now) {
                Due::Nothing => {}
                Due::Ping => self.send_ping(now),
                Due::TimedOut => {
                    self.close(DisconnectReason::PingTimeout {
                        after: self.config.ping_timeout,
                    });
                }
            }
        }
    }

    /// When [`Session::on_timeout`] wants to be called; `None` once the connection has ended or before it
    /// stands.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.end.is_some() {
            return None;
        }
        match self.state {
            ConnectionState::Connected => Some(self.idle_deadline().min(self.keepalive.deadline())),
            _ => self.handshake_deadline(),
        }
    }

    /// The next thing to do, or `None` if there is nothing.
    #[must_use = "an output is given once"]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The same, where one thread of several sees to the end: the others leave that to it.
    pub(crate) fn poll_output_of(&mut self, sees_to_end: bool) -> Option<Output> {
        let is_end = matches!(self.outputs.front(), Some(Output::Close(_)));
        if is_end && !sees_to_end {
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

    /// Whether [`Session::poll_output`] has something to give.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Ends the session. The first reason counts; what was to be sent before is still sent.
    pub fn close(&mut self, reason: DisconnectReason) {
        if self.end.is_some() {
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
        // A refusal is a way out of the handshake alone; everywhere else it is a failure like others.
        if self.state != state && self.state.transition_to(state).is_err() {
            self.state = ConnectionState::Failed;
        }
        self.own_nonce = None;
        self.end = Some(reason.clone());
        self.outputs.push_back(Output::Close(reason));
    }

    /// Checks whether the program may send `message` now: see [`SendError`] for what may not.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the rule.
    pub fn check_outgoing(&self, message: &Message) -> Result<(), SendError> {
        self.receiver().check(message)
    }

    /// Like [`Session::check_outgoing`], but lets pass what a default node punishes or ignores, and what no receiver can
    /// read.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the rule.
    pub fn check_outgoing_lenient(&self, message: &Message) -> Result<(), SendError> {
        self.receiver().check_unchecked(message)
    }

    /// A ping that the program asks for: the message to send. [`SessionEvent::Pong`] tells of its answer.
    pub fn ping(&mut self, now: Instant) -> Ping {
        let nonce = (self.nonces)();
        self.keepalive.on_requested_ping(nonce, now);
        Ping::new(nonce)
    }

    /// Where the connection stands.
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// Who opened the connection.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// What the peer said of itself, once its `version` has been accepted.
    pub fn peer_info(&self) -> Option<&PeerInfo> {
        self.peer.as_deref()
    }

    /// The peer's misbehaviour score.
    pub fn score(&self) -> u32 {
        self.score
    }

    /// How long the peer takes to answer.
    pub fn round_trip(&self) -> RoundTrip {
        self.keepalive.round_trip()
    }

    /// Returns whether the peer asked for new blocks to be announced with `headers`. Otherwise they are announced with `inv`.
    ///
    /// It is always `false` for a [Teranode](PeerProfile::Teranode), which closes the connection for headers that it did not
    /// request.
    pub fn wants_headers(&self) -> bool {
        self.headers_wanted && self.profile != PeerProfile::Teranode
    }

    /// Returns whether the peer asked for new blocks to be announced with `hdrsen`, if it did not ask for `headers`.
    ///
    /// It is always `false` for a [Teranode](PeerProfile::Teranode), which does not know that message.
    pub fn wants_enriched_headers(&self) -> bool {
        self.enriched_headers_wanted && self.profile != PeerProfile::Teranode
    }

    /// The longest payload that the peer takes, for commands without a limit of their own, in bytes: 1 MiB until its
    /// `protoconf` has come, which is after the handshake and never says less.
    ///
    /// [`Session::max_inventory`] returns the number of entries of a list.
    pub fn peer_max_payload(&self) -> u32 {
        self.protoconf
            .as_ref()
            .map_or(LEGACY_MAX_RECEIVE_PAYLOAD, |protoconf| {
                protoconf.max_receive_payload
            })
    }

    /// Returns the number of entries that an `inv`, `getdata` or `notfound` to this peer should have at most.
    ///
    /// It is the smaller of two numbers: what the peer accepts, and what this side accepts and keeps in memory of the answer.
    /// A node may name all missing objects of a `getdata` in one `notfound`, whatever the limit of the receiver is (Bitcoin SV
    /// node 1.2.2, `src/net/net_processing.cpp`). Both numbers follow from the payload limits by
    /// [`inventory_limit`](crate::wire::inventory_limit).
    ///
    /// For a [Teranode](PeerProfile::Teranode) it is at most 505. A Teranode scores larger requests and bans for two requests of
    /// 50,000 objects within a minute. Any number of requests of 505 objects score nothing.
    ///
    /// [`Inv::split`](crate::wire::Inv::split) and [`GetData::split`](crate::wire::GetData::split) take this number.
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

    /// Returns the limit of what is read for commands without a limit of their own.
    fn general_limit(&self) -> u32 {
        let limit = self.config.limits.general.max(self.announced_max_payload);
        match self.profile {
            // It ignores the limit that our protoconf announces.
            PeerProfile::Teranode => limit.max(teranode_rules::MAX_INV_PAYLOAD),
            PeerProfile::SvNode | PeerProfile::Other => limit,
        }
    }

    /// Returns the limit of the peer's `protoconf` in bytes, or 0 before it has arrived.
    pub(crate) fn peer_protoconf_payload(&self) -> u32 {
        let protoconf = self.protoconf.as_ref();
        protoconf.map_or(0, |protoconf| protoconf.max_receive_payload)
    }

    /// The limits for what is read now: narrower until the handshake is complete.
    pub fn limits(&self) -> PayloadLimits {
        let mut limits = self.config.limits;
        limits.general = self.general_limit();
        match self.state {
            ConnectionState::Connected => limits,
            _ => limits.before_handshake(),
        }
    }

    /// Which large payloads the peer was asked for: what else it sends of these kinds, less is kept of.
    pub fn expected(&self) -> ExpectedPayloads {
        self.expectations.expected()
    }

    /// Handles a payload that was discarded while it arrived: the request that it answers is over.
    pub fn on_passed_over(&mut self, command: Command, len: u64) {
        self.expectations.on_passed_over(command, len);
    }

    /// A block has come that was read while it arrived, and is no message.
    pub fn on_streamed_block(&mut self) {
        self.expectations.on_block();
    }

    /// Whether a message asks for something, so that [`Session::on_sent`] has to hear of it.
    pub fn is_request(message: &Message) -> bool {
        Expectations::concern(message) || matches!(message, Message::GetHeaders(_))
    }

    /// Returns whether a message may answer a request of the peer, so that [`Session::on_sent`] must be called when it is sent.
    pub fn is_answer(message: &Message) -> bool {
        PeerRequests::concern(message)
    }

    /// A message of the program is about to be sent: what it asks for is expected from now on.
    pub fn on_sent(&mut self, message: &Message) {
        self.peer_requests.on_sent(message);
        self.expectations.on_sent(message);
        self.on_sent_after_chain(message);
    }

    /// Why the connection ends or has ended.
    pub fn end(&self) -> Option<&DisconnectReason> {
        self.end.as_ref()
    }

    /// A session is that of one connection: a state from which another could be dialled is no way back.
    fn begin(&mut self, state: ConnectionState) -> Result<(), InvalidTransition> {
        if self.end.is_some() {
            return Err(InvalidTransition {
                from: self.state,
                to: state,
            });
        }
        self.state.transition_to(state)
    }

    /// Whether there is a connection, its handshake complete or not.
    fn stands(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::AwaitingHandshake | ConnectionState::Connected
        )
    }

    /// What bears on what the peer may be sent now.
    pub(crate) fn receiver(&self) -> Receiver {
        Receiver {
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
        }
    }

    /// Returns the kind of the peer if nodes of this kind do not answer the request.
    pub(crate) fn unsupported(&self, request: PeerRequest) -> Option<PeerProfile> {
        let is_inbound = self.direction == Direction::Inbound;
        let is_unsupported = match (request, self.profile) {
            _ if self.end.is_some() => false,
            (PeerRequest::HeaderByHash, PeerProfile::Teranode) => true,
            (PeerRequest::Addresses, PeerProfile::Teranode | PeerProfile::SvNode) => is_inbound,
            _ => false,
        };
        is_unsupported.then_some(self.profile)
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

    /// The least of both sides' protocol versions.
    fn negotiated_version(&self) -> i32 {
        let own = self.config.protocol_version;
        self.peer_info().map_or(own, |peer| peer.version.min(own))
    }

    fn handshake_deadline(&self) -> Option<Instant> {
        Some(self.handshake_began? + self.config.handshake_timeout)
    }

    fn idle_deadline(&self) -> Instant {
        self.last_received + self.config.idle_timeout
    }

    fn send(&mut self, message: impl Into<Message>) {
        self.outputs.push_back(Output::Send(message.into()));
    }

    /// Returns the ping that is due, if silence of this side ends a connection with the peer.
    ///
    /// Unlike [`Session::on_timeout`] it checks no deadline of the peer. It must be called about once a second while nothing is
    /// read on purpose.
    pub(crate) fn keepalive_ping(&mut self, now: Instant) -> Option<Ping> {
        let is_open = self.end.is_none() && self.state == ConnectionState::Connected;
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

    /// The peer has done something wrong, found out here or by whoever owns the connection.
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

    fn meaning_of(&self, end: TransportClose) -> DisconnectReason {
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
            _ if cut && (!complete || self.refusal.is_some()) => self.meaning_of_cut_handshake(),
            TransportClose::ConnectionClosed => DisconnectReason::ConnectionClosed,
            TransportClose::Failed(_) if cut => DisconnectReason::ConnectionReset,
            // `Io` restarts at once, which only a peer that has once been reached deserves.
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
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

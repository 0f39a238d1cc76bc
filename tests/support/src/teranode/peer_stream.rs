//! The messages of one connection after the handshake, and its timers.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bsv_p2p::wire::{Message, Ping, Protoconf, Reject, RejectCode, StreamType};

use super::handshake::{PeerStart, protoconf, serve_opened_stream};
use super::node::{Node, Received};
use super::peer::{Closed, Link, Peer, ReadEnd, Wire};
use super::rules::{Punishment, broken_rule, decode, is_ignored};

/// One TCP connection of a peer whose handshake has started.
pub(super) struct PeerStream<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) peer: Arc<Peer>,
    stream: StreamType,
    wire: Wire,
    protoconf_due: Option<Instant>,
    /// When the next ping is due. Only the first connection of a peer sends pings.
    ping_due: Option<Instant>,
    has_opened_stream: bool,
}

impl<'a> PeerStream<'a> {
    pub(super) fn new(node: &'a Arc<Node>, wire: Wire, start: PeerStart) -> Self {
        let now = Instant::now();
        start.peer.facts.lock().last_message = now;
        let is_first = start.stream == StreamType::General;
        Self {
            node,
            peer: start.peer,
            stream: start.stream,
            wire,
            protoconf_due: start
                .owes_protoconf
                .then(|| now + node.config.protoconf_delay),
            ping_due: is_first.then(|| now + node.config.ping_interval),
            has_opened_stream: false,
        }
    }

    /// Returns the connection on which this stream's requests are answered.
    pub(super) fn link(&self) -> &Link {
        &self.wire.link
    }

    /// Handles messages until the connection ends.
    pub(super) fn run(mut self) {
        while self.turn().is_ok() {}
        let link = &self.wire.link;
        link.close();
        let streams = &mut self.peer.facts.lock().streams;
        streams.retain(|(_, other)| !Arc::ptr_eq(other, link));
    }

    fn turn(&mut self) -> Result<(), Closed> {
        match self.wire.next_frame(self.deadline()) {
            Ok(Some(frame)) => {
                let message = match decode(&frame.command, frame.payload) {
                    Ok(message) => message,
                    Err(rule) => return self.on_malformed(&frame.command, rule),
                };
                self.on_message(&frame.command, message)?;
            }
            Ok(None) => self.check_silence()?,
            Err(ReadEnd::Closed) => return Err(Closed),
            Err(ReadEnd::Malformed(frame)) => return self.on_malformed(&frame.command, frame.rule),
        }
        self.send_due()
    }

    fn deadline(&self) -> Instant {
        let facts = self.peer.facts.lock();
        let idle = facts.last_message + self.node.config.idle_timeout;
        let due = [self.protoconf_due, self.ping_due];
        let due = due.into_iter().flatten();
        due.chain(facts.pending.values().copied())
            .fold(idle, Instant::min)
    }

    fn check_silence(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        let (is_idle, late) = {
            let facts = self.peer.facts.lock();
            let idle = now >= facts.last_message + self.node.config.idle_timeout;
            let mut pending = facts.pending.iter();
            (
                idle,
                pending
                    .find(|(_, due)| now >= **due)
                    .map(|(command, _)| *command),
            )
        };
        if is_idle {
            return self.close_for("", "silence for longer than the idle timeout");
        }
        match late {
            Some(command) => self.close_for(command, "no answer to this request of ours in time"),
            None => Ok(()),
        }
    }

    fn send_due(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        if self.protoconf_due.take_if(|due| *due <= now).is_some() {
            self.link().send(self.node, protoconf(self.node))?;
        }
        if self.ping_due.is_some_and(|due| due <= now) {
            self.ping_due = Some(now + self.node.config.ping_interval);
            let nonce = self.node.new_nonce();
            self.peer.facts.lock().ping = Some((nonce, now));
            self.peer.ping_link().send(self.node, Ping::new(nonce))?;
        }
        Ok(())
    }

    fn on_malformed(&mut self, command: &str, rule: &'static str) -> Result<(), Closed> {
        let reject = Reject::new("malformed", RejectCode::MALFORMED, rule);
        let _ = self.link().send(self.node, reject);
        self.close_for(command, rule)
    }

    /// Records a message that is punished, and ends the connection.
    pub(super) fn close_for(&self, command: &str, rule: &'static str) -> Result<(), Closed> {
        self.punish(command, rule, Punishment::Closed);
        Err(Closed)
    }

    pub(super) fn punish(&self, command: &str, rule: &'static str, punishment: Punishment) {
        let ip = self.peer.address.ip();
        self.node
            .punish(self.peer.id, ip, command, rule, punishment);
    }

    /// Sends a request, which must be answered in time.
    pub(super) fn request(&self, message: impl Into<Message>) -> Result<(), Closed> {
        let message = message.into();
        let (command, timeout) = match message {
            Message::GetHeaders(_) => ("getheaders", self.node.config.headers_timeout),
            Message::GetBlocks(_) => ("getblocks", self.node.config.data_timeout),
            _ => ("getdata", self.node.config.data_timeout),
        };
        let due = Instant::now() + timeout;
        self.peer.facts.lock().pending.insert(command, due);
        self.link().send(self.node, message)
    }

    /// Ends the wait for the answer to a request.
    pub(super) fn on_answer(&self, command: &str) {
        self.peer.facts.lock().pending.remove(command);
    }

    fn on_message(&mut self, command: &str, message: Message) -> Result<(), Closed> {
        let now = Instant::now();
        self.peer.facts.lock().last_message = now;
        let received = Received {
            peer: self.peer.id,
            stream: self.stream,
            message: message.clone(),
        };
        // A test that waits for the message must see these effects.
        match &message {
            Message::SendHeaders => self.peer.facts.lock().wants_headers = true,
            Message::FeeFilter(filter) => self.peer.facts.lock().fee_filter = filter.rate,
            _ => {}
        }
        self.node.update(|state| state.received.push(received));
        self.dispatch(command, message, now)
    }

    fn dispatch(&mut self, command: &str, message: Message, now: Instant) -> Result<(), Closed> {
        if let Some(rule) = broken_rule(&message) {
            if matches!(message, Message::Version(_)) {
                let text = "Duplicate version message";
                let reject = Reject::new("version", RejectCode::DUPLICATE, text);
                let _ = self.link().send(self.node, reject);
            }
            return self.close_for(command, rule);
        }
        if is_ignored(command) {
            return Ok(());
        }
        match message {
            Message::Verack => self.on_verack(),
            Message::Protoconf(protoconf) => {
                self.on_protoconf(&protoconf);
                Ok(())
            }
            other => self.handle(other, now),
        }
    }

    fn on_verack(&mut self) -> Result<(), Closed> {
        // The second stream of a peer has no handshake.
        let is_second = {
            let facts = &mut *self.peer.facts.lock();
            std::mem::replace(&mut facts.has_verack, true)
        };
        if is_second {
            return self.close_for("verack", "a second verack");
        }
        // Callers may wait for the handshake.
        self.node.update(|_| ());
        self.start_sync()
    }

    /// Opens a second stream if both sides know the policy for it.
    fn on_protoconf(&mut self, protoconf: &Protoconf) {
        let has_policy = protoconf.policies().any(|name| name == b"BlockPriority");
        let association = self.peer.facts.lock().association;
        let may_open = !self.peer.is_inbound && self.node.config.streams.is_some();
        let Some(id) = association.filter(|_| may_open && has_policy) else {
            return;
        };
        if !std::mem::replace(&mut self.has_opened_stream, true) {
            let (node, peer) = (self.node.clone(), self.peer.clone());
            let thread = thread::spawn(move || serve_opened_stream(&node, &peer, id));
            self.node.update(|state| state.threads.push(thread));
        }
    }
}

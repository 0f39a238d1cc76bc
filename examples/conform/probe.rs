//! One connection of a check: frames of any form out, messages in, and a deadline for all of it.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    FrameReader, GetData, Incoming, Inventory, Message, NotFound, PayloadLimits, Ping, Pong,
    Protoconf, Reject, RejectCode, Version, encode_frame,
};

use crate::finding::{Check, Finding};
use crate::messages::{describe, describe_all, frame, is_unprompted, unknown_tx};

/// A connection to the node.
pub(crate) struct Probe {
    tcp: TcpStream,
    frames: FrameReader,
    magic: Magic,
    timeout: Duration,
    deadline: Instant,
    /// The numbers of messages and bytes that are still read from this connection.
    budget: (usize, usize),
    /// The node's `version`, once the handshake is complete.
    pub(crate) version: Option<Version>,
    /// The node's `protoconf`, once the handshake is complete.
    pub(crate) protoconf: Option<Protoconf>,
    /// The other messages of the node during the handshake.
    pub(crate) greeting: Vec<Message>,
}

impl Probe {
    /// Opens a connection, which may last for `timeout`. Blocks for at most that time.
    pub(crate) fn open(
        address: SocketAddr,
        magic: Magic,
        timeout: Duration,
    ) -> Result<Self, Finding> {
        let deadline = Instant::now() + timeout;
        let unreachable = |error: io::Error| Finding::Unreachable(format!("{address}: {error}"));
        let tcp = TcpStream::connect_timeout(&address, timeout).map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        Ok(Self {
            tcp,
            frames: FrameReader::new(magic, PayloadLimits::default()),
            magic,
            timeout,
            deadline,
            budget: (MAX_MESSAGES, MAX_BYTES),
            version: None,
            protoconf: None,
            greeting: Vec::new(),
        })
    }

    pub(crate) fn magic(&self) -> Magic {
        self.magic
    }

    /// Sends a message. That the node has closed the connection shows at the next read.
    pub(crate) fn send(&mut self, message: impl Into<Message>) {
        let mut bytes = Vec::new();
        encode_frame(self.magic, &message.into(), &mut bytes);
        self.send_bytes(&bytes);
    }

    /// Sends a frame with a payload that need not be valid.
    pub(crate) fn send_payload(&mut self, command: &str, payload: &[u8]) {
        self.send_bytes(&frame(self.magic, command.as_bytes(), payload));
    }

    /// Sends bytes that need not be frames.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let left = self.time_left().max(MIN_TIMEOUT);
        let sent = self.tcp.set_write_timeout(Some(left));
        // A permanent error is reported by the next read, after the messages of the node.
        let _ = sent.and_then(|()| (&self.tcp).write_all(bytes));
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Returns the next message, or `None` if the node has closed the connection. Pings are answered, and returned as well.
    pub(crate) fn receive(&mut self) -> Result<Option<Message>, Finding> {
        loop {
            if self.time_left().is_zero() {
                return Finding::broken(format!("no answer within {:?}", self.timeout));
            }
            match self.frames.next_frame() {
                Ok(Some(incoming)) => return self.take(incoming).map(Some),
                Ok(None) => {}
                Err(error) => return Finding::broken(format!("an invalid frame: {error}")),
            }
            let left = self.time_left().max(MIN_TIMEOUT);
            let ready = self.tcp.set_read_timeout(Some(left));
            match ready.and_then(|()| self.frames.read_from(&mut &self.tcp)) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe => return Ok(None),
                    io::ErrorKind::WouldBlock
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::Interrupted => {}
                    _ => return Finding::broken(format!("reading failed: {error}")),
                },
            }
        }
    }

    /// Decodes a received frame.
    fn take(&mut self, incoming: Incoming) -> Result<Message, Finding> {
        let frame = match incoming {
            Incoming::Frame(frame) => frame,
            Incoming::Discarded { command, len, .. } => {
                return Finding::skipped(format!("{command} of {len} bytes is too large to check"));
            }
            other => return Finding::broken(format!("an invalid frame: {other:?}")),
        };
        let left = self.budget.0.checked_sub(1);
        let bytes_left = self.budget.1.checked_sub(frame.payload.len());
        let (Some(left), Some(bytes_left)) = (left, bytes_left) else {
            return Finding::broken("more messages than one connection is read for");
        };
        self.budget = (left, bytes_left);
        let command = frame.command;
        match Message::decode(command, frame.payload) {
            Ok(message) => {
                if let Message::Ping(Ping { nonce: Some(nonce) }) = message {
                    self.send(Pong::new(nonce));
                }
                Ok(message)
            }
            Err(error) => Finding::broken(format!("an invalid {command}: {error}")),
        }
    }

    /// Returns the first message for which `wanted` returns a value. Other messages are discarded.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&Message) -> Option<T>,
    ) -> Result<T, Finding> {
        let mut others = Vec::new();
        loop {
            match self.receive() {
                Ok(Some(message)) => {
                    if let Some(value) = wanted(&message) {
                        return Ok(value);
                    }
                    if !is_unprompted(&message) {
                        others.push(message);
                    }
                }
                Ok(None) if self.budget.0 == MAX_MESSAGES => return Finding::broken(CLOSED),
                Ok(None) => {
                    let others = describe_all(&others);
                    return Finding::broken(format!("{others}, then close; expected {what}"));
                }
                Err(Finding::Broken(error)) => {
                    let others = describe_all(&others);
                    return Finding::broken(format!("{others}; expected {what}: {error}"));
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Sends a marker and returns the first message ahead of its answer for which `wanted` returns a value.
    ///
    /// Unlike [`wait_for`](Self::wait_for) this shows a missing answer at once, for messages that a node answers in order.
    pub(crate) fn answer<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&Message) -> Option<T>,
    ) -> Result<T, Finding> {
        let marker = self.send_marker();
        let (mut found, mut others) = (None, Vec::new());
        loop {
            let message = match self.receive() {
                Ok(Some(message)) if message == marker => break,
                Ok(Some(message)) => message,
                Ok(None) => {
                    return Finding::broken(format!("{}, then close", describe_all(&others)));
                }
                Err(Finding::Broken(error)) => {
                    return Finding::broken(format!("{}, then {error}", describe_all(&others)));
                }
                Err(other) => return Err(other),
            };
            match wanted(&message) {
                Some(value) if found.is_none() => found = Some(value),
                _ if is_unprompted(&message) => {}
                _ => others.push(message),
            }
        }
        match found {
            Some(value) => Ok(value),
            None => Finding::broken(format!(
                "{}, connection open; expected {what}",
                describe_all(&others)
            )),
        }
    }

    /// Sends a marker and returns the messages before its answer. The node has then handled all
    /// messages sent before. Unprompted messages of the node are not returned.
    pub(crate) fn until_marker(&mut self) -> Result<Vec<Message>, Finding> {
        let marker = self.send_marker();
        self.until(|message| *message == marker)
    }

    /// Sends a request and returns its expected answer. The answer shows that the node has handled all
    /// messages sent before.
    ///
    /// The request is for an unknown transaction. A pong could overtake other answers, and peers of old versions get none.
    fn send_marker(&mut self) -> Message {
        let missing = vec![Inventory::Tx(unknown_tx())];
        self.send(GetData::from(missing.clone()));
        NotFound::from(missing).into()
    }

    /// Returns the messages before the message for which `is_end` returns true. Unprompted messages of
    /// the node are not returned.
    pub(crate) fn until(
        &mut self,
        is_end: impl Fn(&Message) -> bool,
    ) -> Result<Vec<Message>, Finding> {
        let mut before = Vec::new();
        loop {
            match self.receive() {
                Ok(Some(message)) if is_end(&message) => return Ok(before),
                Ok(Some(message)) if is_unprompted(&message) => self.greet(message),
                Ok(Some(message)) => before.push(message),
                Ok(None) => {
                    let before = describe_all(&before);
                    return Finding::broken(format!("{before}, then close"));
                }
                Err(Finding::Broken(error)) if !before.is_empty() => {
                    let before = describe_all(&before);
                    return Finding::broken(format!("{before}, then {error}"));
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Records a message of the handshake.
    fn greet(&mut self, message: Message) {
        match message {
            Message::Protoconf(protoconf) if self.protoconf.is_none() => {
                self.protoconf = Some(protoconf);
            }
            other if self.greeting.len() < MAX_GREETING => self.greeting.push(other),
            _ => {}
        }
    }

    /// Sends a message and returns the answers to it.
    pub(crate) fn request(&mut self, message: impl Into<Message>) -> Result<Vec<Message>, Finding> {
        self.send(message);
        self.until_marker()
    }

    /// Checks that the node does not answer the messages sent before, and leaves the connection open.
    pub(crate) fn stays_silent(&mut self) -> Check {
        let answers = self.until_marker()?;
        match answers[..] {
            [] => Ok("no answer, connection open".into()),
            _ => Finding::broken(describe_all(&answers)),
        }
    }

    /// Checks that the node answers the messages sent before with this `reject` only, and leaves the
    /// connection open.
    pub(crate) fn rejects(&mut self, of: &str, code: RejectCode, reason: &str) -> Check {
        let answers = self.until_marker()?;
        match &answers[..] {
            [Message::Reject(reject)] if is_reject(reject, of, code, reason) => {
                Ok(format!("{}, connection open", describe_all(&answers)))
            }
            _ => Finding::broken(format!("{}, connection open", describe_all(&answers))),
        }
    }

    /// Checks that the node answers the messages sent before with this `reject`, and closes the
    /// connection.
    pub(crate) fn rejects_and_closes(&mut self, of: &str, code: RejectCode, reason: &str) -> Check {
        // No marker here: unread data would make a closing node reset the connection, and the reject would be lost.
        let answer = self.first_answer("a reject")?;
        let received = describe(&answer);
        match answer {
            Message::Reject(reject) if is_reject(&reject, of, code, reason) => {
                let closed = self.closes()?;
                Ok(format!("{received}, {closed}"))
            }
            _ => Finding::broken(received),
        }
    }

    /// Returns the next message that a node does not send unprompted.
    pub(crate) fn first_answer(&mut self, expected: &str) -> Result<Message, Finding> {
        self.wait_for(expected, |message| {
            (!is_unprompted(message)).then(|| message.clone())
        })
    }

    /// Checks that the node closes the connection.
    ///
    /// If it does not, a marker shows that at once, unless the handshake is incomplete.
    pub(crate) fn closes(&mut self) -> Check {
        let marker = self.send_marker();
        let mut before = Vec::new();
        loop {
            match self.receive() {
                Ok(None) if before.is_empty() => return Ok("close".into()),
                Ok(None) => return Ok(format!("{}, then close", describe_all(&before))),
                Ok(Some(message)) if message == marker => {
                    return Finding::broken(format!("{}, connection open", describe_all(&before)));
                }
                Ok(Some(message)) if is_unprompted(&message) => {}
                Ok(Some(message)) => before.push(message),
                Err(Finding::Broken(_)) => {
                    let before = describe_all(&before);
                    let timeout = self.timeout;
                    return Finding::broken(format!("{before}, no close within {timeout:?}"));
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Waits until the node closes the connection, without a marker that could show that it does not.
    pub(crate) fn ends(&mut self) -> Check {
        let mut others = Vec::new();
        loop {
            match self.receive()? {
                None if others.is_empty() => return Ok("close".into()),
                None => return Ok(format!("{}, then close", describe_all(&others))),
                Some(message) if is_unprompted(&message) => {}
                Some(message) => others.push(message),
            }
        }
    }

    /// Sends a `version` and waits for the node's `version` and `verack`.
    pub(crate) fn exchange_versions(&mut self, own: Version) -> Result<(), Finding> {
        self.send(own);
        self.expect_version()
    }

    /// Waits for the node's `version` and `verack`.
    pub(crate) fn expect_version(&mut self) -> Result<(), Finding> {
        let version = self.wait_for("version", |message| match message {
            Message::Version(version) => Some(version.as_ref().clone()),
            _ => None,
        })?;
        self.version = Some(version);
        self.wait_for("verack", |message| {
            (*message == Message::Verack).then_some(())
        })
    }

    /// Completes the handshake after [`exchange_versions`](Self::exchange_versions).
    pub(crate) fn complete(&mut self, protoconf: Option<Protoconf>) -> Result<(), Finding> {
        self.send(Message::Verack);
        if let Some(protoconf) = protoconf {
            self.send(protoconf);
        }
        let rest = self.until_marker()?;
        self.greeting.extend(rest);
        Ok(())
    }
}

fn is_reject(reject: &Reject, of: &str, code: RejectCode, reason: &str) -> bool {
    let text = reject.reason.to_string();
    reject.message == of && reject.code == code && text.contains(reason)
}

/// The description of a node that closes a connection immediately.
pub(crate) const CLOSED: &str = "close without any message";

/// The maximum number of messages read from one connection.
const MAX_MESSAGES: usize = 50_000;
/// The maximum number of payload bytes read from one connection.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// The maximum number of unprompted messages kept.
const MAX_GREETING: usize = 100;
/// The minimum timeout of a read or write. Zero would mean no timeout.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

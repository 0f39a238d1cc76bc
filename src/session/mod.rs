//! The protocol of one peer as a pure state machine.
//!
//! A [`Session`] implements the handshake, keepalive, limits and misbehavior scores of one
//! connection. It has no socket, clock, thread or random number generator. The caller passes the
//! time, random numbers and received messages, and performs the returned [`Output`]s.
//!
//! # Driver loop
//!
//! The loop below is a complete driver with a blocking socket. It requests headers from a node and
//! disconnects when they arrive.
//!
//! ```
//! use std::hash::{BuildHasher, RandomState};
//! use std::io::{ErrorKind, Write};
//! use std::net::TcpStream;
//! use std::time::{Duration, Instant, SystemTime};
//!
//! use bsv_p2p::Network;
//! use bsv_p2p::local_node::LocalNode;
//! use bsv_p2p::session::{
//!     Disposition, Direction, DisconnectReason, NonceRegistry, Output, PROTOCOL_VERSION, Session,
//!     SessionConfig, SessionEvent, TransportClose,
//! };
//! use bsv_p2p::wire::{BlockHash, FrameReader, GetHeaders, Incoming, Message, encode_frame};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = LocalNode::start()?;
//! node.mine(3)?;
//!
//! let socket = TcpStream::connect(node.address())?;
//! socket.set_write_timeout(Some(Duration::from_secs(20)))?;
//! let magic = Network::Regtest.magic();
//! let send = |message: &Message| {
//!     let mut frame = Vec::new();
//!     encode_frame(magic, message, &mut frame);
//!     (&socket).write_all(&frame)
//! };
//!
//! let (config, registry) = (SessionConfig::default(), NonceRegistry::default());
//! let nonces = Box::new(|| RandomState::new().hash_one(()).max(1));
//! let mut session = Session::new(Direction::Outbound, config, registry, nonces, Instant::now())?;
//! session.on_connect_started()?;
//! let unix_time = i64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_secs())?;
//! session.on_connected(node.address(), unix_time, Instant::now())?;
//!
//! let mut frames = FrameReader::new(magic, session.limits());
//! let request = Message::from(GetHeaders {
//!     version: PROTOCOL_VERSION,
//!     locator: vec![Network::Regtest.genesis_header().hash()],
//!     stop: BlockHash::ZERO,
//! });
//! let reason = 'connection: loop {
//!     while let Some(output) = session.poll_output() {
//!         match output {
//!             Output::Send(message) => send(&message)?,
//!             Output::Event(SessionEvent::HandshakeComplete(_)) => {
//!                 session.check_outgoing(&request)?;
//!                 session.on_sent(&request);
//!                 send(&request)?;
//!             }
//!             Output::Event(event) => println!("{event:?}"),
//!             Output::Close(reason) => break 'connection reason,
//!             // Returned only after a call of `enable_multistream`.
//!             Output::RegisterAssociation(_) | Output::OpenStream(_) => {}
//!         }
//!     }
//!     frames.set_limits(session.limits());
//!     frames.set_expected(session.expected_payloads());
//!     let now = Instant::now();
//!     match frames.next_frame() {
//!         Ok(Some(Incoming::Frame(frame))) => {
//!             match Message::decode(frame.command, frame.payload) {
//!                 Ok(message) => {
//!                     let delivery = session.on_message(&message, now);
//!                     if let (Disposition::Deliver, Message::Headers(answer)) = (delivery, message) {
//!                         assert_eq!(answer.headers.len(), 3);
//!                         session.close(DisconnectReason::Requested);
//!                     }
//!                 }
//!                 Err(error) => session.on_malformed(frame.command, &error, now),
//!             }
//!         }
//!         Ok(Some(Incoming::Dropped(cause))) => session.on_dropped(cause, now),
//!         Ok(Some(Incoming::Discarded { command, len, .. })) => {
//!             session.on_discarded(command, len);
//!         }
//!         // Parts of a block are returned only after a call of `stream_blocks`.
//!         Ok(Some(_)) => {}
//!         Err(error) => session.on_frame_error(error),
//!         Ok(None) => {
//!             // All received frames are handled. Wait for more until the next deadline.
//!             let deadline = session.next_deadline().unwrap_or(now);
//!             let wait = deadline.saturating_duration_since(now).max(Duration::from_millis(1));
//!             socket.set_read_timeout(Some(wait))?;
//!             match frames.read_from(&mut &socket).map_err(|error| error.kind()) {
//!                 Ok(0) => drop(session.on_transport_end(TransportClose::ConnectionClosed)),
//!                 Ok(_) => session.on_received(Instant::now()),
//!                 Err(ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
//!                 Err(kind) => drop(session.on_transport_end(TransportClose::Failed(kind))),
//!             }
//!             session.on_timeout(Instant::now());
//!         }
//!     }
//! };
//! assert_eq!(reason, DisconnectReason::Requested);
//! # Ok(())
//! # }
//! ```
//!
//! The rules of a driver:
//! - After each call that changes the session, [`Session::poll_output`] must be called until it
//!   returns `None`.
//! - [`Session::on_timeout`] must be called at [`Session::next_deadline`].
//! - If the application transfers large messages, [`Session::on_partial_frame`] should be called
//!   while their bytes are transferred. Otherwise, the ping timeout may expire during the transfer.
//! - The driver must limit the duration of each frame and of each write, because the session does
//!   not observe partial frames.

mod config;
mod content_rules;
mod disconnect;
mod disconnect_action;
mod expectations;
mod keepalive;
mod machine;
mod misbehavior;
mod nonce;
mod output;
mod peer_profile;
mod send_rules;
mod state;
mod streams;
mod teranode_rules;
mod user_agent;

pub use config::{
    ConfigError, MINIMUM_PROTOCOL_VERSION, PROTOCOL_VERSION, SessionConfig, USER_AGENT,
};
pub use content_rules::ContentError;
pub(crate) use content_rules::check_content;
pub use disconnect::{AwaitedMessage, DisconnectReason};
pub use disconnect_action::DisconnectAction;
pub(crate) use expectations::ObjectCount;
pub use keepalive::RoundTrip;
pub use machine::Session;
pub use misbehavior::Misbehavior;
pub use nonce::{NonceGuard, NonceRegistry, NonceSource};
pub use output::{Disposition, Output, PeerInfo, SessionEvent, TransportClose};
pub use peer_profile::PeerProfile;
pub(crate) use peer_profile::PeerRequest;
pub(crate) use send_rules::PeerCapabilities;
pub use send_rules::SendError;
pub use state::{ConnectionState, Direction, InvalidTransition};
pub(crate) use streams::StreamError;
pub use streams::StreamSetupError;
pub use user_agent::{UserAgentError, UserAgentPolicy, check_user_agent};

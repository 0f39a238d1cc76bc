//! The session: one peer's protocol as a pure state machine.
//!
//! A [`Session`] owns the handshake, keepalive, limits and misbehaviour of one peer. It has no socket, clock, thread or
//! randomness: time and nonces come from the caller, messages go in, and [`Output`]s come out. Whoever drives
//! it moves the bytes:
//!
//! ```
//! use std::time::Instant;
//! use bsv_p2p::session::{Direction, NonceRegistry, Output, Session, SessionConfig};
//! use bsv_p2p::wire::{Message, Services};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::now();
//! let mut counter = 0;
//! let nonces = Box::new(move || { counter += 1; counter });
//! let registry = NonceRegistry::default();
//! let config = SessionConfig::default();
//! let mut session = Session::new(Direction::Outbound, config, registry, nonces, now)?;
//! session.on_connect_started()?;
//! session.on_connected("127.0.0.1:8333".parse()?, 1_700_000_000, now)?;
//!
//! let Some(Output::Send(Message::Version(version))) = session.poll_output() else { panic!() };
//! assert_eq!(version.version, 70016);
//! // … send it, feed `on_message` with what comes back, and call `on_timeout` at `next_deadline`.
//! assert!(session.next_deadline().is_some());
//! # Ok(())
//! # }
//! ```
//!
//! **Drain [`Session::poll_output`] after every other call**, then wait for bytes until
//! [`Session::next_deadline`].

mod config;
mod consequence;
mod disconnect;
mod expectations;
mod keepalive;
mod machine;
mod misbehavior;
mod nonce;
mod outgoing;
mod output;
mod peer_profile;
mod state;
mod streams;
mod teranode_rules;
mod user_agent;

pub use config::{
    ConfigError, MINIMUM_PROTOCOL_VERSION, PROTOCOL_VERSION, SessionConfig, USER_AGENT,
};
pub use consequence::DisconnectAction;
pub use disconnect::{AwaitedMessage, DisconnectReason};
pub use keepalive::RoundTrip;
pub use machine::Session;
pub use misbehavior::Misbehavior;
pub use nonce::{NonceGuard, NonceRegistry, NonceSource};
pub(crate) use outgoing::Receiver;
pub use outgoing::SendError;
pub use output::{Disposition, Output, PeerInfo, SessionEvent, TransportClose};
pub use peer_profile::PeerProfile;
pub(crate) use peer_profile::PeerRequest;
pub use state::{ConnectionState, Direction, InvalidTransition};
pub(crate) use streams::StreamFault;
pub use streams::{StreamSetupError, stream_of};
pub use user_agent::{UserAgentError, UserAgentPolicy, check_user_agent};

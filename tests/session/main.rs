//! The session with a simulated clock: with a peer that the test controls, and with another
//! session.

mod after_the_end;
mod chain_check;
mod contents;
mod early_messages;
mod handshake;
mod handshake_ends;
mod interleavings;
mod keepalive;
mod outgoing;
mod outgoing_fields;
mod pair;
mod pauses;
mod random;
mod scores;
mod serde_forms;
mod side;
mod states;
mod streams;
mod teranode;
mod text;
mod violations;

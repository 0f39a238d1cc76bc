//! Checks bsv-p2p against chain-gang, an independent implementation of the protocol.
//!
//! - `codec`: each message type that both know is encoded by one and decoded by the other.
//! - `inbound`: chain-gang's `Peer` dials a `LocalNode`, a `Connection` and a `Manager`.
//! - `outbound`: a `Connection`, a `LocalNode` and a `Manager` dial a server made of chain-gang's
//!   codec, as chain-gang itself has no listener.
//! - `matrix`: the same requests to that server, each with its outcome and time bound.
//! - `deviations`: where chain-gang differs from the reference node. `README.md` lists them.

mod codec;
mod deviations;
mod dialer;
mod inbound;
mod matrix;
mod message_pairs;
mod outbound;
mod served_chain;
mod server;

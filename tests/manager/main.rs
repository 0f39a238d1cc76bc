//! The manager through its public interface: outbound and inbound peers, bans, configuration, the
//! store, attacks, shutdown.

mod attacks;
mod basics;
mod chain_sync;
mod configuration;
mod crowds;
mod discovery;
mod ends;
mod floods;
mod full_disk;
mod harness;
mod inbound_sockets;
#[cfg(feature = "dns")]
mod network;
mod policy;
mod served;
mod stores;
mod streams;
mod transactions;
mod two_streams;

//! The manager through its public interface: outbound and inbound peers, bans, configuration, the
//! store, attacks, shutdown.

mod attacks;
mod basics;
mod chain_sync;
mod configuration;
mod crowds;
mod discovery;
#[cfg(feature = "dns")]
#[path = "../support/dnsmasq.rs"]
mod dnsmasq_server;
mod ends;
#[path = "../support/exchanges.rs"]
mod exchanges;
mod floods;
mod full_disk;
mod harness;
#[path = "../support/header_server.rs"]
mod header_server;
#[path = "../support/limited_relay.rs"]
mod limited_relay;
#[cfg(feature = "dns")]
mod network;
#[path = "../support/payment.rs"]
mod payment;
mod policy;
#[path = "../support/private_network.rs"]
mod private_network;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod served;
mod stores;
mod stream_candidates;
mod streams;
mod transactions;
mod two_streams;
#[path = "../support/with_sources.rs"]
mod with_sources;

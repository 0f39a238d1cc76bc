//! The manager through its public face: peers dialled and let in, bans, configuration, the end.

mod attacks;
mod basics;
mod crowds;
mod floods;
mod harness;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod served;

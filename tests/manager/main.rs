//! The manager through its public face: peers dialled and let in, bans, configuration, the end.

mod basics;
mod harness;

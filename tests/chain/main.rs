//! The rules of block headers: real headers, each rule at its boundary, and a reference
//! implementation.

mod branch;
mod custom_networks;
mod header_chain;
mod miner;
mod reference;
mod rules;
mod side_chains;
mod starts;
mod vectors;

//! The examples as a person runs them: built, in processes of their own, against local nodes.

mod block;
mod broadcast;
mod crawl;
mod decode;
mod follow;
mod headers;
mod listen;
mod monitor;
mod monitor_managing;
#[path = "../support/payment.rs"]
mod payment;
mod ping;
mod servers;
mod tool;
mod usage;

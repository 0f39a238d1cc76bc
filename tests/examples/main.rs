//! The examples as a user runs them: built, in separate processes, with local nodes.

mod block;
mod broadcast;
mod conform;
mod crawl;
mod crawl_page;
mod decode;
mod documented;
mod follow;
mod headers;
mod listen;
mod mining;
mod monitor;
mod monitor_managing;
mod networks;
mod ping;
mod servers;
mod short;
mod teranode_peers;
mod tool;
mod usage;

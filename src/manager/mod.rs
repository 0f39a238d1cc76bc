//! Many peers: a program says which network and how many, and has them.

mod config;

pub use config::{ListenerConfig, ManagerConfig};

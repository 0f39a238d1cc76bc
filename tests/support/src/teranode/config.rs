//! Announcements, checks and timeouts of a scripted Teranode.

use std::net::SocketAddr;
use std::time::Duration;

use bsv_p2p::Network;
use bsv_p2p::wire::{BlockHeader, Services, Tx};

/// The user agents that a Teranode refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAgentRule {
    /// Agents that contain `ABC`, `Cash` or `Unlimited` are rejected.
    RejectForks,
    /// The address of an agent without `Bitcoin SV` and `BSV` is banned.
    BanOthers,
}

/// The order of the headers in an answer to `getheaders`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderOrder {
    /// Down to the common ancestor, without genesis.
    Descending,
    /// From the common ancestor on, with the ancestor.
    FromAncestor,
}

/// The order of the first two messages on a joined connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinOrder {
    VerackFirst,
    AckFirst,
}

/// The result of checking a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxVerdict {
    Accepted,
    /// A parent is unknown: the transaction is kept, and no message is sent.
    Orphan,
    Rejected,
}

/// Configuration of a scripted Teranode. The presets are [`v1`](Self::v1), [`v2`](Self::v2) and
/// [`v3`](Self::v3).
#[derive(Clone, Debug)]
pub struct TeranodeConfig {
    /// Network whose magic is used. The chain is a chain of regtest unless `headers` is set.
    pub network: Network,
    pub user_agent: String,
    pub services: Services,
    pub user_agent_rule: UserAgentRule,
    pub header_order: HeaderOrder,
    /// Whether `getheaders` is answered in headers-first mode.
    pub answers_while_syncing: bool,
    /// Whether answers to `getheaders` may contain genesis. Only V3 on regtest leaves it out.
    pub serves_genesis: bool,
    /// Whether there are second streams, and how a joined connection starts.
    pub streams: Option<JoinOrder>,
    /// A chain without blocks. The first header is genesis.
    pub headers: Vec<BlockHeader>,
    /// Number of blocks mined above genesis, if `headers` is empty.
    pub blocks: u32,
    pub known_addresses: Vec<SocketAddr>,
    /// Own address, which is part of answers to `getaddr`.
    pub own_address: Option<SocketAddr>,
    /// Whether transactions are not wanted.
    pub blocks_only: bool,
    /// Whether no transaction is announced.
    pub listen_only: bool,
    /// Fee rate of all transactions, in satoshi for 1,000 bytes.
    pub fee_rate: i64,
    pub judge_tx: fn(&Tx) -> TxVerdict,
    pub max_per_address: usize,
    pub max_peers: usize,
    pub handshake_timeout: Duration,
    /// Time between `verack` and `protoconf`.
    pub protoconf_delay: Duration,
    pub ping_interval: Duration,
    /// Time after which a silent peer is closed.
    pub idle_timeout: Duration,
    /// Time for an answer to its `getheaders`.
    pub headers_timeout: Duration,
    /// Time for an answer to its `getblocks` and `getdata`.
    pub data_timeout: Duration,
}

impl TeranodeConfig {
    /// Returns a Teranode of October 2025: no streams, headers in descending order, no user agent
    /// rule against other software.
    pub fn v1() -> Self {
        Self {
            user_agent: "/teranode-legacy-p2p:0.9.0(EB18446744073709.6)/".to_owned(),
            user_agent_rule: UserAgentRule::RejectForks,
            header_order: HeaderOrder::Descending,
            answers_while_syncing: false,
            ..Self::v2()
        }
    }

    /// Returns a Teranode of the end of 2025: no streams, headers from the common ancestor on, bans
    /// other user agents.
    pub fn v2() -> Self {
        Self {
            network: Network::Regtest,
            user_agent: "/teranode-legacy-p2p:0.11.0(EB18446744073709.6)/".to_owned(),
            services: Services(0x420),
            user_agent_rule: UserAgentRule::BanOthers,
            header_order: HeaderOrder::FromAncestor,
            answers_while_syncing: true,
            serves_genesis: true,
            streams: None,
            headers: Vec::new(),
            blocks: 0,
            known_addresses: Vec::new(),
            own_address: None,
            blocks_only: false,
            listen_only: false,
            fee_rate: 500,
            judge_tx: |_| TxVerdict::Accepted,
            max_per_address: 5,
            max_peers: 125,
            handshake_timeout: Duration::from_secs(30),
            protoconf_delay: Duration::from_millis(10),
            ping_interval: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(125),
            headers_timeout: Duration::from_secs(90),
            data_timeout: Duration::from_secs(300),
        }
    }

    /// Returns a Teranode of 2026: second streams, serves blocks, silent while it synchronizes.
    pub fn v3(order: JoinOrder) -> Self {
        Self {
            user_agent: "/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/".to_owned(),
            services: Services(0x21),
            answers_while_syncing: false,
            streams: Some(order),
            ..Self::v2()
        }
    }

    /// Sets the number of mined blocks.
    pub fn with_blocks(self, blocks: u32) -> Self {
        Self { blocks, ..self }
    }
}

//! The configuration of a local node.

use super::TransactionPool;
use crate::connection::ConnectionConfig;
use crate::session::{ConfigError, PeerProfile, UserAgentPolicy};
use crate::wire::Services;

/// The user agent of a local node that acts as a Teranode.
const TERANODE_USER_AGENT: &str = "/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/";

/// The configuration of a [`LocalNode`](super::LocalNode).
///
/// A [`ConnectionConfig`] converts into this type, with the defaults for everything else.
///
/// Struct expressions that end with `..LocalNodeConfig::default()` keep compiling when a field is
/// added.
///
/// ```
/// use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let any_port = ([127, 0, 0, 1], 0).into();
/// let teranode = LocalNode::start_at(any_port, LocalNodeConfig::teranode())?;
/// let with_filters = LocalNode::start_at(any_port, LocalNodeConfig::default().with_filters())?;
/// let config = LocalNodeConfig {
///     keep_orphans: true,
///     ..LocalNodeConfig::default()
/// };
/// let with_orphans = LocalNode::start_at(any_port, config)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNodeConfig {
    /// The configuration of all connections. Defaults to
    /// [`LocalNode::default_config`](super::LocalNode::default_config).
    pub connection: ConnectionConfig,
    /// The kind of node whose answers, announcements and penalties the local node copies. Defaults
    /// to [`PeerProfile::SvNode`]; any profile but [`PeerProfile::Teranode`] acts as an SV Node.
    ///
    /// The handshake and second streams follow `connection` for every profile. Use
    /// [`LocalNodeConfig::teranode`] to send the `version` of a Teranode as well.
    pub profile: PeerProfile,
    /// Whether a transaction of a peer waits for its parents. Defaults to `false`.
    ///
    /// If `true`, a transaction that spends an unknown transaction is kept, and its parents are
    /// requested, as by a node. It is accepted and announced when all of them are known. At most
    /// 10,000 such transactions and 32 MiB are kept. If `false`, parents do not matter, so that
    /// tests can use transactions with made-up inputs. Transactions of
    /// [`LocalNode::submit`](super::LocalNode::submit) are always accepted.
    pub keep_orphans: bool,
    /// The maximum size of all transactions in the pool, in bytes. Defaults to
    /// [`TransactionPool::DEFAULT_MAX_BYTES`].
    pub max_pool_bytes: u64,
    /// The maximum number of transactions in the pool. Defaults to
    /// [`TransactionPool::DEFAULT_MAX_TRANSACTIONS`].
    pub max_pool_transactions: usize,
}

impl LocalNodeConfig {
    /// Returns the configuration of a node that acts as a Teranode.
    ///
    /// Sets the profile. Its connections have the user agent of a Teranode, services 0x21, no
    /// `sendheaders` and no scores. The user agent of a peer must contain `Bitcoin SV` or `BSV`.
    ///
    /// The node differs from a Teranode in the following:
    ///
    /// - Handshake, second streams and messages that cannot be decoded are handled as by an SV
    ///   Node. A peer with another user agent is closed without a `reject` and is not banned. The
    ///   case of letters in the user agent is ignored.
    /// - An `inv` with other types than transaction and block closes the connection.
    /// - Answers to `getheaders` contain the genesis block if it is the common ancestor. A Teranode
    ///   leaves it out on regtest only.
    /// - Large `getdata` are not scored, and orphans do not expire.
    pub fn teranode() -> Self {
        let mut config = Self {
            profile: PeerProfile::Teranode,
            ..Self::default()
        };
        let session = &mut config.connection.session;
        session.user_agent = TERANODE_USER_AGENT.to_owned();
        // Another Teranode bans it.
        session.allow_rejected_user_agent = true;
        session.services = Services::NETWORK | Services::BITCOIN_CASH;
        session.send_headers = false;
        session.ban_threshold = u32::MAX;
        let required = ["*Bitcoin SV*", "*BSV*"].map(str::to_owned);
        session.user_agents = UserAgentPolicy::Require(required.into());
        config
    }

    /// Serves bloom filters: `filterload`, `filteradd`, `filterclear`, and announcements of
    /// matching transactions only. The node announces [`Services::BLOOM`].
    ///
    /// Without this, the sender of `filterload` or `filteradd` is disconnected, as by a node with
    /// default options. A Teranode ignores filters in any case.
    pub fn with_filters(mut self) -> Self {
        let services = &mut self.connection.session.services;
        *services |= Services::BLOOM;
        self
    }

    /// Checks that the values can work together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first invalid field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.connection.validate()
    }

    pub(super) fn serves_filters(&self) -> bool {
        let services = self.connection.session.services;
        services.contains(Services::BLOOM)
    }
}

impl Default for LocalNodeConfig {
    fn default() -> Self {
        super::LocalNode::default_config().into()
    }
}

impl From<ConnectionConfig> for LocalNodeConfig {
    fn from(connection: ConnectionConfig) -> Self {
        Self {
            connection,
            profile: PeerProfile::SvNode,
            keep_orphans: false,
            max_pool_bytes: TransactionPool::DEFAULT_MAX_BYTES,
            max_pool_transactions: TransactionPool::DEFAULT_MAX_TRANSACTIONS,
        }
    }
}

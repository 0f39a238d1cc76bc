//! The networks: magic, port, seeds, genesis block, rules and checkpoints.
//!
//! A [`Network`] identifies a network, and [`NetworkParams`] contains its parameters.
//! [`Network::ALL`] lists the six built-in networks. [`Network::custom`] creates a private network.

mod checkpoints;
mod magic;
mod params;
mod public;
#[cfg(feature = "serde")]
mod serde_repr;

pub use self::magic::Magic;
pub(crate) use self::params::is_network_name;
pub use self::params::{InvalidNetworkParams, NetworkParams};

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{BlockHash, BlockHeader, CompactTarget};

/// A Bitcoin SV network.
///
/// `Display` writes the [name](Self::name). `FromStr` knows the names of [`ALL`](Self::ALL) only,
/// because the name of a custom network does not define it. With the feature `serde`, a network of
/// `ALL` is written as its name, and a custom network as the whole table of its [`NetworkParams`].
///
/// ```
/// use bsv_p2p::Network;
///
/// assert_eq!(Network::Regtest.port(), 18444);
/// assert_eq!("stn".parse(), Ok(Network::Stn));
/// assert_eq!(Network::Teratestnet.to_string(), "teratestnet");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// The network that carries value.
    Mainnet,
    /// The public test network.
    Testnet,
    /// The scaling test network. It has the genesis block of testnet.
    ///
    /// SV Node uses the magic `fbcec4f9` here, which is that of [`Network::magic`]. Teranode uses
    /// `00000000`. Set [`ConnectionConfig::magic`](crate::ConnectionConfig::magic) to connect to
    /// Teranode on this network:
    ///
    /// ```
    /// use bsv_p2p::{ConnectionConfig, Magic, Network};
    ///
    /// let mut config = ConnectionConfig::new(Network::Stn);
    /// config.magic = Some(Magic([0; 4]));
    /// assert_eq!(config.magic().to_string(), "00000000");
    /// ```
    Stn,
    /// The rules of a private network in which anyone can mine: for tests.
    Regtest,
    /// The public test network of Teranode.
    Teratestnet,
    /// The scaling test network of Teranode.
    Tstn,
    /// A network that the caller defines. Created by [`Network::custom`].
    Custom(CustomNetwork),
}

/// A network that the caller defines. A clone shares its parameters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CustomNetwork(Arc<NetworkParams>);

impl Network {
    /// The built-in networks, mainnet first.
    pub const ALL: [Network; 6] = [
        Network::Mainnet,
        Network::Testnet,
        Network::Stn,
        Network::Regtest,
        Network::Teratestnet,
        Network::Tstn,
    ];

    /// Creates a network from its parameters.
    ///
    /// ```
    /// use bsv_p2p::{ConnectionConfig, Magic, Network, NetworkParams};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // All other parameters are those of regtest.
    /// let network = Network::custom(NetworkParams {
    ///     name: "lab".into(),
    ///     magic: Magic([0x6c, 0x61, 0x62, 0x31]),
    ///     port: 28444,
    ///     ..NetworkParams::default()
    /// })?;
    /// let config = ConnectionConfig::new(network);
    /// assert_eq!(config.magic().to_string(), "6c616231");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidNetworkParams`] names the first invalid field and its value. The fields of
    /// [`NetworkParams`] document what is valid.
    pub fn custom(params: NetworkParams) -> Result<Self, InvalidNetworkParams> {
        params.check_identity()?;
        params.check_content()?;
        Ok(Network::Custom(CustomNetwork(Arc::new(params))))
    }

    /// Returns all parameters.
    pub fn params(&self) -> &NetworkParams {
        match self {
            Network::Mainnet => &public::MAINNET,
            Network::Testnet => &public::TESTNET,
            Network::Stn => &public::STN,
            Network::Regtest => &public::REGTEST,
            Network::Teratestnet => &public::TERATESTNET,
            Network::Tstn => &public::TSTN,
            Network::Custom(CustomNetwork(params)) => params,
        }
    }

    /// Returns the name, such as `mainnet`.
    pub fn name(&self) -> &str {
        &self.params().name
    }

    /// Returns the four bytes that start every frame.
    pub fn magic(&self) -> Magic {
        self.params().magic
    }

    /// Returns the default TCP port of nodes.
    pub fn port(&self) -> u16 {
        self.params().port
    }

    /// Returns the DNS names that resolve to addresses of nodes.
    pub fn dns_seeds(&self) -> &[String] {
        &self.params().dns_seeds
    }

    /// Returns the hash of the first block that no other chain contains, or `None` if the network
    /// shares no history with other chains.
    ///
    /// On mainnet, this block has the height 556,767.
    ///
    /// Source: the license of Bitcoin SV node 1.2.2 (`LICENSE`), which defines the chain by this
    /// block.
    pub fn first_own_block(&self) -> Option<BlockHash> {
        self.params().first_own_block
    }

    /// Returns the header of the first block.
    ///
    /// Testnet and STN share theirs, so a genesis block alone does not identify a network.
    pub fn genesis_header(&self) -> BlockHeader {
        self.params().genesis_header
    }

    /// Returns the encoding of the only transaction of the first block.
    pub fn genesis_transaction(&self) -> &[u8] {
        &self.params().genesis_transaction
    }

    /// Returns the easiest target that a block may have.
    pub fn proof_of_work_limit(&self) -> CompactTarget {
        self.params().proof_of_work_limit
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for CustomNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|network| network.name() == name)
            .ok_or_else(|| UnknownNetwork(name.to_owned()))
    }
}

/// The error of a name that is not one of [`Network::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown network {0:?}: expected mainnet, testnet, stn, regtest, teratestnet or tstn")]
pub struct UnknownNetwork(pub String);

//! What tells the Bitcoin SV networks apart: magic, port, seeds, genesis, proof-of-work limit.
//!
//! Source of all values: Bitcoin SV node 1.2.2, `src/chainparams.cpp`.

use std::fmt;
use std::str::FromStr;

/// The block 000000000000000001d956714215d96ffc00e0afda4cd0a96c96f8d802b1662b.
const MAINNET_FIRST_OWN_BLOCK: [u8; 32] = [
    0x2b, 0x66, 0xb1, 0x02, 0xd8, 0xf8, 0x96, 0x6c, 0xa9, 0xd0, 0x4c, 0xda, 0xaf, 0xe0, 0x00, 0xfc,
    0x6f, 0xd9, 0x15, 0x42, 0x71, 0x56, 0xd9, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// One of the four public Bitcoin SV networks.
///
/// ```
/// use bsv_p2p::Network;
///
/// assert_eq!(Network::Regtest.port(), 18444);
/// assert_eq!("stn".parse(), Ok(Network::Stn));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Network {
    /// The network that carries value.
    Mainnet,
    /// The public test network.
    Testnet,
    /// The scaling test network.
    Stn,
    /// A private network in which anyone can mine: for tests.
    Regtest,
}

impl Network {
    /// Every network, mainnet first.
    pub const ALL: [Network; 4] = [
        Network::Mainnet,
        Network::Testnet,
        Network::Stn,
        Network::Regtest,
    ];

    /// The name used on the command line: `mainnet`, `testnet`, `stn` or `regtest`.
    pub const fn name(&self) -> &'static str {
        match self {
            Network::Mainnet => "mainnet",
            Network::Testnet => "testnet",
            Network::Stn => "stn",
            Network::Regtest => "regtest",
        }
    }

    /// The four bytes that start every frame.
    pub const fn magic(&self) -> Magic {
        match self {
            Network::Mainnet => Magic([0xe3, 0xe1, 0xf3, 0xe8]),
            Network::Testnet => Magic([0xf4, 0xe5, 0xf3, 0xf4]),
            Network::Stn => Magic([0xfb, 0xce, 0xc4, 0xf9]),
            Network::Regtest => Magic([0xda, 0xb5, 0xbf, 0xfa]),
        }
    }

    /// The TCP port on which nodes of this network listen unless told otherwise.
    pub const fn port(&self) -> u16 {
        match self {
            Network::Mainnet => 8333,
            Network::Testnet => 18333,
            Network::Stn => 9333,
            Network::Regtest => 18444,
        }
    }

    /// The DNS names that answer with addresses of nodes; regtest has none.
    pub const fn dns_seeds(&self) -> &'static [&'static str] {
        match self {
            Network::Mainnet => &[
                "seed.bitcoinsv.io",
                "seed.satoshisvision.network",
                "seed.bitcoinseed.directory",
            ],
            Network::Testnet => &[
                "testnet-seed.bitcoinsv.io",
                "testnet-seed.bitcoincloud.net",
                "testnet-seed.bitcoinseed.directory",
            ],
            Network::Stn => &["stn-seed.bitcoinsv.io", "stn-seed.bitcoinseed.directory"],
            Network::Regtest => &[],
        }
    }

    /// The hash of the first block that no other chain has, in the order in which it is sent, for networks that share their history with
    /// others: that of mainnet at height 556,767.
    ///
    /// Source: the licence of Bitcoin SV node 1.2.2 (`LICENSE`), which defines the chain by this block.
    pub const fn first_own_block(&self) -> Option<[u8; 32]> {
        match self {
            Network::Mainnet => Some(MAINNET_FIRST_OWN_BLOCK),
            Network::Testnet | Network::Stn | Network::Regtest => None,
        }
    }

    /// The 80 bytes of the first block's header.
    ///
    /// Testnet and STN share theirs, so a genesis block alone never identifies a network.
    pub const fn genesis_header(&self) -> [u8; 80] {
        let (time, bits, nonce): (u32, u32, u32) = match self {
            Network::Mainnet => (1_231_006_505, 0x1d00_ffff, 2_083_236_893),
            Network::Testnet | Network::Stn => (1_296_688_602, 0x1d00_ffff, 414_098_458),
            Network::Regtest => (1_296_688_602, 0x207f_ffff, 2),
        };
        let mut header = [0; 80];
        header[0] = 1; // version 1; the previous block's hash stays zero
        let tail = [time.to_le_bytes(), bits.to_le_bytes(), nonce.to_le_bytes()];
        let mut at = 0;
        while at < 32 {
            header[36 + at] = GENESIS_MERKLE_ROOT[at];
            at += 1;
        }
        at = 0;
        while at < 12 {
            header[68 + at] = tail[at / 4][at % 4];
            at += 1;
        }
        header
    }

    /// The only transaction of the first block, the same on every network.
    pub const fn genesis_transaction(&self) -> &'static [u8] {
        GENESIS_TRANSACTION
    }

    /// The easiest target that a block of this network may claim, in compact form.
    pub const fn proof_of_work_limit_bits(&self) -> u32 {
        match self {
            Network::Regtest => 0x207f_ffff,
            _ => 0x1d00_ffff,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
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

/// A name that is none of [`Network::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("network {0:?} is unknown: expected mainnet, testnet, stn or regtest")]
pub struct UnknownNetwork(pub String);

/// The four bytes that start every frame of a network, in the order they are sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Magic(
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::hex"))] pub [u8; 4],
);

impl Magic {
    /// The network that uses this magic, if it is one of the four public ones.
    pub fn network(self) -> Option<Network> {
        Network::ALL
            .into_iter()
            .find(|network| network.magic() == self)
    }
}

impl From<&Network> for Magic {
    fn from(network: &Network) -> Self {
        network.magic()
    }
}

impl fmt::Display for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

impl fmt::Debug for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Magic({self})")
    }
}

const GENESIS_MERKLE_ROOT: [u8; 32] = [
    0x3b, 0xa3, 0xed, 0xfd, 0x7a, 0x7b, 0x12, 0xb2, 0x7a, 0xc7, 0x2c, 0x3e, 0x67, 0x76, 0x8f, 0x61,
    0x7f, 0xc8, 0x1b, 0xc3, 0x88, 0x8a, 0x51, 0x32, 0x3a, 0x9f, 0xb8, 0xaa, 0x4b, 0x1e, 0x5e, 0x4a,
];

const GENESIS_TRANSACTION: &[u8] = b"\x01\0\0\0\
\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\
\x4d\x04\xff\xff\0\x1d\x01\x04\x45The Times 03/Jan/2009 Chancellor on brink of second bailout for banks\
\xff\xff\xff\xff\
\x01\0\xf2\x05\x2a\x01\0\0\0\
\x43\x41\x04\x67\x8a\xfd\xb0\xfe\x55\x48\x27\x19\x67\xf1\xa6\x71\x30\xb7\x10\x5c\xd6\xa8\x28\xe0\x39\x09\xa6\
\x79\x62\xe0\xea\x1f\x61\xde\xb6\x49\xf6\xbc\x3f\x4c\xef\x38\xc4\xf3\x55\x04\xe5\x1e\xc1\x12\xde\x5c\x38\x4d\
\xf7\xba\x0b\x8d\x57\x8a\x4c\x70\x2b\x6b\xf1\x1d\x5f\xac\
\0\0\0\0";

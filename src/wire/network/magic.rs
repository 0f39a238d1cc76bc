//! The first four bytes of a frame.

use std::fmt;

use super::Network;

/// The four bytes that start every frame of a network, in the order they are sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Magic(
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))] pub [u8; 4],
);

impl Magic {
    /// Returns the network of [`Network::ALL`] that uses this magic, if any.
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

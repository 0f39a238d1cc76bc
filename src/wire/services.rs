//! Service bits of a node.

use std::fmt;
use std::ops::BitOr;

/// The service bits of a `version` or an address (Bitcoin SV node, `src/protocol.h`).
///
/// Unknown bits are kept.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Services(pub u64);

impl Services {
    /// No services, as announced by a client.
    pub const NONE: Services = Services(0);
    /// The node serves full blocks.
    pub const NETWORK: Services = Services(1);
    /// The node answers queries for unspent outputs. No Bitcoin SV node implements it.
    pub const GETUTXO: Services = Services(1 << 1);
    /// The node serves bloom filters (`filterload` and related messages).
    pub const BLOOM: Services = Services(1 << 2);
    /// Defined by the node and never used.
    pub const XTHIN: Services = Services(1 << 4);
    /// Set by every Bitcoin SV node, and by nodes of Bitcoin Cash.
    pub const BITCOIN_CASH: Services = Services(1 << 5);

    /// Returns whether every bit of `wanted` is set.
    pub const fn contains(self, wanted: Services) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

impl BitOr for Services {
    type Output = Services;

    fn bitor(self, other: Services) -> Services {
        Services(self.0 | other.0)
    }
}

impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Services, &str); 5] = [
            (Services::NETWORK, "NETWORK"),
            (Services::GETUTXO, "GETUTXO"),
            (Services::BLOOM, "BLOOM"),
            (Services::XTHIN, "XTHIN"),
            (Services::BITCOIN_CASH, "BITCOIN_CASH"),
        ];
        let mut unnamed = self.0;
        let mut between = "";
        for (bit, name) in NAMES {
            if self.contains(bit) {
                write!(f, "{between}{name}")?;
                unnamed &= !bit.0;
                between = "|";
            }
        }
        if unnamed != 0 || self.0 == 0 {
            write!(f, "{between}{unnamed:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Services({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_bits_are_displayed_by_name() {
        assert_eq!(Services(0x21).to_string(), "NETWORK|BITCOIN_CASH");
        assert_eq!(Services(0x100_0001).to_string(), "NETWORK|0x1000000");
        assert_eq!(Services::NONE.to_string(), "0x0");
    }
}

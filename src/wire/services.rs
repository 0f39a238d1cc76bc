//! Service bits of a node.

use std::fmt;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Sub, SubAssign};
use std::str::FromStr;

use super::hash::shorten;

/// The service bits of a `version` or an address (Bitcoin SV node, `src/protocol.h`).
///
/// A set of bits with the operators `|` (union), `&` (intersection) and `-` (difference). Unknown
/// bits are kept. `Display` and `FromStr` use the names of the bits, separated by `|`. Unknown bits
/// are one hexadecimal number.
///
/// ```
/// use bsv_p2p::wire::Services;
///
/// let services: Services = "NETWORK|BITCOIN_CASH".parse()?;
/// assert_eq!(services, Services::NETWORK | Services::BITCOIN_CASH);
/// assert_eq!(services - Services::NETWORK, Services::BITCOIN_CASH);
/// # Ok::<(), bsv_p2p::wire::ParseServicesError>(())
/// ```
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

    /// The bits with a name, ascending.
    const NAMES: [(Services, &str); 5] = [
        (Services::NETWORK, "NETWORK"),
        (Services::GETUTXO, "GETUTXO"),
        (Services::BLOOM, "BLOOM"),
        (Services::XTHIN, "XTHIN"),
        (Services::BITCOIN_CASH, "BITCOIN_CASH"),
    ];

    /// Returns whether every bit of `required` is set.
    pub const fn contains(self, required: Services) -> bool {
        self.0 & required.0 == required.0
    }

    /// Returns whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the bits that are set in `self` or `other`.
    pub const fn union(self, other: Services) -> Services {
        Services(self.0 | other.0)
    }

    /// Returns the bits that are set in both `self` and `other`.
    pub const fn intersection(self, other: Services) -> Services {
        Services(self.0 & other.0)
    }

    /// Returns the bits that are set in `self` and not in `other`.
    pub const fn difference(self, other: Services) -> Services {
        Services(self.0 & !other.0)
    }

    /// Returns an iterator over the names of the set bits, ascending. Skips bits without a name.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let set = move |(bit, name)| self.contains(bit).then_some(name);
        Self::NAMES.into_iter().filter_map(set)
    }
}

/// The error of a string that does not list services.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid services {0:?}: expected names or a hexadecimal number, separated by `|`")]
pub struct ParseServicesError(pub String);

impl FromStr for Services {
    type Err = ParseServicesError;

    /// Parses the output of `Display`: names and numbers that start with `0x`, separated by `|`.
    fn from_str(text: &str) -> Result<Self, ParseServicesError> {
        text.split('|')
            .map(parse_part)
            .try_fold(Services::NONE, |all, part| Some(all | part?))
            .ok_or_else(|| ParseServicesError(shorten(text)))
    }
}

fn parse_part(part: &str) -> Option<Services> {
    if let Some((bit, _)) = Services::NAMES.iter().find(|(_, name)| *name == part) {
        return Some(*bit);
    }
    let digits = part.strip_prefix("0x")?;
    // `from_str_radix` accepts a sign.
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u64::from_str_radix(digits, 16).ok()?;
    is_number.then_some(Services(number))
}

impl BitOr for Services {
    type Output = Services;

    fn bitor(self, other: Services) -> Services {
        self.union(other)
    }
}

impl BitOrAssign for Services {
    fn bitor_assign(&mut self, other: Services) {
        *self = self.union(other);
    }
}

impl BitAnd for Services {
    type Output = Services;

    fn bitand(self, other: Services) -> Services {
        self.intersection(other)
    }
}

impl BitAndAssign for Services {
    fn bitand_assign(&mut self, other: Services) {
        *self = self.intersection(other);
    }
}

impl Sub for Services {
    type Output = Services;

    fn sub(self, other: Services) -> Services {
        self.difference(other)
    }
}

impl SubAssign for Services {
    fn sub_assign(&mut self, other: Services) {
        *self = self.difference(other);
    }
}

impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unnamed = self.0;
        let mut between = "";
        for (bit, name) in Self::NAMES {
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

    #[test]
    fn parse_is_the_inverse_of_display() {
        for bits in [0, 1, 0x21, 0x37, 0x100_0001, 0x8, 1 << 63, u64::MAX] {
            let services = Services(bits);
            assert_eq!(services.to_string().parse(), Ok(services), "{services}");
        }
    }

    #[test]
    fn parse_error_names_the_value() {
        let too_large = format!("0x1{:016x}", 0);
        for text in [
            "",
            "|",
            "network",
            "NETWORK|",
            "NETWORK BLOOM",
            "1",
            "0x",
            "0x+1",
            &too_large,
        ] {
            let error = text.parse::<Services>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn set_operations_act_on_bits() {
        let full = Services::NETWORK | Services::BLOOM;
        assert_eq!(full & Services::BLOOM, Services::BLOOM);
        assert_eq!(full - Services::BLOOM, Services::NETWORK);
        assert_eq!(Services::NETWORK - Services::BLOOM, Services::NETWORK);
        assert!(Services::NONE.is_empty() && !full.is_empty());
        let mut services = Services::NETWORK;
        services |= Services::BITCOIN_CASH | Services(1 << 40);
        assert!(services.names().eq(["NETWORK", "BITCOIN_CASH"]));
        services &= full;
        assert_eq!(services, Services::NETWORK);
        services -= Services::NETWORK;
        assert_eq!(services, Services::NONE);
    }
}

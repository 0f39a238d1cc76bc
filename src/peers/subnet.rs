//! IP subnets.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The number of bits of an IPv4-mapped IPv6 address that precede the IPv4 address.
const MAPPED_BITS: u8 = 96;

/// A single address, or all addresses with a common prefix: `203.0.113.7`, `10.0.0.0/8`,
/// `2001:db8::/32`.
///
/// IPv4-mapped IPv6 addresses and subnets (`::ffff:0:0/96`) are converted to IPv4. Otherwise, the
/// families are separate: `::/0` contains no IPv4 address.
///
/// [`Subnet::new`] and the parser reject an address with bits after the prefix, because the
/// intended range is ambiguous. The error contains the subnet of the address.
/// [`Subnet::containing`] clears these bits.
///
/// ```
/// use bsv_p2p::peers::Subnet;
///
/// let subnet: Subnet = "10.0.0.0/8".parse().unwrap();
/// assert!(subnet.contains("10.1.2.3".parse().unwrap()));
/// assert_eq!("::ffff:10.0.0.0/104".parse(), Ok(subnet));
/// assert_eq!(
///     "10.1.2.3/8".parse::<Subnet>().unwrap_err().to_string(),
///     "10.1.2.3/8 has bits set after its prefix: expected 10.0.0.0/8",
/// );
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Subnet {
    /// Canonical, without bits after the prefix.
    address: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// Creates the subnet of the addresses whose first `prefix` bits are those of `address`.
    ///
    /// # Errors
    ///
    /// - [`SubnetError::PrefixTooLong`] if `prefix` is more than 32 bits for IPv4, or 128 for IPv6.
    /// - [`SubnetError::HostBits`] if `address` has bits set after the prefix.
    /// - [`SubnetError::PartlyMapped`] if `address` is an IPv4-mapped address and `prefix` is less
    ///   than 96 bits.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, SubnetError> {
        let max = bits(address);
        if prefix > max {
            return Err(SubnetError::PrefixTooLong {
                address,
                got: prefix,
                max,
            });
        }
        let canonical = address.to_canonical();
        let prefix = if canonical == address {
            prefix
        } else {
            prefix
                .checked_sub(MAPPED_BITS)
                .ok_or(SubnetError::PartlyMapped { address, prefix })?
        };
        let subnet = Self::containing(canonical, prefix);
        if subnet.address != canonical {
            return Err(SubnetError::HostBits {
                address: canonical,
                prefix,
                expected: subnet,
            });
        }
        Ok(subnet)
    }

    /// Creates the subnet of `prefix` bits that contains `address`.
    ///
    /// Bits of a mapped IPv4 address are counted from the start of the IPv4 address. A `prefix`
    /// longer than the address is lowered to the length of the address.
    pub fn containing(address: IpAddr, prefix: u8) -> Self {
        let address = address.to_canonical();
        let prefix = prefix.min(bits(address));
        let address = match address {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
            }
        };
        Self { address, prefix }
    }

    /// Creates the subnet of a single address.
    pub fn single(address: IpAddr) -> Self {
        Self::containing(address, u8::MAX)
    }

    /// Returns the first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the length of the prefix in bits: up to 32 for IPv4, up to 128 for IPv6.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns whether the subnet is a single address.
    pub const fn is_single(&self) -> bool {
        self.prefix == bits(self.address)
    }

    /// Returns whether the subnet contains an address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.covers(&Self::single(address))
    }

    /// Returns whether the subnet contains every address of `other`.
    pub fn covers(&self, other: &Subnet) -> bool {
        self.prefix <= other.prefix && Self::containing(other.address, self.prefix) == *self
    }
}

/// Returns the length of an address of this family, in bits.
const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl From<IpAddr> for Subnet {
    fn from(address: IpAddr) -> Self {
        Self::single(address)
    }
}

impl fmt::Display for Subnet {
    /// Formats a single address without its prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subnet({self})")
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let address = |address: &str| {
            address
                .parse::<IpAddr>()
                .map_err(|error| SubnetError::Address {
                    got: shortened(address),
                    error,
                })
        };
        let Some((before, prefix)) = text.split_once('/') else {
            return address(text).map(Self::single);
        };
        // `u8::from_str` would accept a plus sign.
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or_else(|| SubnetError::Prefix(shortened(prefix)))?;
        Self::new(address(before)?, prefix)
    }
}

/// Returns the start of an invalid text, for an error.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The error of an invalid subnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubnetError {
    /// The part before the prefix is not an IP address.
    #[error("{got:?} is not an IP address")]
    Address {
        /// The start of the text that was found.
        got: String,
        /// The error of the address parser.
        #[source]
        error: AddrParseError,
    },
    /// The length of the prefix is not a number. Contains the start of the text.
    #[error("expected a prefix length in bits, got {0:?}")]
    Prefix(String),
    /// The prefix is longer than the address.
    #[error("expected a prefix of at most {max} bits for {address}, got {got}")]
    PrefixTooLong {
        /// The address.
        address: IpAddr,
        /// The length of the prefix in bits.
        got: u8,
        /// The length of the address in bits.
        max: u8,
    },
    /// Bits are set after the prefix.
    #[error("{address}/{prefix} has bits set after its prefix: expected {expected}")]
    HostBits {
        /// The address.
        address: IpAddr,
        /// The length of the prefix in bits.
        prefix: u8,
        /// The subnet that contains the address.
        expected: Subnet,
    },
    /// The address is an IPv4-mapped IPv6 address, and its prefix ends before the IPv4 address
    /// starts.
    #[error(
        "{address} is a mapped IPv4 address: expected a prefix of at least 96 bits, got {prefix}"
    )]
    PartlyMapped {
        /// The address.
        address: IpAddr,
        /// The length of the prefix in bits.
        prefix: u8,
    },
}

#[cfg(test)]
mod tests;

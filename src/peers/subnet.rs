//! A range of addresses that share their first bits.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// How many bits an IPv4-mapped IPv6 address has before the IPv4 address begins.
const MAPPED_BITS: u8 = 96;

/// A single address, or all that share their first bits: `203.0.113.7`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// IPv4 addresses that are mapped into IPv6 (`::ffff:0:0/96`) are IPv4 addresses here, alone and as subnets. Apart from that the two
/// families have nothing in common: `::/0` covers no IPv4 address.
///
/// Bits behind the prefix are refused by [`Subnet::new`] and when text is read, with the subnet that may have been meant: whoever
/// writes `10.1.2.3/8` may have meant more or less than that covers. [`Subnet::containing`] clears them.
///
/// ```
/// use bsv_p2p::peers::Subnet;
///
/// let subnet: Subnet = "10.0.0.0/8".parse().unwrap();
/// assert!(subnet.contains("10.1.2.3".parse().unwrap()));
/// assert_eq!("::ffff:10.0.0.0/104".parse(), Ok(subnet));
/// assert_eq!(
///     "10.1.2.3/8".parse::<Subnet>().unwrap_err().to_string(),
///     "10.1.2.3/8 has bits set behind its prefix: expected 10.0.0.0/8",
/// );
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Subnet {
    /// Canonical, with no bits behind the prefix.
    address: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// The addresses whose first `prefix` bits are those of `address`.
    ///
    /// # Errors
    ///
    /// [`SubnetError::PrefixTooLong`] above 32 bits for IPv4 and 128 for IPv6; [`SubnetError::HostBits`] if `address` has bits set
    /// behind the prefix; [`SubnetError::PartlyMapped`] for a mapped IPv4 address with fewer than 96 bits.
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

    /// The subnet of `prefix` bits in which `address` lies. More bits than the address has are all it has; the bits of a mapped
    /// IPv4 address count from the IPv4 address on.
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

    /// The subnet of one address.
    pub fn single(address: IpAddr) -> Self {
        Self::containing(address, u8::MAX)
    }

    /// The first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits all addresses share: up to 32 for IPv4, up to 128 for IPv6.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether this is one address.
    pub const fn is_single(&self) -> bool {
        self.prefix == bits(self.address)
    }

    /// Whether `address` lies in this.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.covers(&Self::single(address))
    }

    /// Whether every address of `other` lies in this.
    pub fn covers(&self, other: &Subnet) -> bool {
        self.prefix <= other.prefix && Self::containing(other.address, self.prefix) == *self
    }
}

/// How many bits an address of that family has.
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
    /// A single address is shown without its prefix.
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
        // `u8::from_str` takes a plus sign as well.
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or_else(|| SubnetError::Prefix(shortened(prefix)))?;
        Self::new(address(before)?, prefix)
    }
}

/// As much of a wrong text as a message needs.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// What is no subnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// What should be an address is none.
    #[error("{got:?} is no address: {error}")]
    Address {
        /// What is there instead, shortened.
        got: String,
        /// What is wrong with it.
        error: AddrParseError,
    },
    /// What should be the length of a prefix is no number of bits.
    #[error("{0:?} is no prefix length: expected a number of bits")]
    Prefix(String),
    /// The prefix is longer than the address.
    #[error("{address} cannot have a prefix of {got} bits: at most {max} are expected")]
    PrefixTooLong {
        /// The address.
        address: IpAddr,
        /// The prefix's length in bits.
        got: u8,
        /// How many bits the address has.
        max: u8,
    },
    /// Bits are set behind the prefix.
    #[error("{address}/{prefix} has bits set behind its prefix: expected {expected}")]
    HostBits {
        /// The address.
        address: IpAddr,
        /// The prefix's length in bits.
        prefix: u8,
        /// The subnet in which the address lies.
        expected: Subnet,
    },
    /// The prefix ends before the IPv4 address begins that is mapped into this IPv6 address.
    #[error("{address}/{prefix} is a mapped IPv4 address: at least 96 bits are expected")]
    PartlyMapped {
        /// The address.
        address: IpAddr,
        /// The prefix's length in bits.
        prefix: u8,
    },
}

#[cfg(test)]
mod tests;

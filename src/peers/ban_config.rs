//! How bans are made.

use std::time::Duration;

/// How bans are made, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct BanConfig {
    /// How many bans there may be, by hand and automatic together: 10,000 unless told otherwise, [`BanList::MAX_BANS`](super::BanList::MAX_BANS) at most.
    pub max_bans: usize,
    /// How long automatic bans last: 24 hours unless told otherwise, as at the node (`-bantime`).
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub automatic_duration: Duration,
    /// How many bits of an IPv6 address an automatic ban covers: 64 unless told otherwise, because that is what a single customer
    /// has at least. Of IPv4 it covers the one address.
    pub automatic_ipv6_prefix: u8,
}

impl Default for BanConfig {
    fn default() -> Self {
        Self {
            max_bans: 10_000,
            automatic_duration: Duration::from_secs(24 * 60 * 60),
            automatic_ipv6_prefix: 64,
        }
    }
}

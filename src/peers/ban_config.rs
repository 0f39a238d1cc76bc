//! The configuration of a ban list.

use std::time::Duration;

/// The capacity of a [`BanList`](super::BanList), and the extent of automatic bans.
///
/// Struct expressions that end with `..BanConfig::default()` keep compiling when a field is added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct BanConfig {
    /// The maximum number of manual and automatic bans together. Defaults to 10,000. The maximum is
    /// [`BanList::MAX_BANS`](super::BanList::MAX_BANS); higher values are lowered to it.
    pub max_bans: usize,
    /// The duration of automatic bans. Defaults to 24 hours, as in the node (`-bantime`).
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub automatic_duration: Duration,
    /// The prefix length of an automatic ban of an IPv6 address, in bits. Defaults to 64, the
    /// smallest network that a customer receives. Values above 128 count as 128. An automatic ban
    /// of an IPv4 address covers that address alone.
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

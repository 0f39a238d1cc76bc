//! Bans, the whitelist, and the precedence of their rules.

use std::net::IpAddr;
use std::time::SystemTime;

use super::subnet_map::SubnetMap;
use super::{Ban, BanConfig, BanError, BanOrigin, BanOutcome, BanReason, Subnet};

/// The bans and the whitelist.
///
/// **Precedence:** the whitelist overrides manual bans, and manual bans override automatic ones. An
/// address on the whitelist is never banned. If several bans of one kind cover an address, the ban
/// of the smallest subnet applies. A subnet can have a manual and an automatic ban at the same
/// time.
///
/// **Capacity:** the list is bounded. When it is full, a new ban evicts all bans that have ended,
/// or otherwise the automatic ban that started first. Manual bans are never evicted before their
/// end.
///
/// The list has no clock and no lock, and its methods do not block. [`BanList::is_banned`] is fast
/// enough for each accepted socket: it takes one table access for each prefix length in use. Most
/// other methods scan the whole list.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use bsv_p2p::peers::{BanConfig, BanList, BanReason};
///
/// let now = SystemTime::now();
/// let mut bans = BanList::new(BanConfig::default());
/// bans.ban("198.51.100.0/24".parse().unwrap(), BanReason::Manual, None, now).unwrap();
/// bans.ban_automatically("2001:db8::7".parse().unwrap(), BanReason::WrongMagic, now).unwrap();
///
/// assert!(bans.is_banned("198.51.100.9".parse().unwrap(), now).is_some());
/// let neighbor = "2001:db8::8".parse().unwrap();
/// assert_eq!(bans.is_banned(neighbor, now).unwrap().subnet, "2001:db8::/64".parse().unwrap());
/// assert!(bans.is_banned(neighbor, now + Duration::from_secs(86_400)).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct BanList {
    config: BanConfig,
    whitelist: SubnetMap<Subnet>,
    manual: SubnetMap<Ban>,
    automatic: SubnetMap<Ban>,
}

impl BanList {
    /// The maximum number of bans of any list.
    pub const MAX_BANS: usize = 50_000;

    /// Creates a list without bans and with an empty whitelist.
    pub fn new(config: BanConfig) -> Self {
        Self {
            config: BanConfig {
                max_bans: config.max_bans.min(Self::MAX_BANS),
                ..config
            },
            whitelist: SubnetMap::default(),
            manual: SubnetMap::default(),
            automatic: SubnetMap::default(),
        }
    }

    /// Returns the ban with the highest precedence that covers an address and is in force at `now`.
    pub fn is_banned(&self, address: IpAddr, now: SystemTime) -> Option<&Ban> {
        if self.whitelisted_by(address).is_some() {
            return None;
        }
        self.manual
            .covering(address)
            .chain(self.automatic.covering(address))
            .find(|ban| !ban.is_expired(now))
    }

    /// Returns the smallest subnet of the whitelist that contains an address.
    pub fn whitelisted_by(&self, address: IpAddr) -> Option<&Subnet> {
        self.whitelist.covering(address).next()
    }

    /// Replaces the whitelist. Bans of its addresses stay in the list, but have no effect while the
    /// addresses are on the whitelist.
    pub fn set_whitelist(&mut self, subnets: impl IntoIterator<Item = Subnet>) {
        self.whitelist = SubnetMap::default();
        for subnet in subnets {
            self.whitelist.insert(subnet, subnet);
        }
    }

    /// Adds a manual ban that ends at `until`, or a permanent one if `until` is `None`.
    ///
    /// Replaces the manual ban of exactly this subnet, if there is one.
    ///
    /// # Errors
    ///
    /// The list is unchanged after an error.
    ///
    /// - [`BanError::Expired`] if `until` is not later than `now`.
    /// - [`BanError::Full`] if the list is full of manual bans.
    pub fn ban(
        &mut self,
        subnet: Subnet,
        reason: BanReason,
        until: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<BanOutcome, BanError> {
        let ban = Ban {
            subnet,
            reason,
            by: BanOrigin::Manual,
            since: now,
            until,
        };
        if ban.is_expired(now) {
            let ago = until.and_then(|until| now.duration_since(until).ok());
            return Err(BanError::Expired {
                subnet,
                ago: ago.unwrap_or_default(),
            });
        }
        self.add(ban, now)
    }

    /// Adds an automatic ban of an IPv4 address, or of the subnet of an IPv6 address.
    ///
    /// The ban lasts for [`BanConfig::automatic_duration`]. It replaces an automatic ban of this
    /// subnet, but never ends earlier than that one.
    ///
    /// # Errors
    ///
    /// The list is unchanged after an error.
    ///
    /// - [`BanError::Whitelisted`] if the address is on the whitelist.
    /// - [`BanError::Full`] if the list is full of manual bans.
    pub fn ban_automatically(
        &mut self,
        address: IpAddr,
        reason: BanReason,
        now: SystemTime,
    ) -> Result<BanOutcome, BanError> {
        let address = address.to_canonical();
        if let Some(rule) = self.whitelisted_by(address) {
            return Err(BanError::Whitelisted {
                address,
                rule: *rule,
            });
        }
        let subnet = match address {
            IpAddr::V4(_) => Subnet::single(address),
            IpAddr::V6(_) => Subnet::containing(address, self.config.automatic_ipv6_prefix),
        };
        let mut until = self.end_of_automatic(now);
        if let Some(before) = self.automatic.get(&subnet) {
            until = before.until.zip(until).map(|(before, new)| before.max(new));
        }
        let ban = Ban {
            subnet,
            reason,
            by: BanOrigin::Automatic,
            since: now,
            until,
        };
        self.add(ban, now)
    }

    /// Removes the manual and the automatic ban of exactly this subnet, and returns them.
    ///
    /// Bans of larger and smaller subnets stay, so addresses may still be banned.
    /// [`BanList::unban_address`] removes all bans of an address.
    pub fn unban(&mut self, subnet: &Subnet) -> Vec<Ban> {
        let removed = [self.manual.remove(subnet), self.automatic.remove(subnet)];
        removed.into_iter().flatten().collect()
    }

    /// Removes all bans that cover an address, and returns them.
    ///
    /// All addresses of the removed subnets are affected, not only `address`.
    pub fn unban_address(&mut self, address: IpAddr) -> Vec<Ban> {
        let covering = self
            .manual
            .covering(address)
            .chain(self.automatic.covering(address));
        let removed: Vec<Ban> = covering.copied().collect();
        self.remove(&removed);
        removed
    }

    /// Removes the bans that have ended, and returns them. They have no effect even if they are not
    /// removed.
    pub fn expire(&mut self, now: SystemTime) -> Vec<Ban> {
        let expired: Vec<Ban> = self
            .iter()
            .filter(|ban| ban.is_expired(now))
            .copied()
            .collect();
        self.remove(&expired);
        expired
    }

    /// Returns the time at which the next ban ends, if there is one.
    pub fn next_expiry(&self) -> Option<SystemTime> {
        self.iter().filter_map(|ban| ban.until).min()
    }

    /// Returns all bans, first manual and then automatic ones, each sorted by subnet.
    ///
    /// Includes bans that have ended until [`BanList::expire`] removes them.
    pub fn list(&self) -> Vec<Ban> {
        let mut bans: Vec<Ban> = self.iter().copied().collect();
        bans.sort_by_key(|ban| (ban.by, ban.subnet));
        bans
    }

    /// Adds the bans of an earlier run, and returns those that exceed the capacity.
    ///
    /// Automatic bans are left out before manual ones, and older bans before newer ones. In
    /// addition:
    ///
    /// - Bans that have ended are ignored.
    /// - A ban that is already in the list is kept. If `bans` contains several bans of one subnet
    ///   and kind, the newest is used.
    /// - A start in the future, set by an incorrect clock, is replaced by `now`.
    /// - An automatic ban ends no later than an automatic ban that starts at `now`.
    pub fn load(&mut self, bans: impl IntoIterator<Item = Ban>, now: SystemTime) -> Vec<Ban> {
        let longest = self.end_of_automatic(now);
        let mut bans: Vec<Ban> = bans
            .into_iter()
            .filter(|ban| !ban.is_expired(now))
            .map(|mut ban| {
                ban.since = ban.since.min(now);
                if ban.by == BanOrigin::Automatic {
                    ban.until = ban.until.into_iter().chain(longest).min();
                }
                ban
            })
            .collect();
        bans.sort_by_key(|ban| (ban.by, std::cmp::Reverse(ban.since), ban.subnet));
        let mut left = Vec::new();
        for ban in bans {
            if self.has(&ban) {
                continue;
            }
            if self.len() < self.config.max_bans {
                self.insert(ban);
            } else {
                left.push(ban);
            }
        }
        left
    }

    /// Returns the number of bans that have not ended at `now`.
    pub fn active_count(&self, now: SystemTime) -> usize {
        self.iter().filter(|ban| !ban.is_expired(now)).count()
    }

    /// Returns the number of bans.
    pub fn len(&self) -> usize {
        self.manual.len() + self.automatic.len()
    }

    /// Returns whether there are no bans.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces the configuration, and returns the bans that were evicted because the capacity
    /// decreased.
    ///
    /// Bans that have ended are evicted first, then automatic bans in the order of their start.
    /// Manual bans are kept, even if they exceed the new capacity.
    pub fn set_config(&mut self, config: BanConfig, now: SystemTime) -> Vec<Ban> {
        self.config = BanConfig {
            max_bans: config.max_bans.min(Self::MAX_BANS),
            ..config
        };
        let mut gone = Vec::new();
        if self.len() > self.config.max_bans {
            gone = self.expire(now);
        }
        while self.len() > self.config.max_bans
            && let Ok(oldest) = self.oldest_automatic()
        {
            self.remove(&[oldest]);
            gone.push(oldest);
        }
        gone
    }

    /// Returns the configuration.
    pub fn config(&self) -> &BanConfig {
        &self.config
    }

    /// Returns the end of an automatic ban, or `None` if the clock cannot represent it.
    fn end_of_automatic(&self, now: SystemTime) -> Option<SystemTime> {
        now.checked_add(self.config.automatic_duration)
    }

    fn iter(&self) -> impl Iterator<Item = &Ban> {
        self.manual.values().chain(self.automatic.values())
    }

    fn add(&mut self, ban: Ban, now: SystemTime) -> Result<BanOutcome, BanError> {
        let mut evicted = Vec::new();
        if !self.has(&ban) && self.len() >= self.config.max_bans {
            evicted = self.expire(now);
            if evicted.is_empty() {
                evicted.push(self.oldest_automatic()?);
                self.remove(&evicted);
            }
        }
        self.insert(ban);
        Ok(BanOutcome { ban, evicted })
    }

    fn oldest_automatic(&self) -> Result<Ban, BanError> {
        let oldest = self
            .automatic
            .values()
            .min_by_key(|ban| (ban.since, ban.subnet));
        oldest.copied().ok_or(BanError::Full {
            limit: self.config.max_bans,
        })
    }

    fn map(&mut self, by: BanOrigin) -> &mut SubnetMap<Ban> {
        match by {
            BanOrigin::Manual => &mut self.manual,
            BanOrigin::Automatic => &mut self.automatic,
        }
    }

    fn has(&mut self, ban: &Ban) -> bool {
        self.map(ban.by).get(&ban.subnet).is_some()
    }

    fn insert(&mut self, ban: Ban) {
        self.map(ban.by).insert(ban.subnet, ban);
    }

    fn remove(&mut self, bans: &[Ban]) {
        for ban in bans {
            self.map(ban.by).remove(&ban.subnet);
        }
    }
}

#[cfg(test)]
mod tests;

//! Who is banned, who never is, and which rule wins.

use std::net::IpAddr;
use std::time::SystemTime;

use super::subnet_map::SubnetMap;
use super::{Ban, BanConfig, BanError, BanOrigin, BanOutcome, BanReason, Subnet};

/// Who is banned and who never is.
///
/// **The whitelist stands above bans by hand, and these above automatic ones.** An address on the whitelist is not banned
/// whatever else is said; of several bans by hand the one of the smallest subnet is told, and of automatic ones as well. A subnet may be
/// banned by hand and automatically at once: neither replaces the other.
///
/// The list is bounded. When it is full, bans that are over go first, then the automatic one that is longest in force; bans by hand that
/// are not over never go for another.
///
/// A plain value without clock or lock. [`BanList::is_banned`] is meant to be asked for each accepted socket: it costs one access to a
/// table for each length of prefix that is in use. The others go through the whole list.
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
/// let neighbour = "2001:db8::8".parse().unwrap();
/// assert_eq!(bans.is_banned(neighbour, now).unwrap().subnet, "2001:db8::/64".parse().unwrap());
/// assert!(bans.is_banned(neighbour, now + Duration::from_secs(86_400)).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct BanList {
    config: BanConfig,
    whitelist: SubnetMap<Subnet>,
    manual: SubnetMap<Ban>,
    automatic: SubnetMap<Ban>,
}

impl BanList {
    /// How many bans any list may have.
    pub const MAX_BANS: usize = 50_000;

    /// A list with no bans and an empty whitelist.
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

    /// The ban that keeps an address out, if one does: the rule of the highest precedence that is in force at `now`.
    pub fn is_banned(&self, address: IpAddr, now: SystemTime) -> Option<&Ban> {
        if self.whitelisted_by(address).is_some() {
            return None;
        }
        self.manual
            .covering(address)
            .chain(self.automatic.covering(address))
            .find(|ban| !ban.is_over(now))
    }

    /// Why an address is never banned: the smallest subnet of the whitelist in which it lies.
    pub fn whitelisted_by(&self, address: IpAddr) -> Option<&Subnet> {
        self.whitelist.covering(address).next()
    }

    /// Replaces the list of addresses that are never banned. Bans that cover them stay, and mean nothing for them meanwhile.
    pub fn set_whitelist(&mut self, subnets: impl IntoIterator<Item = Subnet>) {
        self.whitelist = SubnetMap::default();
        for subnet in subnets {
            self.whitelist.insert(subnet, subnet);
        }
    }

    /// Bans by hand, until then or for good. What was banned by hand for exactly this subnet is replaced.
    ///
    /// # Errors
    ///
    /// [`BanError::Over`] if the end is not later than `now`; [`BanError::Full`] if the list is full of bans by hand. Nothing is changed
    /// then.
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
        if ban.is_over(now) {
            let ago = until.and_then(|until| now.duration_since(until).ok());
            return Err(BanError::Over {
                subnet,
                ago: ago.unwrap_or_default(),
            });
        }
        self.add(ban, now)
    }

    /// Bans what a peer stands for, its IPv4 address or the subnet of its IPv6 address, for as long as automatic bans last. A ban that
    /// is there already gets the new reason, and ends no earlier than before.
    ///
    /// # Errors
    ///
    /// [`BanError::Whitelisted`] if the address is never banned; [`BanError::Full`] if the list is full of bans by hand. Nothing is
    /// changed then.
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

    /// Lifts what is banned for exactly this subnet, by hand and automatically. Bans of larger and of smaller subnets stay: an address
    /// may still be banned by one, see [`BanList::unban_covering`].
    pub fn unban(&mut self, subnet: &Subnet) -> Vec<Ban> {
        let lifted = [self.manual.remove(subnet), self.automatic.remove(subnet)];
        lifted.into_iter().flatten().collect()
    }

    /// Lifts every ban that covers an address, by hand and automatic, so that it is banned no more; so are then the other addresses
    /// of these subnets.
    pub fn unban_covering(&mut self, address: IpAddr) -> Vec<Ban> {
        let covering = self
            .manual
            .covering(address)
            .chain(self.automatic.covering(address));
        let lifted: Vec<Ban> = covering.copied().collect();
        self.take_out(&lifted);
        lifted
    }

    /// Takes out the bans that are over, and returns them. They mean nothing even before that.
    pub fn expire(&mut self, now: SystemTime) -> Vec<Ban> {
        let over: Vec<Ban> = self.all().filter(|ban| ban.is_over(now)).copied().collect();
        self.take_out(&over);
        over
    }

    /// When the next ban ends, if one does.
    pub fn next_expiry(&self) -> Option<SystemTime> {
        self.all().filter_map(|ban| ban.until).min()
    }

    /// All bans, those by hand first, by subnet; also those that are over, until [`BanList::expire`] has taken them out.
    pub fn list(&self) -> Vec<Ban> {
        let mut bans: Vec<Ban> = self.all().copied().collect();
        bans.sort_by_key(|ban| (ban.by, ban.subnet));
        bans
    }

    /// Takes in bans that were kept from an earlier run, and returns those for which there is no room: automatic ones before
    /// those by hand, the oldest first.
    ///
    /// What is over is left out. Of two bans of one subnet by the same the later counts, and one that is in the list already stays. A ban
    /// that began in the future, because the clock was wrong then, begins now; an automatic one lasts at most as long from now on as one
    /// that were made now.
    pub fn load(&mut self, bans: impl IntoIterator<Item = Ban>, now: SystemTime) -> Vec<Ban> {
        let longest = self.end_of_automatic(now);
        let mut bans: Vec<Ban> = bans
            .into_iter()
            .filter(|ban| !ban.is_over(now))
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
                self.put(ban);
            } else {
                left.push(ban);
            }
        }
        left
    }

    /// How many bans there are.
    pub fn len(&self) -> usize {
        self.manual.len() + self.automatic.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes the rules by which bans are made, and returns those that had to go because there may be fewer now: first those that are
    /// over, then automatic ones, the one longest in force first. Bans by hand stay.
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
            self.take_out(&[oldest]);
            gone.push(oldest);
        }
        gone
    }

    /// The rules by which bans are made.
    pub fn config(&self) -> &BanConfig {
        &self.config
    }

    /// A time that no clock can tell is no end.
    fn end_of_automatic(&self, now: SystemTime) -> Option<SystemTime> {
        now.checked_add(self.config.automatic_duration)
    }

    fn all(&self) -> impl Iterator<Item = &Ban> {
        self.manual.values().chain(self.automatic.values())
    }

    fn add(&mut self, ban: Ban, now: SystemTime) -> Result<BanOutcome, BanError> {
        let mut displaced = Vec::new();
        if !self.has(&ban) && self.len() >= self.config.max_bans {
            displaced = self.expire(now);
            if displaced.is_empty() {
                displaced.push(self.oldest_automatic()?);
                self.take_out(&displaced);
            }
        }
        self.put(ban);
        Ok(BanOutcome { ban, displaced })
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

    fn put(&mut self, ban: Ban) {
        self.map(ban.by).insert(ban.subnet, ban);
    }

    fn take_out(&mut self, bans: &[Ban]) {
        for ban in bans {
            self.map(ban.by).remove(&ban.subnet);
        }
    }
}

#[cfg(test)]
mod tests;

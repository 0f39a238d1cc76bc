//! One ban, and what making it has led to.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::{BanReason, Subnet};

/// Addresses that are refused, and why.
///
/// Times are those of the wall clock: what is left of a ban counts on while the program does not run. A clock that goes back makes it
/// last longer, one that goes forward ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Which addresses.
    pub subnet: Subnet,
    /// Why.
    pub reason: BanReason,
    /// By whom.
    pub by: BanOrigin,
    /// Since when.
    pub since: SystemTime,
    /// Until when: from then on it is over. `None` for ever.
    pub until: Option<SystemTime>,
}

impl Ban {
    /// Whether it is over.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// How long it goes on, zero if it is over, `None` for ever.
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        let left = |until: SystemTime| until.duration_since(now).unwrap_or_default();
        self.until.map(left)
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is banned {}", self.subnet, self.by)?;
        match self.remaining(self.since) {
            Some(duration) => write!(f, " for {} s", duration.as_secs())?,
            None => f.write_str(" for good")?,
        }
        write!(f, ": {}", self.reason)
    }
}

/// Who has banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BanOrigin {
    /// The program, or a person through it.
    Manual,
    /// The library, for what a peer did.
    Automatic,
}

impl fmt::Display for BanOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BanOrigin::Manual => "by hand",
            BanOrigin::Automatic => "automatically",
        })
    }
}

/// A ban that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanOutcome {
    /// The ban.
    pub ban: Ban,
    /// Those that had to go for it, because the list was full: all that were over, or else the automatic one longest in force.
    pub displaced: Vec<Ban>,
}

/// Why there is no ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// The address is one that is never banned.
    #[error("{address} is never banned: {rule} is on the whitelist")]
    Whitelisted {
        /// The address.
        address: IpAddr,
        /// What the whitelist says.
        rule: Subnet,
    },
    /// The list is full of bans by hand, which go for nothing.
    #[error("there are {limit} bans by hand, which is the limit of the list")]
    Full {
        /// How many bans there may be.
        limit: usize,
    },
    /// The ban would be over already.
    #[error("a ban of {subnet} that ended {ago:?} ago was asked for: expected one that ends later")]
    Over {
        /// Which addresses.
        subnet: Subnet,
        /// How long ago it would have ended.
        ago: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_in_force_until_its_end_and_not_at_it() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let (day, nanosecond) = (Duration::from_secs(86_400), Duration::from_nanos(1));
        let mut ban = Ban {
            subnet: "203.0.113.0/24".parse().unwrap(),
            reason: BanReason::Misbehaved { score: 100 },
            by: BanOrigin::Automatic,
            since,
            until: Some(since + day),
        };
        assert!(!ban.is_over(since + day - nanosecond));
        assert_eq!(ban.remaining(since + day - nanosecond), Some(nanosecond));
        assert!(ban.is_over(since + day));
        assert_eq!(ban.remaining(since + 2 * day), Some(Duration::ZERO));
        assert_eq!(
            ban.to_string(),
            "203.0.113.0/24 is banned automatically for 86400 s: its misbehaviour reached a score of 100"
        );

        (ban.until, ban.by, ban.reason) = (None, BanOrigin::Manual, BanReason::Manual);
        assert!(!ban.is_over(since + 10_000 * day));
        assert_eq!(ban.remaining(since), None);
        assert_eq!(
            ban.to_string(),
            "203.0.113.0/24 is banned by hand for good: somebody wanted it"
        );
    }
}

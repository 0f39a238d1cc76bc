//! A ban, and the result of adding one.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::{BanReason, Subnet};

/// A ban of a subnet.
///
/// A [`PeerStore`](super::PeerStore) creates bans from its records, so all fields are public and the
/// list of fields is complete.
///
/// Times are wall-clock times, so a ban continues to run while the process is stopped. If the clock
/// is set back, the ban lasts longer. If it is set forward, the ban ends earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The banned addresses.
    pub subnet: Subnet,
    /// The reason of the ban.
    pub reason: BanReason,
    /// Whether the ban is manual or automatic.
    pub by: BanOrigin,
    /// The start of the ban.
    pub since: SystemTime,
    /// The end of the ban, at which it is no longer in force. `None` for a permanent ban.
    pub until: Option<SystemTime>,
}

impl Ban {
    /// Returns whether the ban has ended.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Returns the remaining duration: zero if the ban has ended, `None` if it is permanent.
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        let left = |until: SystemTime| until.duration_since(now).unwrap_or_default();
        self.until.map(left)
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remaining(self.since) {
            Some(duration) => write!(f, "{} banned for {} s", self.subnet, duration.as_secs())?,
            None => write!(f, "{} banned permanently", self.subnet)?,
        }
        write!(f, " ({})", self.reason)
    }
}

/// The origin of a ban. There are no other origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BanOrigin {
    /// The application, or a user through it.
    Manual,
    /// This library, because of the behavior of a peer.
    Automatic,
}

impl fmt::Display for BanOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BanOrigin::Manual => "manual",
            BanOrigin::Automatic => "automatic",
        })
    }
}

/// The result of adding a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BanOutcome {
    /// The ban that was added.
    pub ban: Ban,
    /// The bans that were evicted because the list was full: all that have ended, or otherwise the
    /// automatic ban that started first.
    pub evicted: Vec<Ban>,
}

/// The error of a ban that cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BanError {
    /// The address is on the whitelist.
    #[error("{address} is on the whitelist ({rule})")]
    Whitelisted {
        /// The address.
        address: IpAddr,
        /// The entry of the whitelist that covers it.
        rule: Subnet,
    },
    /// The list is full of manual bans, which are never evicted before their end.
    #[error("limit of {limit} manual bans reached")]
    Full {
        /// The maximum number of bans.
        limit: usize,
    },
    /// The end of the ban is not in the future.
    #[error("ban of {subnet} already ended {ago:?} ago")]
    Expired {
        /// The addresses of the ban.
        subnet: Subnet,
        /// The time since the end of the ban.
        ago: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ban_ends_exactly_at_its_end() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let (day, nanosecond) = (Duration::from_secs(86_400), Duration::from_nanos(1));
        let mut ban = Ban {
            subnet: "203.0.113.0/24".parse().unwrap(),
            reason: BanReason::Misbehaved { score: 100 },
            by: BanOrigin::Automatic,
            since,
            until: Some(since + day),
        };
        assert!(!ban.is_expired(since + day - nanosecond));
        assert_eq!(ban.remaining(since + day - nanosecond), Some(nanosecond));
        assert!(ban.is_expired(since + day));
        assert_eq!(ban.remaining(since + 2 * day), Some(Duration::ZERO));
        assert_eq!(
            ban.to_string(),
            "203.0.113.0/24 banned for 86400 s (misbehavior score 100)"
        );

        (ban.until, ban.by, ban.reason) = (None, BanOrigin::Manual, BanReason::Manual);
        assert!(!ban.is_expired(since + 10_000 * day));
        assert_eq!(ban.remaining(since), None);
        assert_eq!(
            ban.to_string(),
            "203.0.113.0/24 banned permanently (manual ban)"
        );
    }
}

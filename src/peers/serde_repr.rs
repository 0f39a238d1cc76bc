//! The serde representation of peers and bans: in the store's file, and with the feature `serde` in
//! the application's formats.
//!
//! Times are whole seconds since 1970, rounded down. Addresses, subnets and ids are strings.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Ban, BanOrigin, BanReason, Peer, PeerId, PeerSource, PeerStatus, PeerVersion, Subnet, UserAgent,
};

/// A peer in the store's file.
#[derive(Serialize, Deserialize)]
pub(super) struct PeerEntry(#[serde(with = "PeerRepr")] pub(super) Peer);

/// A ban in the store's file.
#[derive(Serialize, Deserialize)]
pub(super) struct BanEntry(#[serde(with = "BanRepr")] pub(super) Ban);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Peer")]
struct PeerRepr {
    id: PeerId,
    #[serde(deserialize_with = "canonical")]
    ip_address: IpAddr,
    port: u16,
    #[serde(with = "PeerStatusRepr")]
    status: PeerStatus,
    #[serde(with = "time")]
    status_timestamp: SystemTime,
    #[serde(with = "optional_time")]
    banned_until: Option<SystemTime>,
    #[serde(with = "PeerSourceRepr")]
    source: PeerSource,
    manual: bool,
    services: u64,
    #[serde(with = "optional_version")]
    version: Option<PeerVersion>,
    #[serde(with = "time")]
    last_seen: SystemTime,
    #[serde(with = "optional_time")]
    last_tried: Option<SystemTime>,
    #[serde(with = "optional_time")]
    last_connected: Option<SystemTime>,
    failures: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PeerVersion")]
struct PeerVersionRepr {
    protocol_version: i32,
    #[serde(with = "user_agent")]
    user_agent: UserAgent,
    start_height: i32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PeerSource", rename_all = "snake_case")]
enum PeerSourceRepr {
    Manual,
    Seed,
    Peer(IpAddr),
    Inbound,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PeerStatus", rename_all = "snake_case")]
enum PeerStatusRepr {
    Unknown,
    Valid,
    Inaccessible,
    Banned(#[serde(with = "BanReasonRepr")] BanReason),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BanReason", rename_all = "snake_case")]
enum BanReasonRepr {
    Misbehaved { score: u32 },
    FrameTooLarge,
    WrongMagic,
    WrongChain,
    StreamAddressMismatch,
    Manual,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Ban")]
struct BanRepr {
    #[serde(with = "subnet")]
    subnet: Subnet,
    #[serde(with = "BanReasonRepr")]
    reason: BanReason,
    #[serde(with = "BanOriginRepr")]
    by: BanOrigin,
    #[serde(with = "time")]
    since: SystemTime,
    #[serde(with = "optional_time")]
    until: Option<SystemTime>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BanOrigin", rename_all = "snake_case")]
enum BanOriginRepr {
    Manual,
    Automatic,
}

/// Implements serde's traits for public types by the representations above.
macro_rules! impl_public_serde {
    ($($type:ty => $repr:path),* $(,)?) => {$(
        #[cfg(feature = "serde")]
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use $repr as repr;
                repr::serialize(self, serializer)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $repr as repr;
                repr::deserialize(deserializer)
            }
        }
    )*};
}

impl_public_serde! {
    Peer => PeerRepr,
    PeerVersion => PeerVersionRepr,
    PeerSource => PeerSourceRepr,
    PeerStatus => PeerStatusRepr,
    BanReason => BanReasonRepr,
    Ban => BanRepr,
    BanOrigin => BanOriginRepr,
    UserAgent => user_agent,
}

mod time {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        time: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        // Times before 1970 are incorrect, because no peer existed then.
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        serializer.serialize_u64(since.unwrap_or_default().as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        let seconds = u64::deserialize(deserializer)?;
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or_else(|| D::Error::custom(format_args!("time {seconds} is out of range")))
    }
}

mod optional_time {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct TimeRepr(#[serde(with = "time")] SystemTime);

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(TimeRepr).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<TimeRepr>::deserialize(deserializer)?.map(|TimeRepr(time)| time))
    }
}

mod optional_version {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct VersionRepr(#[serde(with = "PeerVersionRepr")] PeerVersion);

    pub(super) fn serialize<S: Serializer>(
        version: &Option<PeerVersion>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        version.clone().map(VersionRepr).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PeerVersion>, D::Error> {
        Ok(Option::<VersionRepr>::deserialize(deserializer)?.map(|VersionRepr(version)| version))
    }
}

mod subnet {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        subnet: &Subnet,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(subnet)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Subnet, D::Error> {
        deserializer.deserialize_str(StringVisitor("an address or a subnet", |text| {
            text.parse().ok()
        }))
    }
}

/// The bytes of a user agent, each as the character with that number. ASCII is unchanged.
mod user_agent {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        agent: &UserAgent,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let characters = agent.as_bytes().iter().copied().map(char::from);
        serializer.serialize_str(&characters.collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<UserAgent, D::Error> {
        deserializer.deserialize_str(StringVisitor(
            "at most 256 characters, none above U+00FF",
            |text| {
                // Bounds the work for an oversized string.
                let bytes = text.chars().take(UserAgent::MAX_LEN + 1).map(u8::try_from);
                let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().ok()?;
                (bytes.len() <= UserAgent::MAX_LEN).then(|| UserAgent::new(&bytes))
            },
        ))
    }
}

/// Visits a string: the expected content, and its parser. Errors do not quote the string, which may
/// be long.
struct StringVisitor<T>(&'static str, fn(&str) -> Option<T>);

impl<T> Visitor<'_> for StringVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).ok_or_else(|| E::custom(format_args!("expected {}", self.0)))
    }
}

fn canonical<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    IpAddr::deserialize(deserializer).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;

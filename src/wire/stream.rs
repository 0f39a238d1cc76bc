//! What the streams of an association are called, and the policies that fill them.

use std::fmt;

use super::DecodeError;

/// Which of a peer's TCP connections a stream is (Bitcoin SV node 1.2.2, `src/net/stream.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "UPPERCASE"))]
pub enum StreamType {
    /// No kind at all. A node takes it for a stream and is confused by it: not to be used.
    Unknown = 0,
    /// The first connection, on which `version` went.
    General = 1,
    /// The first further one: that of `BlockPriority`.
    Data1 = 2,
    /// The second further one.
    Data2 = 3,
    /// The third further one.
    Data3 = 4,
    /// The fourth further one.
    Data4 = 5,
}

impl StreamType {
    const ALL: [StreamType; 6] = [
        StreamType::Unknown,
        StreamType::General,
        StreamType::Data1,
        StreamType::Data2,
        StreamType::Data3,
        StreamType::Data4,
    ];

    /// The byte on the wire.
    pub const fn to_byte(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for StreamType {
    type Error = DecodeError;

    /// What a node calls "StreamType out of range" is [`DecodeError::BadValue`].
    fn try_from(byte: u8) -> Result<Self, DecodeError> {
        let known = Self::ALL.get(usize::from(byte)).copied();
        known.ok_or(DecodeError::BadValue {
            field: "stream type",
            expected: "0 to 5",
            got: u64::from(byte),
        })
    }
}

impl fmt::Display for StreamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamType::Unknown => "UNKNOWN",
            StreamType::General => "GENERAL",
            StreamType::Data1 => "DATA1",
            StreamType::Data2 => "DATA2",
            StreamType::Data3 => "DATA3",
            StreamType::Data4 => "DATA4",
        })
    }
}

/// What goes over which stream: the policies that a node knows (Bitcoin SV node 1.2.2, `src/net/stream_policy.h`).
///
/// A `protoconf` lists the names of those that its sender knows; `createstrm` may choose one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum StreamPolicy {
    /// Everything goes over [`StreamType::General`], and nothing else is read.
    Default,
    /// Blocks, headers and pings go over [`StreamType::Data1`], which is read first.
    BlockPriority,
}

impl StreamPolicy {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            StreamPolicy::Default => "Default",
            StreamPolicy::BlockPriority => "BlockPriority",
        }
    }

    /// The policy of that name, if there is one. Names have a case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [StreamPolicy::Default, StreamPolicy::BlockPriority]
            .into_iter()
            .find(|policy| policy.name().as_bytes() == name)
    }
}

impl fmt::Display for StreamPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_types_up_to_five_are_known_and_six_is_out_of_range() {
        for (byte, stream) in (0_u8..).zip(StreamType::ALL) {
            assert_eq!(StreamType::try_from(byte), Ok(stream));
            assert_eq!(stream.to_byte(), byte);
        }
        for byte in [6, 255] {
            let refused = DecodeError::BadValue {
                field: "stream type",
                expected: "0 to 5",
                got: u64::from(byte),
            };
            assert_eq!(StreamType::try_from(byte), Err(refused));
        }
    }

    #[test]
    fn policies_are_known_by_their_exact_names() {
        for policy in [StreamPolicy::Default, StreamPolicy::BlockPriority] {
            let name = policy.name().as_bytes();
            assert_eq!(StreamPolicy::from_name(name), Some(policy));
        }
        for name in ["", "default", "Default ", "BlockPriority,Default"] {
            assert_eq!(StreamPolicy::from_name(name.as_bytes()), None);
        }
    }
}

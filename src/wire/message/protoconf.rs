//! `protoconf`: the payload limit and stream policies of a peer.

use crate::wire::{Decode, DecodeError, Encode, Reader, WireString};

/// The configuration of the sender. It is sent once, after the `verack` of the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Protoconf {
    /// The maximum payload that the sender accepts, in bytes, for commands without their own limit.
    /// A node closes the connection if it is below 1,048,576.
    pub max_receive_payload: u32,
    /// The names of the supported stream policies, separated by commas, at most 650 bytes. `None`
    /// in the older form with one field.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            deserialize_with = "crate::wire::serde_repr::at_most::<{ Protoconf::MAX_STREAM_POLICIES as usize }, _, _>"
        )
    )]
    pub stream_policies: Option<WireString>,
}

impl Protoconf {
    const MAX_STREAM_POLICIES: u64 = 650;

    pub(super) fn validate(&self) -> Result<(), DecodeError> {
        let len = self.stream_policies.as_ref().map_or(0, WireString::len);
        DecodeError::unless_within("stream policies", Self::MAX_STREAM_POLICIES, len)
    }

    /// Returns the names of the stream policies, in the sender's order.
    pub fn policies(&self) -> impl Iterator<Item = &[u8]> {
        let list = self
            .stream_policies
            .as_ref()
            .map_or(&[][..], WireString::as_bytes);
        list.split(|byte| *byte == b',')
            .filter(|name| !name.is_empty())
    }
}

impl Decode for Protoconf {
    /// Ignores fields after the second.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let fields = reader.compact_size("number of fields")?;
        if fields == 0 {
            return Err(DecodeError::InvalidValue {
                field: "number of fields",
                expected: "at least 1",
                got: 0,
            });
        }
        let max_receive_payload = reader.u32("max receive payload")?;
        let stream_policies = if fields >= 2 {
            Some(WireString::decode(
                reader,
                "stream policies",
                Self::MAX_STREAM_POLICIES,
            )?)
        } else {
            None
        };
        Ok(Self {
            max_receive_payload,
            stream_policies,
        })
    }
}

impl Encode for Protoconf {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(if self.stream_policies.is_some() { 2 } else { 1 });
        out.extend_from_slice(&self.max_receive_payload.to_le_bytes());
        if let Some(policies) = &self.stream_policies {
            policies.encode(out);
        }
    }

    fn encoded_len(&self) -> u64 {
        5 + self.stream_policies.as_ref().map_or(0, Encode::encoded_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_listed_in_order() {
        let protoconf = Protoconf {
            max_receive_payload: 2_097_152,
            stream_policies: Some("BlockPriority,Default".into()),
        };
        let names: Vec<_> = protoconf.policies().collect();
        assert_eq!(names, [&b"BlockPriority"[..], b"Default"]);
        let none = Protoconf {
            stream_policies: None,
            ..protoconf
        };
        assert_eq!(none.policies().count(), 0);
    }

    #[test]
    fn message_without_fields_is_rejected() {
        assert!(matches!(
            Protoconf::decode_from(&[0]),
            Err(DecodeError::InvalidValue { got: 0, .. })
        ));
    }

    #[test]
    fn policies_over_650_bytes_are_rejected() {
        for (len, taken) in [(650, true), (651, false)] {
            let policies = Some("x".repeat(len).into());
            let protoconf = Protoconf {
                max_receive_payload: 1,
                stream_policies: policies,
            };
            assert_eq!(
                Protoconf::decode_from(&protoconf.encode_to_vec()).is_ok(),
                taken
            );
        }
    }
}

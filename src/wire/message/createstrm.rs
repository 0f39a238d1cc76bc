//! `createstrm` and `streamack`: additional TCP connections of a connected peer.

use crate::wire::{AssociationId, Decode, DecodeError, Encode, Reader, StreamType, WireString};

/// Requests that a new connection becomes an additional stream of a connected peer.
///
/// It is sent instead of `version`. The sender must wait for the [`StreamAck`] before it sends
/// another message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CreateStrm {
    /// The ID of the peer to which the connection belongs. A node rejects [`AssociationId::Null`].
    pub association_id: AssociationId,
    /// The requested type of the stream.
    pub stream_type: StreamType,
    /// The name of the [`StreamPolicy`](crate::wire::StreamPolicy) to use from now on, at most 64
    /// bytes. If it is empty, the policy does not change.
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "crate::wire::serde_repr::at_most::<{ CreateStrm::MAX_STREAM_POLICY as usize }, _, _>"
        )
    )]
    pub stream_policy: WireString,
}

/// Accepts a [`CreateStrm`] on the new connection, with the same ID and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamAck {
    /// The ID of the peer to which the connection belongs.
    pub association_id: AssociationId,
    /// The type of the stream.
    pub stream_type: StreamType,
}

impl CreateStrm {
    const MAX_STREAM_POLICY: u64 = 64;

    pub(super) fn validate(&self) -> Result<(), DecodeError> {
        let len = self.stream_policy.len();
        DecodeError::unless_within("stream policy", Self::MAX_STREAM_POLICY, len)
    }
}

impl Decode for CreateStrm {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let association_id = AssociationId::decode(reader)?;
        let stream_type = reader.u8("stream type")?;
        let stream_policy = WireString::decode(reader, "stream policy", Self::MAX_STREAM_POLICY)?;
        Ok(Self {
            association_id,
            // Checked last, as by the node: a truncated message is another error.
            stream_type: StreamType::try_from(stream_type)?,
            stream_policy,
        })
    }
}

impl Decode for StreamAck {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            association_id: AssociationId::decode(reader)?,
            stream_type: StreamType::try_from(reader.u8("stream type")?)?,
        })
    }
}

impl Encode for CreateStrm {
    fn encode(&self, out: &mut Vec<u8>) {
        self.association_id.encode(out);
        out.push(self.stream_type.to_byte());
        self.stream_policy.encode(out);
    }

    fn encoded_len(&self) -> u64 {
        self.association_id.encoded_len() + 1 + self.stream_policy.encoded_len()
    }
}

impl Encode for StreamAck {
    fn encode(&self, out: &mut Vec<u8>) {
        self.association_id.encode(out);
        out.push(self.stream_type.to_byte());
    }

    fn encoded_len(&self) -> u64 {
        self.association_id.encoded_len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::StreamPolicy;

    fn data1(stream_policy: WireString) -> CreateStrm {
        CreateStrm {
            association_id: AssociationId::Uuid(uuid::Uuid::from_u128(7)),
            stream_type: StreamType::Data1,
            stream_policy,
        }
    }

    #[test]
    fn policy_over_64_bytes_is_rejected() {
        for (len, taken) in [(0, true), (64, true), (65, false)] {
            let request = data1("x".repeat(len).into());
            let read = CreateStrm::decode_from(&request.encode_to_vec());
            assert_eq!(read.is_ok(), taken, "{len}");
        }
    }

    #[test]
    fn stream_type_above_five_is_rejected() {
        let mut request = data1(StreamPolicy::BlockPriority.name().into()).encode_to_vec();
        assert!(StreamAck::decode_from(&request).is_ok());
        request[18] = 6;
        let refused = DecodeError::InvalidValue {
            field: "stream type",
            expected: "0 to 5",
            got: 6,
        };
        assert_eq!(CreateStrm::decode_from(&request), Err(refused.clone()));
        assert_eq!(StreamAck::decode_from(&request), Err(refused));
        // If the policy is missing, the error is that of a truncated message.
        assert!(matches!(
            CreateStrm::decode_from(&request[..19]),
            Err(DecodeError::Truncated { .. })
        ));
    }
}

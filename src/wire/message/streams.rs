//! `createstrm` and `streamack`: a further TCP connection for a peer that is connected already.

use crate::wire::{AssociationId, Decode, DecodeError, Encode, Reader, StreamType, WireString};

/// The first and only message of a new connection before the peer's [`StreamAck`]: it takes the place of `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CreateStrm {
    /// Which peer the connection belongs to. A node refuses [`AssociationId::Null`].
    pub association_id: AssociationId,
    /// Which of its streams it is to be.
    pub stream_type: StreamType,
    /// The name of the policy that is to hold from now on, at most 64 bytes: see
    /// [`StreamPolicy`](crate::wire::StreamPolicy). Empty to leave it as it is.
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "crate::wire::serde_form::at_most::<{ CreateStrm::MAX_STREAM_POLICY as usize }, _, _>"
        )
    )]
    pub stream_policy: WireString,
}

/// Accepts a [`CreateStrm`], with the same ID and type, on the new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamAck {
    /// Which peer the connection belongs to.
    pub association_id: AssociationId,
    /// Which of its streams it now is.
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
            // Judged last, as at the node: a message that cannot be read at all is another fault.
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
    fn a_policy_of_64_bytes_is_taken_and_one_of_65_refused() {
        for (len, taken) in [(0, true), (64, true), (65, false)] {
            let request = data1("x".repeat(len).into());
            let read = CreateStrm::decode_from(&request.encode_to_vec());
            assert_eq!(read.is_ok(), taken, "{len}");
        }
    }

    #[test]
    fn a_stream_type_above_five_is_refused_in_a_request_and_in_its_answer() {
        let mut request = data1(StreamPolicy::BlockPriority.name().into()).encode_to_vec();
        assert!(StreamAck::decode_from(&request).is_ok());
        request[18] = 6;
        let refused = DecodeError::BadValue {
            field: "stream type",
            expected: "0 to 5",
            got: 6,
        };
        assert_eq!(CreateStrm::decode_from(&request), Err(refused.clone()));
        assert_eq!(StreamAck::decode_from(&request), Err(refused));
        // Where the policy is missing, that is the fault.
        assert!(matches!(
            CreateStrm::decode_from(&request[..19]),
            Err(DecodeError::Truncated { .. })
        ));
    }
}

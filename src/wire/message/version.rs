//! `version`: the description of a peer.

use crate::wire::{
    AssociationId, Decode, DecodeError, Encode, NetworkAddress, Reader, Services, WireString,
};

/// The maximum length of the user agent in a `version`, in bytes.
pub const MAX_USER_AGENT: u64 = 256;

/// The first message of a connection.
///
/// All fields after `receiver` are optional. They are decoded as long as bytes are left, for any
/// announced protocol version. A missing field is `None`. The methods return the value that the
/// node uses for a missing field. Source: Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`,
/// `ProcessVersionMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Version {
    /// The protocol version of the sender: 70016 for a current node.
    pub version: i32,
    /// The services of the sender.
    pub services: Services,
    /// The time of the sender's clock, in seconds since 1970.
    pub timestamp: i64,
    /// The address of the receiver, as seen by the sender.
    pub receiver: NetworkAddress,
    /// The address of the sender. The node leaves it empty.
    pub sender: Option<NetworkAddress>,
    /// A random number by which a node detects connections to itself. Encoded together with
    /// `sender`.
    pub nonce: Option<u64>,
    /// The user agent: the software of the sender, at most 256 bytes.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            deserialize_with = "crate::wire::serde_repr::at_most::<{ MAX_USER_AGENT as usize }, _, _>"
        )
    )]
    pub user_agent: Option<WireString>,
    /// The height of the sender's best block.
    pub start_height: Option<i32>,
    /// Whether the receiver should announce transactions.
    pub relay: Option<bool>,
    /// The association ID for additional streams.
    pub association_id: Option<AssociationId>,
}

impl Version {
    /// Returns the nonce, or 1 if it is missing.
    pub fn nonce_or_default(&self) -> u64 {
        self.nonce.unwrap_or(1)
    }

    /// Returns the height of the best block, or -1 if it is missing.
    pub fn start_height_or_default(&self) -> i32 {
        self.start_height.unwrap_or(-1)
    }

    /// Returns whether the receiver should announce transactions. A missing field means yes.
    pub fn relay_or_default(&self) -> bool {
        self.relay.unwrap_or(true)
    }

    pub(super) fn validate(&self) -> Result<(), DecodeError> {
        let len = self.user_agent.as_ref().map_or(0, WireString::len);
        DecodeError::unless_within("user agent", MAX_USER_AGENT, len)
    }

    /// Returns the number of optional groups to encode, so that no present field is lost.
    fn groups(&self) -> usize {
        let present = [
            self.sender.is_some() || self.nonce.is_some(),
            self.user_agent.is_some(),
            self.start_height.is_some(),
            self.relay.is_some(),
            self.association_id.is_some(),
        ];
        present
            .iter()
            .rposition(|present| *present)
            .map_or(0, |last| last + 1)
    }
}

impl Decode for Box<Version> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut version = Version {
            version: reader.i32("protocol version")?,
            services: Services(reader.u64("services")?),
            timestamp: reader.i64("timestamp")?,
            receiver: Decode::decode(reader)?,
            sender: None,
            nonce: None,
            user_agent: None,
            start_height: None,
            relay: None,
            association_id: None,
        };
        if !reader.is_empty() {
            version.sender = Some(Decode::decode(reader)?);
            version.nonce = Some(reader.u64("nonce")?);
        }
        if !reader.is_empty() {
            version.user_agent = Some(WireString::decode(reader, "user agent", MAX_USER_AGENT)?);
        }
        if !reader.is_empty() {
            version.start_height = Some(reader.i32("start height")?);
        }
        if !reader.is_empty() {
            version.relay = Some(reader.bool("relay")?);
        }
        if !reader.is_empty() {
            version.association_id = Some(AssociationId::decode(reader)?);
        }
        Ok(Box::new(version))
    }
}

impl Encode for Version {
    /// Optional fields are encoded up to the last one that is present. A gap before it is filled
    /// with the values that the node uses for missing fields.
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.services.0.to_le_bytes());
        out.extend_from_slice(&self.timestamp.to_le_bytes());
        self.receiver.encode(out);
        let groups = self.groups();
        if groups >= 1 {
            self.sender
                .unwrap_or(NetworkAddress::unspecified(Services::NONE))
                .encode(out);
            out.extend_from_slice(&self.nonce_or_default().to_le_bytes());
        }
        if groups >= 2 {
            match &self.user_agent {
                Some(user_agent) => user_agent.encode(out),
                None => out.push(0),
            }
        }
        if groups >= 3 {
            out.extend_from_slice(&self.start_height_or_default().to_le_bytes());
        }
        if groups >= 4 {
            out.push(u8::from(self.relay_or_default()));
        }
        if let Some(association_id) = &self.association_id {
            association_id.encode(out);
        }
    }

    fn encoded_len(&self) -> u64 {
        let groups = self.groups();
        let user_agent = self.user_agent.as_ref().map_or(1, Encode::encoded_len);
        let association_id = self.association_id.as_ref().map_or(0, Encode::encoded_len);
        let optional = [34, user_agent, 4, 1, association_id];
        46 + optional[..groups].iter().sum::<u64>()
    }
}

impl Encode for Box<Version> {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }

    fn encoded_len(&self) -> u64 {
        (**self).encoded_len()
    }
}

impl From<Version> for super::Message {
    fn from(version: Version) -> Self {
        super::Message::Version(Box::new(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Version {
        Version {
            version: 70016,
            services: Services(33),
            timestamp: 1_700_000_000,
            receiver: NetworkAddress::unspecified(Services::NONE),
            sender: Some(NetworkAddress::unspecified(Services(33))),
            nonce: Some(7),
            user_agent: Some("/a:1/".into()),
            start_height: Some(5),
            relay: Some(true),
            association_id: Some(AssociationId::Null),
        }
    }

    #[test]
    fn version_may_end_after_any_field() {
        let bytes = full().encode_to_vec();
        let ends = [46, 80, 86, 90, 91, 92];
        assert_eq!(bytes.len(), 92);
        for len in 0..=bytes.len() {
            let decoded = Box::<Version>::decode_from(&bytes[..len]);
            assert_eq!(decoded.is_ok(), ends.contains(&len), "{len} bytes");
            if let Ok(version) = decoded {
                assert_eq!(version.encode_to_vec(), &bytes[..len]);
                assert_eq!(version.encoded_len(), len as u64);
            }
        }
    }

    #[test]
    fn gap_is_filled_with_node_defaults() {
        let gap = Version {
            nonce: None,
            user_agent: None,
            relay: None,
            ..full()
        };
        let read = Box::<Version>::decode_from(&gap.encode_to_vec()).unwrap();
        assert_eq!(read.nonce, Some(1));
        assert_eq!(read.user_agent, Some("".into()));
        assert_eq!(read.relay, Some(true));
        assert_eq!(gap.encoded_len(), gap.encode_to_vec().len() as u64);
    }

    #[test]
    fn user_agent_over_256_bytes_is_rejected() {
        for (len, taken) in [(256, true), (257, false)] {
            let version = Version {
                user_agent: Some("x".repeat(len).into()),
                ..full()
            };
            assert_eq!(
                Box::<Version>::decode_from(&version.encode_to_vec()).is_ok(),
                taken
            );
        }
    }

    #[test]
    fn bytes_after_association_id_are_ignored() {
        let mut bytes = full().encode_to_vec();
        bytes.extend_from_slice(b"more");
        assert_eq!(*Box::<Version>::decode_from(&bytes).unwrap(), full());
    }
}

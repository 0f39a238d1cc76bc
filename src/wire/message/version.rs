//! `version`: who a peer is.

use crate::wire::{
    AssociationId, Decode, DecodeError, Encode, NetworkAddress, Reader, Services, WireString,
};

/// The longest user agent that a `version` may carry, in bytes.
pub const MAX_USER_AGENT: u64 = 256;

/// The first message of a connection.
///
/// Everything behind `receiver` is optional and read as long as bytes are left, whatever protocol version is
/// announced (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`, `ProcessVersionMessage`). What a peer left out is `None`; the
/// methods give what the node takes in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Version {
    /// The protocol version that the sender speaks: 70016 for a current node.
    pub version: i32,
    /// What the sender serves.
    pub services: Services,
    /// The sender's clock, in seconds since 1970.
    pub timestamp: i64,
    /// Where the sender thinks the receiver is.
    pub receiver: NetworkAddress,
    /// Where the sender is; the node leaves it empty.
    pub sender: Option<NetworkAddress>,
    /// A random number by which a node recognises itself. It comes together with `sender`.
    pub nonce: Option<u64>,
    /// The program that the sender runs, at most 256 bytes.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            deserialize_with = "crate::wire::serde_form::at_most::<{ MAX_USER_AGENT as usize }, _, _>"
        )
    )]
    pub user_agent: Option<WireString>,
    /// The height of the sender's best block.
    pub start_height: Option<i32>,
    /// Whether the sender wants transactions announced.
    pub relay: Option<bool>,
    /// The identity for further streams.
    pub association_id: Option<AssociationId>,
}

impl Version {
    /// The nonce, or 1 where there is none.
    pub fn nonce_or_default(&self) -> u64 {
        self.nonce.unwrap_or(1)
    }

    /// The best block's height, or -1 where there is none.
    pub fn start_height_or_default(&self) -> i32 {
        self.start_height.unwrap_or(-1)
    }

    /// Whether transactions are wanted: yes, where nothing is said.
    pub fn relay_or_default(&self) -> bool {
        self.relay.unwrap_or(true)
    }

    pub(super) fn validate(&self) -> Result<(), DecodeError> {
        let len = self.user_agent.as_ref().map_or(0, WireString::len);
        DecodeError::unless_within("user agent", MAX_USER_AGENT, len)
    }

    /// How many of the optional groups have to be written so that none of those present is lost.
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
    /// Optional fields are written up to the last one that is there; a gap before it is filled with what
    /// the node takes for a missing field.
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
    fn a_version_may_end_after_any_field_but_not_inside_one() {
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
    fn a_gap_is_filled_with_what_the_node_takes_for_a_missing_field() {
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
    fn a_user_agent_of_256_bytes_is_taken_and_one_of_257_refused() {
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
    fn bytes_behind_the_association_id_are_ignored() {
        let mut bytes = full().encode_to_vec();
        bytes.extend_from_slice(b"more");
        assert_eq!(*Box::<Version>::decode_from(&bytes).unwrap(), full());
    }
}

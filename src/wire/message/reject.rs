//! `reject`: the reason why a peer rejected a message.

use std::fmt;
use std::str::FromStr;

use crate::wire::hash::shorten;
use crate::wire::{Decode, DecodeError, Encode, Hash256, Reader, WireString};

/// Reports that a message was rejected, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "crate::wire::serde_repr::RejectDe")
)]
pub struct Reject {
    /// The command of the rejected message, at most 12 bytes.
    pub message: WireString,
    /// The class of the reason.
    pub code: RejectCode,
    /// The reason as text, at most 111 bytes.
    pub reason: WireString,
    /// The hash of the rejected transaction or block.
    ///
    /// Present only if the message was `tx` or `block`, and only if it could be decoded. With any
    /// other message the hash has no meaning and is not encoded.
    pub hash: Option<Hash256>,
}

impl Reject {
    const MAX_MESSAGE: u64 = 12;
    const MAX_REASON: u64 = 111;

    /// Creates a reject without a hash.
    pub fn new(message: &str, code: RejectCode, reason: &str) -> Self {
        Self {
            message: message.into(),
            code,
            reason: reason.into(),
            hash: None,
        }
    }

    /// Returns whether the rejected message has an object with a hash.
    fn names_object(&self) -> bool {
        self.message == "tx" || self.message == "block"
    }

    /// Returns the hash if it must be encoded.
    fn written_hash(&self) -> Option<&Hash256> {
        self.hash.as_ref().filter(|_| self.names_object())
    }

    pub(in crate::wire) fn validate(&self) -> Result<(), DecodeError> {
        DecodeError::unless_within("rejected message", Self::MAX_MESSAGE, self.message.len())?;
        DecodeError::unless_within("reject reason", Self::MAX_REASON, self.reason.len())?;
        if self.hash.is_some() && !self.names_object() {
            return Err(DecodeError::InvalidValue {
                field: "reject hash length",
                expected: "0 for messages other than tx and block",
                got: 32,
            });
        }
        Ok(())
    }
}

impl Decode for Reject {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut reject = Self {
            message: WireString::decode(reader, "rejected message", Self::MAX_MESSAGE)?,
            code: RejectCode(reader.u8("reject code")?),
            reason: WireString::decode(reader, "reject reason", Self::MAX_REASON)?,
            hash: None,
        };
        if reject.names_object() {
            reject.hash = Hash256::decode(reader).ok();
        }
        Ok(reject)
    }
}

impl Encode for Reject {
    fn encode(&self, out: &mut Vec<u8>) {
        self.message.encode(out);
        out.push(self.code.0);
        self.reason.encode(out);
        if let Some(hash) = self.written_hash() {
            hash.encode(out);
        }
    }

    fn encoded_len(&self) -> u64 {
        let hash = if self.written_hash().is_some() { 32 } else { 0 };
        self.message.encoded_len() + 1 + self.reason.encoded_len() + hash
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rejected ({}): {}",
            self.message, self.code, self.reason
        )
    }
}

/// The class of a [`Reject`].
///
/// `Display` and `FromStr` use the number in hexadecimal, and the name if there is one, such as
/// `0x10 invalid`. Source: Bitcoin SV node, `src/consensus/validation.h`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct RejectCode(pub u8);

impl RejectCode {
    /// The message could not be decoded.
    pub const MALFORMED: RejectCode = RejectCode(0x01);
    /// The content violates a rule.
    pub const INVALID: RejectCode = RejectCode(0x10);
    /// The protocol version is too old.
    pub const OBSOLETE: RejectCode = RejectCode(0x11);
    /// The message, or a conflicting one, was received before.
    pub const DUPLICATE: RejectCode = RejectCode(0x12);
    /// An output is frozen, but not by consensus.
    pub const SOFT_CONSENSUS_FREEZE: RejectCode = RejectCode(0x13);
    /// The node does not relay such objects. Also used for missing services.
    pub const NONSTANDARD: RejectCode = RejectCode(0x40);
    /// An output is too small.
    pub const DUST: RejectCode = RejectCode(0x41);
    /// The fee is too low.
    pub const INSUFFICIENT_FEE: RejectCode = RejectCode(0x42);
    /// The block contradicts a checkpoint.
    pub const CHECKPOINT: RejectCode = RejectCode(0x43);
    /// The node has no capacity. Also used by this library for connections above its limit.
    pub const TOO_BUSY: RejectCode = RejectCode(0x44);
    /// The sender exceeded a rate limit.
    pub const RATE_EXCEEDED: RejectCode = RejectCode(0x45);
    /// A stream could not be set up. Also used for every malformed `version`.
    pub const STREAM_SETUP: RejectCode = RejectCode(0x60);
    /// An authenticated connection could not be set up.
    pub const AUTHENTICATED_SETUP: RejectCode = RejectCode(0x70);

    /// Returns the name of the code, or `None` if it is unknown.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            RejectCode::MALFORMED => "malformed",
            RejectCode::INVALID => "invalid",
            RejectCode::OBSOLETE => "obsolete",
            RejectCode::DUPLICATE => "duplicate",
            RejectCode::SOFT_CONSENSUS_FREEZE => "soft consensus freeze",
            RejectCode::NONSTANDARD => "nonstandard",
            RejectCode::DUST => "dust",
            RejectCode::INSUFFICIENT_FEE => "insufficient fee",
            RejectCode::CHECKPOINT => "checkpoint",
            RejectCode::TOO_BUSY => "too busy",
            RejectCode::RATE_EXCEEDED => "rate exceeded",
            RejectCode::STREAM_SETUP => "stream setup",
            RejectCode::AUTHENTICATED_SETUP => "authenticated setup",
            _ => return None,
        })
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{:#04x} {name}", self.0),
            None => write!(f, "{:#04x}", self.0),
        }
    }
}

/// The error of a string that is not a [`RejectCode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid reject code {0:?}: expected `0x` and two digits, then the name of the code")]
pub struct ParseRejectCodeError(pub String);

impl FromStr for RejectCode {
    type Err = ParseRejectCodeError;

    /// Parses the output of `Display`. The name may be missing.
    fn from_str(text: &str) -> Result<Self, ParseRejectCodeError> {
        parse_code(text).ok_or_else(|| ParseRejectCodeError(shorten(text)))
    }
}

fn parse_code(text: &str) -> Option<RejectCode> {
    let (number, name) = match text.split_once(' ') {
        Some((number, name)) => (number, Some(name)),
        None => (text, None),
    };
    let digits = number
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 2)?;
    // `from_str_radix` accepts a sign.
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = RejectCode(u8::from_str_radix(digits, 16).ok()?);
    (is_number && (name.is_none() || name == code.name())).then_some(code)
}

impl fmt::Debug for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RejectCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_is_the_inverse_of_display() {
        for code in (0..=u8::MAX).map(RejectCode) {
            assert_eq!(code.to_string().parse(), Ok(code));
        }
        assert_eq!("0x10".parse(), Ok(RejectCode::INVALID));
    }

    #[test]
    fn parse_error_names_the_value() {
        for text in [
            "",
            "10",
            "0x1",
            "0x+1",
            "0x100",
            "0x10 dust",
            "0x99 x",
            "0x10 ",
            "invalid",
        ] {
            let error = text.parse::<RejectCode>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn hash_is_decoded_only_for_tx_and_block() {
        let tx = Reject {
            hash: Some(Hash256([7; 32])),
            ..Reject::new(
                "tx",
                RejectCode::INSUFFICIENT_FEE,
                "mempool min fee not met",
            )
        };
        let bytes = tx.encode_to_vec();
        assert_eq!(Reject::decode_from(&bytes), Ok(tx.clone()));
        let without = Reject { hash: None, ..tx };
        assert_eq!(Reject::decode_from(&bytes[..bytes.len() - 1]), Ok(without));

        let inv = Reject::new("inv", RejectCode::MALFORMED, "x");
        let mut bytes = inv.encode_to_vec();
        bytes.extend_from_slice(&[7; 32]);
        assert_eq!(Reject::decode_from(&bytes), Ok(inv));
    }

    #[test]
    fn hash_is_encoded_only_for_tx_and_block() {
        for (message, written) in [("tx", 32), ("block", 32), ("inv", 0), ("Tx", 0), ("", 0)] {
            let bare = Reject::new(message, RejectCode::INVALID, "x");
            let reject = Reject {
                hash: Some(Hash256([7; 32])),
                ..bare.clone()
            };
            let bytes = reject.encode_to_vec();
            assert_eq!(bytes.len(), bare.encode_to_vec().len() + written);
            assert_eq!(reject.encoded_len(), bytes.len() as u64);
            assert_eq!(reject.validate().is_ok(), written == 32, "{message}");
        }
    }

    #[test]
    fn overlong_command_or_reason_is_rejected() {
        for (message, reason, taken) in [(12, 111, true), (13, 0, false), (0, 112, false)] {
            let text = |len| "x".repeat(len);
            let reject = Reject::new(&text(message), RejectCode::INVALID, &text(reason));
            let read = Reject::decode_from(&reject.encode_to_vec());
            assert_eq!(read.map(drop), reject.validate());
            assert_eq!(reject.validate().is_ok(), taken);
        }
    }
}

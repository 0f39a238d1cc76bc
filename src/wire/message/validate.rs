//! Checks of public fields, which can hold values that must not be sent.

use super::{MAX_ADDRESSES, MAX_HEADERS, Message, check_entries};
use crate::wire::DecodeError;

impl Message {
    /// Checks that every receiver can decode the message.
    ///
    /// Types with public fields can hold values that must not be sent, for example too many
    /// entries. Decoded messages are always valid. The payload of [`Message::Unknown`] is not
    /// checked.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], as returned by the decoder of a receiver. It names the field.
    pub fn validate(&self) -> Result<(), DecodeError> {
        match self {
            Message::Version(version) => version.validate(),
            Message::Protoconf(protoconf) => protoconf.validate(),
            Message::CreateStrm(request) => request.validate(),
            Message::Authresp(answer) => answer.validate(),
            Message::RevokeMid(revokemid) => revokemid.validate(),
            Message::FilterAdd(add) => add.validate(),
            Message::Reject(reject) => reject.validate(),
            Message::Addr(addr) => {
                check_entries("addresses", MAX_ADDRESSES, addr.addresses.len() as u64)
            }
            Message::Headers(headers) => {
                check_entries("headers", MAX_HEADERS, headers.headers.len() as u64)
            }
            Message::HdrsEn(hdrsen) => check_entries("headers", MAX_HEADERS, hdrsen.len() as u64),
            _ => Ok(()),
        }
    }
}

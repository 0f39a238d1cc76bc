//! What a message may hold: types whose fields are public can hold more.

use super::{MAX_ADDRESSES, MAX_HEADERS, Message, check_entries};
use crate::wire::DecodeError;

impl Message {
    /// Checks that every receiver can read the message: types whose fields are public can hold more than may be sent.
    ///
    /// A message that was decoded is always right. One that is kept as it came ([`Message::Unknown`]) is not looked into.
    ///
    /// # Errors
    ///
    /// The [`DecodeError`] that a receiver would have, which names the field.
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

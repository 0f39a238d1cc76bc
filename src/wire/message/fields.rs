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
    pub fn check_fields(&self) -> Result<(), DecodeError> {
        match self {
            Message::Version(version) => version.check_fields(),
            Message::Protoconf(protoconf) => protoconf.check_fields(),
            Message::CreateStrm(request) => request.check_fields(),
            Message::Authresp(answer) => answer.check_fields(),
            Message::RevokeMid(revokemid) => revokemid.check_fields(),
            Message::FilterAdd(add) => add.check_fields(),
            Message::Reject(reject) => reject.check_fields(),
            Message::Addr(addr) => {
                check_entries("addresses", MAX_ADDRESSES, addr.addresses.len() as u64)
            }
            Message::Headers(headers) => {
                check_entries("headers", MAX_HEADERS, headers.headers.len() as u64)
            }
            Message::Hdrsen(hdrsen) => check_entries("headers", MAX_HEADERS, hdrsen.len() as u64),
            _ => Ok(()),
        }
    }
}

//! Checks of public fields, which can hold values that must not be sent.

use super::{MAX_ADDRESSES, MAX_HEADERS, Message, check_entries};
use crate::wire::DecodeError;

/// Implements [`Message::validate`].
pub(super) fn validate(message: &Message) -> Result<(), DecodeError> {
    match message {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{Addr, BlockHeader, Headers, NetworkAddress, Services, TimestampedAddress};

    #[test]
    fn collected_lists_above_limit_are_invalid() {
        let address = TimestampedAddress {
            time: 1,
            address: NetworkAddress::unspecified(Services::NETWORK),
        };
        let mut addr: Addr = std::iter::repeat_n(address, MAX_ADDRESSES).collect();
        assert_eq!(Message::from(addr.clone()).validate(), Ok(()));
        addr.extend([address]);
        let error = DecodeError::TooManyEntries {
            field: "addresses",
            limit: 1000,
            got: 1001,
        };
        assert_eq!(Message::from(addr).validate(), Err(error));

        let header = BlockHeader::genesis(&Network::Regtest);
        let mut headers = Headers::new(vec![header; MAX_HEADERS]);
        assert_eq!(Message::from(headers.clone()).validate(), Ok(()));
        headers.extend([header]);
        let error = DecodeError::TooManyEntries {
            field: "headers",
            limit: 2000,
            got: 2001,
        };
        assert_eq!(Message::from(headers).validate(), Err(error));
    }
}

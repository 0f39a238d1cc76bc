//! Parsing is the inverse of printing, and returns an error for other strings.

use std::fmt::{Debug, Display};
use std::net::IpAddr;
use std::str::FromStr;

use bsv_p2p::wire::{
    AssociationId, BlockHash, Command, Hash256, MerkleRoot, NetworkAddress, RejectCode, Services,
    StreamPolicy, Txid,
};
use proptest::prelude::*;

use crate::support::cases;

#[track_caller]
fn assert_round_trip<T>(value: T)
where
    T: Display + FromStr<Err: Debug + PartialEq> + PartialEq + Debug,
{
    assert_eq!(value.to_string().parse(), Ok(value));
}

/// Asserts that a string is parsed without a panic, and that the error names it.
#[track_caller]
fn assert_parsed_or_named<T: FromStr<Err: Display>>(text: &str) {
    if let Err(error) = text.parse::<T>() {
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn printed_values_are_parsed_back(
        number in any::<u64>(),
        byte in any::<u8>(),
        name in "[ -~]{0,12}",
        (ip, port) in any::<(IpAddr, u16)>(),
        id in any::<u128>(),
        hash in any::<[u8; 32]>(),
    ) {
        assert_round_trip(Services(number));
        assert_round_trip(RejectCode(byte));
        assert_round_trip(name.parse::<Command>().unwrap());
        assert_round_trip(NetworkAddress::new(Services(number), (ip, port).into()));
        assert_round_trip(AssociationId::from(uuid::Uuid::from_u128(id)));
        assert_round_trip(Hash256(hash));
        assert_round_trip(BlockHash(hash));
        assert_round_trip(Txid(hash));
        assert_round_trip(MerkleRoot(hash));
    }

    #[test]
    fn invalid_strings_are_named_in_the_error(text in "[ -~]{0,40}") {
        assert_parsed_or_named::<Services>(&text);
        assert_parsed_or_named::<RejectCode>(&text);
        assert_parsed_or_named::<NetworkAddress>(&text);
        assert_parsed_or_named::<AssociationId>(&text);
        assert_parsed_or_named::<StreamPolicy>(&text);
        assert_parsed_or_named::<Txid>(&text);
        prop_assert_eq!(text.parse::<Command>().is_ok(), text.len() <= 12);
    }
}

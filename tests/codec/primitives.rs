//! Every entry of `primitives.json`.

use std::collections::BTreeSet;

use bsv_p2p::wire::{
    AssociationId, Authresp, BlockHeader, Decode, DecodeError, Encode, NetworkAddress, Reader,
    Services, ShortIdKey, Txid, Version, compact_size_len, merkle_root, write_compact_size,
};

use crate::fields::address;
use crate::support::{bytes, list, text, vectors};

#[test]
fn every_group_of_the_file_is_tested() {
    let file = vectors("primitives.json");
    let here: BTreeSet<&str> = file
        .as_object()
        .unwrap()
        .keys()
        .map(|key| &key[..])
        .collect();
    let tested = [
        "association_id",
        "authresp_digest",
        "compact_block_short_ids",
        "compact_size",
        "compact_size_rejected_by_node",
        "merkle_root",
        "net_address_no_time",
        // Below the code: the hash is not public.
        "murmur3",
    ];
    let expected: BTreeSet<&str> = tested.into_iter().collect();
    assert_eq!(here, expected);
}

#[test]
fn compact_sizes_are_read_and_written() {
    let file = vectors("primitives.json");
    assert_eq!(list(&file["compact_size"]).len(), 10);
    for entry in list(&file["compact_size"]) {
        let (value, wire) = (entry["value"].as_u64().unwrap(), bytes(&entry["hex"]));
        let mut out = Vec::new();
        write_compact_size(value, &mut out);
        assert_eq!(out, wire, "{value}");
        assert_eq!(compact_size_len(value), wire.len() as u64, "{value}");
        let mut reader = Reader::new(&wire);
        assert_eq!(reader.compact_size("n"), Ok(value));
        assert!(reader.is_empty(), "{value}");
        for len in 0..wire.len() {
            let cut = Reader::new(&wire[..len]).compact_size("n");
            assert!(matches!(cut, Err(DecodeError::Truncated { .. })), "{value}");
        }
    }
}

#[test]
fn invalid_compact_sizes_are_rejected_with_same_reason() {
    let file = vectors("primitives.json");
    assert_eq!(list(&file["compact_size_rejected_by_node"]).len(), 6);
    for entry in list(&file["compact_size_rejected_by_node"]) {
        let refused = Reader::new(&bytes(&entry["hex"])).compact_size("n");
        let expected = match text(&entry["why"]) {
            "non-canonical" => matches!(refused, Err(DecodeError::NonCanonicalSize { .. })),
            "above 0xffffffff: size too large" => {
                matches!(refused, Err(DecodeError::SizeTooLarge { .. }))
            }
            other => panic!("{other}"),
        };
        assert!(expected, "{entry}: {refused:?}");
    }
}

#[test]
fn association_ids_are_read_and_written() {
    let file = vectors("primitives.json");
    assert_eq!(list(&file["association_id"]).len(), 2);
    for entry in list(&file["association_id"]) {
        let (wire, content) = (bytes(&entry["wire"]), bytes(&entry["hex"]));
        let id = match entry["uuid"].as_str() {
            Some(uuid) => {
                assert_eq!(content.len(), 17);
                AssociationId::Uuid(uuid.parse().unwrap())
            }
            None => AssociationId::Null,
        };
        assert_eq!(id.encode_to_vec(), wire);
        assert_eq!(id.encoded_len(), wire.len() as u64);
        // An ID is decoded at its position: the end of a `version`.
        let version = Version {
            version: 70016,
            services: Services::NONE,
            timestamp: 0,
            receiver: NetworkAddress::unspecified(Services::NONE),
            sender: None,
            nonce: None,
            user_agent: None,
            start_height: None,
            relay: Some(true),
            association_id: None,
        };
        let mut payload = version.encode_to_vec();
        payload.extend_from_slice(&wire);
        let read = Box::<Version>::decode_from(&payload).unwrap();
        assert_eq!(read.association_id, Some(id));
    }
}

#[test]
fn addresses_without_a_time_are_read_and_written() {
    let file = vectors("primitives.json");
    assert_eq!(list(&file["net_address_no_time"]).len(), 3);
    for entry in list(&file["net_address_no_time"]) {
        let wire = bytes(&entry["hex"]);
        let read = NetworkAddress::decode_from(&wire).unwrap();
        assert_eq!(address(&read), entry["fields"]);
        assert_eq!(read.encode_to_vec(), wire);
        assert_eq!(read.encoded_len(), wire.len() as u64);
    }
}

#[test]
fn merkle_root_derives_from_transactions() {
    let entry = &vectors("primitives.json")["merkle_root"];
    let txids = list(&entry["txids"])
        .iter()
        .map(|txid| text(txid).parse::<Txid>().unwrap());
    let (root, mutated) = merkle_root(txids);
    assert_eq!(root.to_string(), text(&entry["root"]));
    assert!(!mutated);
}

#[test]
fn authresp_digest_is_double_sha256() {
    let entry = &vectors("primitives.json")["authresp_digest"];
    let challenge = bytes(&entry["challenge"]).try_into().unwrap();
    let answer = Authresp {
        public_key: [2; 33],
        client_nonce: entry["client_nonce"].as_u64().unwrap(),
        signature: vec![],
    };
    assert_eq!(
        hex::encode(answer.digest(&challenge)),
        text(&entry["sha256d"])
    );
}

#[test]
fn short_ids_derive_from_header_and_nonce() {
    let entry = &vectors("primitives.json")["compact_block_short_ids"];
    let header = BlockHeader::decode_from(&bytes(&entry["header"])).unwrap();
    let key = ShortIdKey::new(&header, entry["nonce"].as_u64().unwrap());
    assert_eq!(Some(key.k0), entry["k0"].as_u64());
    assert_eq!(Some(key.k1), entry["k1"].as_u64());
    assert_eq!(list(&entry["txids"]).len(), 4);
    for (txid, short_id) in list(&entry["txids"]).iter().zip(list(&entry["short_ids"])) {
        let txid = text(txid).parse::<Txid>().unwrap();
        assert_eq!(Some(key.short_id(&txid)), short_id.as_u64());
    }
}

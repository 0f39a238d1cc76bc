//! `inv`, `getdata` and `notfound`: three messages with the same layout.

use super::list_message::impl_list_message;
use super::{decode_entries, encode_list, list_len};
use crate::wire::{BlockHash, Decode, DecodeError, Encode, Inventory, Reader, Txid};

macro_rules! inventory_lists {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name {
            /// The objects, 36 bytes each.
            pub inventory: Vec<Inventory>,
        }

        impl_list_message!($name { inventory: Inventory });

        impl $name {
            /// Creates a message that lists transactions, in order.
            pub fn transactions(txids: impl IntoIterator<Item = Txid>) -> Self {
                txids.into_iter().map(Inventory::Tx).collect()
            }

            /// Splits entries into messages with at most `limit` entries each, in order.
            ///
            /// [`Session::max_inventory`](crate::session::Session::max_inventory) returns the limit
            /// of a peer. A limit of 0 counts as 1. If there are no entries, there are no messages.
            pub fn split(
                entries: &[Inventory],
                limit: usize,
            ) -> impl ExactSizeIterator<Item = Self> + Clone + '_ {
                entries
                    .chunks(limit.max(1))
                    .map(|entries| Self::from(entries.to_vec()))
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                decode_entries(reader, "inventory", Inventory::from_bytes).map(|inventory| Self { inventory })
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                encode_list(&self.inventory, out);
            }

            fn encoded_len(&self) -> u64 {
                list_len(self.inventory.len(), Inventory::LEN as u64)
            }
        }
    )+};
}

inventory_lists! {
    /// Announces objects that the sender has.
    ///
    /// A node closes the connection for types other than transaction and block.
    ///
    /// ```
    /// use bsv_p2p::wire::{Inv, Inventory, Txid};
    ///
    /// let txids = [Txid([1; 32]), Txid([2; 32])];
    /// let inv = Inv::transactions(txids);
    /// let announced = inv.iter().filter_map(|entry| match entry {
    ///     Inventory::Tx(txid) => Some(*txid),
    ///     _ => None,
    /// });
    /// assert!(announced.eq(txids));
    /// ```
    Inv;
    /// Requests objects.
    ///
    /// A node does not answer a request for a block that it does not have.
    ///
    /// ```
    /// use bsv_p2p::wire::{GetData, Inv, Txid};
    ///
    /// let announced = Inv::transactions([Txid([1; 32]); 3]);
    /// let requests: Vec<GetData> = GetData::split(&announced.inventory, 2).collect();
    /// assert_eq!(requests.len(), 2);
    /// assert_eq!(requests[1], GetData::transactions([Txid([1; 32])]));
    /// ```
    GetData;
    /// Lists transactions of a `getdata` that the sender does not have. Blocks are never listed.
    NotFound;
}

impl Inv {
    /// Creates a message that announces blocks, in order.
    pub fn blocks(hashes: impl IntoIterator<Item = BlockHash>) -> Self {
        hashes.into_iter().map(Inventory::Block).collect()
    }
}

impl GetData {
    /// Creates a message that requests blocks, in order.
    pub fn blocks(hashes: impl IntoIterator<Item = BlockHash>) -> Self {
        hashes.into_iter().map(Inventory::Block).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, Txid, inventory_limit};

    #[test]
    fn split_limits_entries_per_message() {
        let limit = inventory_limit(1_048_576);
        let entry = |number: usize| {
            let mut txid = Txid::ZERO;
            txid.0[..8].copy_from_slice(&number.to_le_bytes());
            Inventory::Tx(txid)
        };
        let entries: Vec<_> = (0..2 * limit + 1).map(entry).collect();
        for (count, expected) in [
            (0, &[][..]),
            (1, &[1]),
            (limit, &[limit]),
            (limit + 1, &[limit, 1]),
            (2 * limit, &[limit, limit]),
            (2 * limit + 1, &[limit, limit, 1]),
        ] {
            let messages = GetData::split(&entries[..count], limit);
            assert_eq!(messages.len(), expected.len());
            let sizes = messages.clone().map(|message| message.inventory.len());
            assert_eq!(sizes.collect::<Vec<_>>(), expected);
            assert!(
                messages
                    .clone()
                    .all(|message| { Message::from(message).encoded_len() <= 1_048_576 })
            );
            let again: Vec<_> = messages.flat_map(|message| message.inventory).collect();
            assert_eq!(again, entries[..count]);
        }
        assert_eq!(Inv::split(&entries[..3], 0).len(), 3);
    }

    #[test]
    fn constructors_set_the_inventory_type() {
        let (txid, block) = (Txid([1; 32]), BlockHash([2; 32]));
        assert_eq!(Inv::transactions([txid]).inventory, [Inventory::Tx(txid)]);
        assert_eq!(Inv::blocks([block]).inventory, [Inventory::Block(block)]);
        let requests = [
            GetData::transactions([txid, txid]),
            GetData::blocks([block, block]),
        ];
        let expected = [Inventory::Tx(txid), Inventory::Block(block)];
        for (request, entry) in requests.into_iter().zip(expected) {
            assert_eq!(request, GetData::new(vec![entry; 2]));
        }
        let missing = NotFound::transactions(vec![txid]);
        assert_eq!(missing, NotFound::new(vec![Inventory::Tx(txid)]));
    }

    #[test]
    fn lists_convert_to_and_from_iterators() {
        let entries = [
            Inventory::Tx(Txid([1; 32])),
            Inventory::Block(BlockHash([2; 32])),
        ];
        let mut inv: Inv = entries.into_iter().collect();
        assert_eq!((inv.len(), inv.is_empty()), (2, false));
        assert!((&inv).into_iter().eq(&entries) && inv.iter().eq(&entries));
        inv.extend(entries);
        assert!(inv.into_iter().eq([entries, entries].concat()));
        assert!(GetData::default().is_empty());
    }
}

//! `inv`, `getdata` and `notfound`: three messages with the same layout.

use super::{decode_entries, encode_list, list_len};
use crate::wire::{Decode, DecodeError, Encode, Inventory, Reader};

macro_rules! inventory_lists {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name {
            /// The objects, 36 bytes each.
            pub inventory: Vec<Inventory>,
        }

        impl $name {
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

        impl From<Vec<Inventory>> for $name {
            fn from(inventory: Vec<Inventory>) -> Self {
                Self { inventory }
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
    /// let inv = Inv::from(txids.map(Inventory::Tx).to_vec());
    /// let announced = inv.inventory.iter().filter_map(|entry| match entry {
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
    /// use bsv_p2p::wire::{GetData, Inv, Inventory, Txid};
    ///
    /// let announced = Inv::from(vec![Inventory::Tx(Txid([1; 32])); 3]);
    /// let requests: Vec<GetData> = GetData::split(&announced.inventory, 2).collect();
    /// assert_eq!(requests.len(), 2);
    /// assert_eq!(requests[1].inventory, [Inventory::Tx(Txid([1; 32]))]);
    /// ```
    GetData;
    /// Lists transactions of a `getdata` that the sender does not have. Blocks are never listed.
    NotFound;
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
}

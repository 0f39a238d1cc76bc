//! `inv`, `getdata` and `notfound`: three messages with one layout.

use super::{decode_entries, encode_list, list_len};
use crate::wire::{Decode, DecodeError, Encode, Inventory, Reader};

macro_rules! inventory_lists {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            /// The objects, 36 bytes each.
            pub inventory: Vec<Inventory>,
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
    /// What the sender has. A node closes the connection for types other than transaction and block.
    Inv;
    /// Asks for objects. A node says nothing at all about a block that it does not have.
    GetData;
    /// Transactions of a `getdata` that the sender does not have; blocks are never listed.
    NotFound;
}

//! Constructors and conversions of messages that are a list.

/// Implements the conversions between a message and the list in its only field.
macro_rules! impl_list_message {
    ($name:ident { $field:ident: $item:ty }) => {
        impl $name {
            /// Creates a message from its entries, in order.
            ///
            /// The number of entries is not checked; see
            /// [`Message::validate`](crate::wire::Message::validate).
            pub const fn new($field: Vec<$item>) -> Self {
                Self { $field }
            }

            /// Returns the number of entries.
            pub const fn len(&self) -> usize {
                self.$field.len()
            }

            /// Returns whether there are no entries.
            pub const fn is_empty(&self) -> bool {
                self.$field.is_empty()
            }

            /// Returns an iterator over the entries, in order.
            pub fn iter(&self) -> std::slice::Iter<'_, $item> {
                self.$field.iter()
            }
        }

        impl From<Vec<$item>> for $name {
            fn from($field: Vec<$item>) -> Self {
                Self::new($field)
            }
        }

        impl FromIterator<$item> for $name {
            fn from_iter<I: IntoIterator<Item = $item>>(entries: I) -> Self {
                Self::new(entries.into_iter().collect())
            }
        }

        impl Extend<$item> for $name {
            fn extend<I: IntoIterator<Item = $item>>(&mut self, entries: I) {
                self.$field.extend(entries);
            }
        }

        impl IntoIterator for $name {
            type Item = $item;
            type IntoIter = std::vec::IntoIter<$item>;

            fn into_iter(self) -> Self::IntoIter {
                self.$field.into_iter()
            }
        }

        impl<'a> IntoIterator for &'a $name {
            type Item = &'a $item;
            type IntoIter = std::slice::Iter<'a, $item>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }
    };
}

pub(super) use impl_list_message;

//! Bytes as people read them in the `Debug` form of what holds them.

use std::fmt;

/// Bytes in hexadecimal, in the order of the wire.
struct HexText<'a>(&'a [u8]);

impl fmt::Debug for HexText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The `Debug` form of a field that is bytes.
pub(in crate::wire) fn hex(bytes: &[u8]) -> impl fmt::Debug {
    HexText(bytes)
}

/// The `Debug` form of any other field: its own.
pub(in crate::wire) fn plain(value: &impl fmt::Debug) -> impl fmt::Debug {
    value
}

/// `Debug` for a struct with fields that are bytes: each field is followed by how it is shown, `hex` or `plain`.
macro_rules! debug_in_hex {
    ($name:ident { $($field:ident: $shown:ident),+ }) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &$crate::wire::hex_text::$shown(&self.$field)))+
                    .finish()
            }
        }
    };
}

pub(in crate::wire) use debug_in_hex;

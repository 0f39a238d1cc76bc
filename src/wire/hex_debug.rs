//! Hexadecimal `Debug` output of byte fields.

use std::fmt;

/// Bytes that are formatted in hexadecimal, in wire order.
struct HexText<'a>(&'a [u8]);

impl fmt::Debug for HexText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Returns the `Debug` form of a field of bytes.
pub(in crate::wire) fn hex(bytes: &[u8]) -> impl fmt::Debug {
    HexText(bytes)
}

/// Returns the `Debug` form of any other field, which is its own.
pub(in crate::wire) fn as_debug(value: &impl fmt::Debug) -> impl fmt::Debug {
    value
}

/// Implements `Debug` for a struct with byte fields. Each field must be followed by its format,
/// `hex` or `as_debug`.
macro_rules! impl_hex_debug {
    ($name:ident { $($field:ident: $shown:ident),+ }) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &$crate::wire::hex_debug::$shown(&self.$field)))+
                    .finish()
            }
        }
    };
}

pub(in crate::wire) use impl_hex_debug;

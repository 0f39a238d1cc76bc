//! Encoding of values in their wire form.

/// A value that can be encoded in its wire form.
pub trait Encode {
    /// Appends the wire form to `out`. Allocates only if `out` must grow.
    fn encode(&self, out: &mut Vec<u8>);

    /// Returns the number of bytes that [`Encode::encode`] appends.
    fn encoded_len(&self) -> u64;

    /// Returns the wire form in a new buffer.
    fn encode_to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::try_from(self.encoded_len()).unwrap_or(0));
        self.encode(&mut out);
        out
    }
}

/// Implements [`Encode`] for a type whose field `payload` is its wire form.
macro_rules! encode_payload {
    ($name:ident) => {
        impl $crate::wire::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.payload);
            }

            fn encoded_len(&self) -> u64 {
                self.payload.len() as u64
            }
        }
    };
}

pub(in crate::wire) use encode_payload;

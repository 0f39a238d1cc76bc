//! Writing values in their wire form.

/// A value that can be written in its wire form.
pub trait Encode {
    /// Appends the wire form to `out`. Allocates only if `out` has to grow.
    fn encode(&self, out: &mut Vec<u8>);

    /// How many bytes [`Encode::encode`] will append.
    fn encoded_len(&self) -> u64;

    /// The wire form in a buffer of its own.
    fn encode_to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::try_from(self.encoded_len()).unwrap_or(0));
        self.encode(&mut out);
        out
    }
}

/// [`Encode`] for a type whose field `payload` is its wire form.
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

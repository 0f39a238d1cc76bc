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

//! A transaction's structure, followed while its bytes pass.

use super::size::{PartialSize, need};
use crate::wire::DecodeError;
use crate::wire::transaction::{MIN_INPUT, MIN_OUTPUT};

const OUTPOINT: u64 = 36;
const SEQUENCE: u64 = 4;
const VALUE: u64 = 8;
const LOCK_TIME: u64 = 4;

/// Where a transaction stands: so many bytes that say nothing of its structure, then one of its sizes.
#[derive(Clone, Debug)]
pub(super) struct TransactionWalk {
    /// How many bytes pass before `next`. Never more than the payload has.
    skip: u64,
    next: Next,
    /// How many inputs, or outputs, have not had their script's length yet.
    entries: u64,
    size: PartialSize,
    /// How many bytes of the transaction have passed.
    passed: u64,
    /// Where the count of outputs starts, once it is there.
    outputs_at: u64,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    InputCount,
    InputScript,
    OutputCount,
    OutputScript,
    End,
}

/// What came of a walk over some bytes.
pub(super) struct Walked {
    /// How many of the bytes belong to the transaction.
    pub(super) len: usize,
    /// Whether it ends with them.
    pub(super) ends: bool,
}

impl TransactionWalk {
    /// At the start of a transaction, with `left` bytes of the payload to come.
    #[inline]
    pub(super) fn begin(left: u64) -> Result<Self, DecodeError> {
        const VERSION: u64 = 4;
        need("transaction version", VERSION, left)?;
        Ok(Self {
            skip: VERSION,
            next: Next::InputCount,
            entries: 0,
            size: PartialSize::default(),
            passed: 0,
            outputs_at: 0,
        })
    }

    /// How many bytes have passed.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Where in the transaction its count of outputs starts.
    pub(super) fn outputs_at(&self) -> u64 {
        self.outputs_at
    }

    /// Walks on over `bytes`, from whose front on `left` bytes of the payload are left.
    #[inline]
    pub(super) fn over(&mut self, bytes: &[u8], left: u64) -> Result<Walked, DecodeError> {
        let mut rest = bytes;
        let ends = loop {
            let Some(behind) = usize::try_from(self.skip)
                .ok()
                .and_then(|skip| rest.get(skip..))
            else {
                self.skip -= rest.len() as u64;
                rest = &[];
                break false;
            };
            rest = behind;
            self.skip = 0;
            let walked = (bytes.len() - rest.len()) as u64;
            let field = match self.next {
                Next::InputCount => "inputs",
                Next::InputScript => "input script",
                Next::OutputCount => "outputs",
                Next::OutputScript => "output script",
                Next::End => break true,
            };
            let Some(size) = self.size.take(field, &mut rest, left - walked)? else {
                break false;
            };
            let left = left - (bytes.len() - rest.len()) as u64;
            match self.next {
                Next::InputCount => {
                    // At most 2^32 of some tens of bytes each: no overflow in 64 bits.
                    need(field, size * MIN_INPUT as u64, left)?;
                    self.entries = size;
                    self.expect_input_or_outputs(left)?;
                }
                Next::InputScript => {
                    self.skip = size + SEQUENCE;
                    need(field, self.skip, left)?;
                    self.entries -= 1;
                    self.expect_input_or_outputs(left)?;
                }
                Next::OutputCount => {
                    need(field, size * MIN_OUTPUT as u64, left)?;
                    self.outputs_at = self.passed + walked;
                    self.entries = size;
                    self.expect_output_or_end(left)?;
                }
                Next::OutputScript => {
                    self.skip = size;
                    need(field, self.skip, left)?;
                    self.entries -= 1;
                    self.expect_output_or_end(left)?;
                }
                Next::End => {}
            }
        };
        let len = bytes.len() - rest.len();
        self.passed += len as u64;
        Ok(Walked { len, ends })
    }

    /// Behind `skip` comes another input, or the outputs.
    #[inline]
    fn expect_input_or_outputs(&mut self, left: u64) -> Result<(), DecodeError> {
        if self.entries == 0 {
            self.next = Next::OutputCount;
            return Ok(());
        }
        self.next = Next::InputScript;
        need("input outpoint", OUTPOINT, left - self.skip)?;
        self.skip += OUTPOINT;
        Ok(())
    }

    /// Behind `skip` comes another output, or the end.
    #[inline]
    fn expect_output_or_end(&mut self, left: u64) -> Result<(), DecodeError> {
        let (next, field, len) = match self.entries {
            0 => (Next::End, "transaction lock time", LOCK_TIME),
            _ => (Next::OutputScript, "output value", VALUE),
        };
        self.next = next;
        need(field, len, left - self.skip)?;
        self.skip += len;
        Ok(())
    }
}

//! Tracks the structure of a transaction while its bytes pass.

use super::compact_size::{CompactSizeParser, need};
use crate::wire::DecodeError;
use crate::wire::transaction::{MIN_INPUT, MIN_OUTPUT};

const OUTPOINT: u64 = 36;
const SEQUENCE: u64 = 4;
const VALUE: u64 = 8;
const LOCK_TIME: u64 = 4;

/// The position in a transaction: a number of bytes to skip, followed by one of its sizes.
#[derive(Clone, Debug)]
pub(super) struct TransactionParser {
    /// The number of bytes before `next`. Never more than the rest of the payload.
    skip: u64,
    next: NextField,
    /// The number of inputs or outputs whose script length has not been read.
    entries: u64,
    size: CompactSizeParser,
    /// The number of scanned bytes of the transaction.
    parsed_len: u64,
    /// The offset of the output count, if it has been read.
    outputs_at: u64,
}

#[derive(Clone, Copy, Debug)]
enum NextField {
    InputCount,
    InputScript,
    OutputCount,
    OutputScript,
    End,
}

/// The result of [`TransactionParser::advance`].
pub(super) struct ParseStep {
    /// The number of the bytes that belong to the transaction.
    pub(super) len: usize,
    /// Whether the transaction ends with them.
    pub(super) ends: bool,
}

impl TransactionParser {
    /// Starts at the first byte of a transaction, with `left` bytes of the payload remaining.
    #[inline]
    pub(super) fn start(left: u64) -> Result<Self, DecodeError> {
        const VERSION: u64 = 4;
        need("transaction version", VERSION, left)?;
        Ok(Self {
            skip: VERSION,
            next: NextField::InputCount,
            entries: 0,
            size: CompactSizeParser::default(),
            parsed_len: 0,
            outputs_at: 0,
        })
    }

    /// Returns the number of scanned bytes.
    pub(super) fn parsed_len(&self) -> u64 {
        self.parsed_len
    }

    /// Returns the offset of the output count in the transaction.
    pub(super) fn outputs_at(&self) -> u64 {
        self.outputs_at
    }

    /// Continues over `bytes`. `left` is the number of payload bytes from their front on.
    #[inline]
    pub(super) fn advance(&mut self, bytes: &[u8], left: u64) -> Result<ParseStep, DecodeError> {
        let mut rest = bytes;
        let ends = loop {
            let Some(after) = usize::try_from(self.skip)
                .ok()
                .and_then(|skip| rest.get(skip..))
            else {
                self.skip -= rest.len() as u64;
                rest = &[];
                break false;
            };
            rest = after;
            self.skip = 0;
            let parsed = (bytes.len() - rest.len()) as u64;
            let field = match self.next {
                NextField::InputCount => "inputs",
                NextField::InputScript => "input script",
                NextField::OutputCount => "outputs",
                NextField::OutputScript => "output script",
                NextField::End => break true,
            };
            let Some(size) = self.size.parse(field, &mut rest, left - parsed)? else {
                break false;
            };
            let left = left - (bytes.len() - rest.len()) as u64;
            match self.next {
                NextField::InputCount => {
                    // At most 2^32 inputs of 41 bytes each: no overflow in 64 bits.
                    need(field, size * MIN_INPUT as u64, left)?;
                    self.entries = size;
                    self.expect_input_or_outputs(left)?;
                }
                NextField::InputScript => {
                    self.skip = size + SEQUENCE;
                    need(field, self.skip, left)?;
                    self.entries -= 1;
                    self.expect_input_or_outputs(left)?;
                }
                NextField::OutputCount => {
                    need(field, size * MIN_OUTPUT as u64, left)?;
                    self.outputs_at = self.parsed_len + parsed;
                    self.entries = size;
                    self.expect_output_or_end(left)?;
                }
                NextField::OutputScript => {
                    self.skip = size;
                    need(field, self.skip, left)?;
                    self.entries -= 1;
                    self.expect_output_or_end(left)?;
                }
                NextField::End => {}
            }
        };
        let len = bytes.len() - rest.len();
        self.parsed_len += len as u64;
        Ok(ParseStep { len, ends })
    }

    /// Expects another input or the outputs after `skip` bytes.
    #[inline]
    fn expect_input_or_outputs(&mut self, left: u64) -> Result<(), DecodeError> {
        if self.entries == 0 {
            self.next = NextField::OutputCount;
            return Ok(());
        }
        self.next = NextField::InputScript;
        need("input outpoint", OUTPOINT, left - self.skip)?;
        self.skip += OUTPOINT;
        Ok(())
    }

    /// Expects another output or the end after `skip` bytes.
    #[inline]
    fn expect_output_or_end(&mut self, left: u64) -> Result<(), DecodeError> {
        let (next, field, len) = match self.entries {
            0 => (NextField::End, "transaction lock time", LOCK_TIME),
            _ => (NextField::OutputScript, "output value", VALUE),
        };
        self.next = next;
        need(field, len, left - self.skip)?;
        self.skip += len;
        Ok(())
    }
}

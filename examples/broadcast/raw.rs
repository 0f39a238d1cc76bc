//! Parses the transaction given on the command line.

use std::io::Read;

use bsv_p2p::wire::{Decode, Reader, Tx};

use crate::plural::plural;
use crate::shared::{Failure, WrongUsage, with_sources};

/// Returns the transaction in `argument`, or in standard input if `argument` is `-`.
///
/// The text must be one transaction in hexadecimal. Whitespace is ignored.
pub(crate) fn read(argument: &str) -> Result<Tx, Failure> {
    let mut text = argument.to_owned();
    if argument == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    let wrong = |what: String| WrongUsage(format!("RAWTX: {what}"));
    let digits: String = text.split_whitespace().collect();
    if digits.is_empty() {
        return Err(wrong("expected a transaction in hexadecimal, got nothing".into()).into());
    }
    let bytes = hex::decode(&digits).map_err(|error| wrong(format!("not hexadecimal: {error}")))?;
    let bytes = bytes.into();
    let mut reader = Reader::from_shared(&bytes);
    let transaction = Tx::decode(&mut reader)
        .map_err(|error| wrong(format!("invalid transaction: {}", with_sources(&error))))?;
    match reader.remaining().len() {
        0 => Ok(transaction),
        more => {
            let more = plural(more, "byte");
            let text = format!("expected one transaction, got {more} after it");
            Err(wrong(text).into())
        }
    }
}

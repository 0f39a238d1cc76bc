//! Transactions: views that borrow from a payload, and an owned form for building.

mod outpoint;
mod owned;
mod view;

pub use outpoint::OutPoint;
pub use owned::{Transaction, TransactionInput, TransactionOutput};
pub use view::{Inputs, Outputs, TransactionInputView, TransactionOutputView, TransactionView};
pub(in crate::wire) use view::{MIN_INPUT, MIN_OUTPUT};

//! Transactions: views that borrow from a payload, and an owned form for building.

mod owned;
mod view;

pub use owned::{OutPoint, Transaction, TransactionInput, TransactionOutput};
pub use view::{Inputs, Outputs, TransactionInputView, TransactionOutputView, TransactionView};

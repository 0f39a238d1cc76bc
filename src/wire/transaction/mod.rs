//! Transactions: views that borrow from a payload, and an owned form to create them.

mod check;
mod entries;
mod outpoint;
mod owned;
mod view;

pub use check::InvalidTransaction;
pub use entries::{Inputs, Outputs, TransactionInputView, TransactionOutputView};
pub use outpoint::OutPoint;
pub use owned::{Transaction, TransactionInput, TransactionOutput};
pub use view::TransactionView;
pub(in crate::wire) use view::{MIN_INPUT, MIN_OUTPUT};

//! Log records, tested in a separate process because the logger is global.

mod capture;
mod contents;
mod forgery;

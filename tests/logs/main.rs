//! Log records, tested in a separate process because the logger is global.

mod capture;
mod components;
mod contents;
mod forgery;

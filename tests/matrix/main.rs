//! The same requests to servers of different kinds: for each the outcome and its time bound.

mod scripted_server;
mod servers;

//! Seed lookups with correct and faulty name servers, always within the deadline.

#[cfg(feature = "dns")]
mod answers;
mod choice;
#[cfg(feature = "dns")]
mod dnsmasq;
#[cfg(feature = "dns")]
mod faults;
#[cfg(feature = "dns")]
mod long_answers;
#[cfg(feature = "dns")]
mod name_server;
#[cfg(feature = "dns")]
mod packets;
#[cfg(feature = "dns")]
mod stopping;
mod system;

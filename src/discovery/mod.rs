//! Discovery of peers by DNS seeds. Each lookup has a deadline.
//!
//! A seed is a DNS name that resolves to addresses of nodes
//! ([`Network::dns_seeds`](crate::Network::dns_seeds)). A [`SeedResolver`] resolves it. An
//! application can implement another resolver, and tests can mock it. This module does not depend
//! on messages or connections, and has no permanent threads.
//!
//! - `DnsResolver` queries the name servers of `/etc/resolv.conf`, or others, directly. If a server
//!   does not reply within two seconds, the next server is queried. Requires the feature `dns`,
//!   which is enabled by default.
//! - [`SystemResolver`] calls the system resolver in a helper thread. It is used if the feature
//!   `dns` is disabled, and on systems other than Unix, which have no `/etc/resolv.conf`.
//!
//! [`default_resolver`] returns the resolver for this system.
//!
//! ```no_run
//! use std::time::Duration;
//! use bsv_p2p::Network;
//! use bsv_p2p::discovery::{Deadline, default_resolver};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let seeds = default_resolver(&[])?;
//! for seed in Network::Mainnet.dns_seeds() {
//!     match seeds.resolve(seed, &Deadline::after(Duration::from_secs(10))) {
//!         Ok(addresses) => println!("{seed}: {} addresses", addresses.len()),
//!         Err(error) => println!("{error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod deadline;
#[cfg(feature = "dns")]
mod dns;
mod error;
mod name;
mod system;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use deadline::Deadline;
#[cfg(feature = "dns")]
pub use dns::DnsResolver;
pub use error::{ResolveError, ServerError, ServerFailure};
pub use system::SystemResolver;

pub use crate::host_name::InvalidName;

/// The maximum number of addresses of a lookup. A seed returns a few dozen.
const MAX_ADDRESSES: usize = 256;

/// Resolves names to addresses. Implementations must allow concurrent lookups.
///
/// In tests, a resolver can be mocked with `mockall`:
///
/// ```
/// use std::net::IpAddr;
/// use std::time::Duration;
/// use bsv_p2p::discovery::{ResolveError, SeedResolver, Deadline};
///
/// mockall::mock! {
///     Seeds {}
///     impl SeedResolver for Seeds {
///         fn resolve(&self, name: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError>;
///     }
/// }
///
/// # fn main() {
/// let mut seeds = MockSeeds::new();
/// seeds.expect_resolve().returning(|_, _| Ok(vec![[203, 0, 113, 7].into()]));
/// let found = seeds.resolve("seed.bitcoinsv.io", &Deadline::after(Duration::from_secs(1)));
/// assert_eq!(found, Ok(vec![[203, 0, 113, 7].into()]));
/// # }
/// ```
pub trait SeedResolver: Send + Sync {
    /// Returns the addresses of a host: 1 to 256, without duplicates, and IPv4-mapped addresses as
    /// IPv4.
    ///
    /// `name` must be a host name or an IP address, which resolves to itself. The search list of
    /// the system is not applied to a name that ends with a dot.
    ///
    /// Blocks at most until the deadline of `until`, or 100 ms after one of its flags was set.
    ///
    /// # Errors
    ///
    /// - [`ResolveError::InvalidName`] if `name` is not a valid host name.
    /// - [`ResolveError::NotFound`] if the name does not exist or has no address.
    /// - [`ResolveError::TimedOut`] after the deadline.
    /// - [`ResolveError::Cancelled`] if a flag was set.
    /// - [`ResolveError::NoAnswer`], [`ResolveError::System`] or [`ResolveError::Other`] if the
    ///   resolver failed.
    fn resolve(&self, name: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError>;
}

/// Returns the default resolver.
///
/// With the feature `dns`, this is `DnsResolver`, which queries `name_servers` in their order. If
/// the list is empty, it queries those of `/etc/resolv.conf`. Without the feature, or if the list
/// is empty on a system other than Unix, this is [`SystemResolver`].
///
/// Does not block and sends nothing.
///
/// # Errors
///
/// [`ResolveError::NameServersNeedDns`] if the list is not empty and the feature `dns` is off.
pub fn default_resolver(
    name_servers: &[SocketAddr],
) -> Result<Arc<dyn SeedResolver>, ResolveError> {
    if name_servers.is_empty() {
        #[cfg(all(feature = "dns", unix))]
        let resolver = DnsResolver::from_system();
        #[cfg(not(all(feature = "dns", unix)))]
        let resolver = SystemResolver;
        return Ok(Arc::new(resolver));
    }
    #[cfg(feature = "dns")]
    return Ok(Arc::new(DnsResolver::new(name_servers.to_vec())));
    #[cfg(not(feature = "dns"))]
    Err(ResolveError::NameServersNeedDns)
}

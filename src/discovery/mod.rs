//! Where peers are that nobody has told of yet: DNS seeds, asked in bounded time.
//!
//! A seed is a name whose addresses are those of nodes ([`Network::dns_seeds`](crate::Network::dns_seeds)). A [`SeedResolver`] finds them;
//! a program may bring its own, or a mock for its tests. Knows nothing of messages and connections, and has no threads that last: every
//! lookup is done by the thread that wants it.
//!
//! - `DnsResolver`, with the feature `dns` (on by default), asks name servers itself: those of `/etc/resolv.conf` or others, one after the
//!   other, so that a dead one costs two seconds at most, and the deadline holds whatever they do.
//! - [`SystemResolver`] asks the system in a helper thread. It is what serves without the feature, and where there is no
//!   `/etc/resolv.conf` because the system is no Unix.
//!
//! [`resolver`] chooses between them.
//!
//! ```no_run
//! use std::time::Duration;
//! use bsv_p2p::Network;
//! use bsv_p2p::discovery::{Deadline, resolver};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let seeds = resolver(&[])?;
//! for seed in Network::Mainnet.dns_seeds() {
//!     match seeds.resolve(seed, &Deadline::after(Duration::from_secs(10))) {
//!         Ok(addresses) => println!("{seed} knows {} addresses", addresses.len()),
//!         Err(error) => println!("{error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "dns")]
mod dns;
mod error;
mod name;
mod system;
mod until;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[cfg(feature = "dns")]
pub use dns::DnsResolver;
pub use error::{ResolveError, ServerError, ServerFailure};
pub use system::SystemResolver;
pub use until::Deadline;

pub use crate::host_name::InvalidName;

/// No lookup gives more addresses: a seed knows a few dozen, and a manager tries as many.
const MAX_ADDRESSES: usize = 256;

/// Finds the addresses that belong to a name. Any number of threads may ask at once.
///
/// A program mocks it for its tests with `mockall`:
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
    /// The addresses of `name`, at least one, 256 at most, without duplicates, and IPv4 as such. A name is that of a host, or an address, which is
    /// its own answer; with a dot at the end it is looked up as it stands. Blocks until `until` is over at the longest; a flag of it
    /// ends the call within 100 ms.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] says whether there is no such name, whether nobody could tell, or what ended the lookup.
    fn resolve(&self, name: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError>;
}

/// The resolver that serves where a program brings none: with the feature `dns` it is `DnsResolver`, which asks these name servers in this
/// order, or those of `/etc/resolv.conf` if none are named; otherwise, and on systems without that file, [`SystemResolver`].
///
/// Does not block, and asks nobody yet.
///
/// # Errors
///
/// [`ResolveError::NameServersNeedDns`] if there are name servers, and the feature `dns` is off.
pub fn resolver(name_servers: &[SocketAddr]) -> Result<Arc<dyn SeedResolver>, ResolveError> {
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

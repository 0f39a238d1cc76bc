//! Resolves the listening address of tools that accept inbound peers.

use std::net::SocketAddr;

use bsv_p2p::Network;
use bsv_p2p::connection::resolve;

use crate::lasting::RESOLVE_TIMEOUT;
use crate::shared::Failure;

/// Returns the first address of a name. Port 0 selects a free port.
///
/// Blocks for at most [`RESOLVE_TIMEOUT`].
///
/// # Errors
///
/// - If the name is invalid, or cannot be resolved in time.
pub(crate) fn listen_address(name: &str, network: &Network) -> Result<SocketAddr, Failure> {
    let addresses = resolve(name, network.port(), RESOLVE_TIMEOUT)?;
    let first = addresses.first().copied();
    first.ok_or_else(|| format!("{name} has no address").into())
}

//! Manual bans, and queries of all bans.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::Manager;
use super::clock::Now;
use crate::error::Error;
use crate::peers::{Ban, Subnet};

/// Bans. [`BanList`](crate::peers::BanList) documents their precedence.
impl Manager {
    /// Bans a subnet or an address, and closes all connections to it.
    ///
    /// The ban lasts for `duration`, or permanently with `None`. It replaces an earlier manual ban
    /// of exactly this subnet, and overrides automatic bans. The [whitelist] overrides it. Returns
    /// the ban.
    ///
    /// # Errors
    ///
    /// - [`Error::Ban`] if `duration` is zero, or if the list is full of manual bans.
    /// - [`Error::NotRunning`] if the manager is not running.
    ///
    /// [whitelist]: crate::ManagerConfig::whitelist
    pub fn ban(&self, subnet: impl Into<Subnet>, duration: Option<Duration>) -> Result<Ban, Error> {
        let subnet = subnet.into();
        let ban = self.ask(move |supervisor| supervisor.plan.ban(subnet, duration, Now::read()))?;
        Ok(ban?)
    }

    /// Removes the manual and the automatic ban of exactly this subnet or address.
    ///
    /// Returns the removed bans, or an empty list if there were none. An address can still be
    /// covered by the ban of another subnet; [`Manager::unban_address`] removes such bans as well.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the manager is not running.
    pub fn unban(&self, subnet: impl Into<Subnet>) -> Result<Vec<Ban>, Error> {
        let subnet = subnet.into();
        self.ask(move |supervisor| supervisor.plan.unban(subnet, Now::read()))
    }

    /// Removes every ban that covers an address, also bans of whole subnets.
    ///
    /// Returns the removed bans, or an empty list if there were none.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the manager is not running.
    pub fn unban_address(&self, address: IpAddr) -> Result<Vec<Ban>, Error> {
        self.ask(move |supervisor| supervisor.plan.unban_address(address, Now::read()))
    }

    /// Returns all bans that have not expired, manual ones first. Does not block.
    ///
    /// [`Manager::start`] loads the bans of the store.
    pub fn bans(&self) -> Vec<Ban> {
        let now = SystemTime::now();
        let mut bans = self.shared.bans.read().list();
        bans.retain(|ban| !ban.is_expired(now));
        bans
    }

    /// Returns the ban that applies to an address, or `None` if it is not banned. Does not block.
    ///
    /// If several bans cover the address, returns the one with the highest precedence.
    pub fn find_ban(&self, address: IpAddr) -> Option<Ban> {
        let bans = self.shared.bans.read();
        bans.is_banned(address, SystemTime::now()).copied()
    }
}

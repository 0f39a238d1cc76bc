//! Whom the program bans.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::Manager;
use super::clock::Now;
use crate::error::Error;
use crate::peers::{Ban, Subnet};

/// Bans. See [`BanList`](crate::peers::BanList) for which rule wins.
impl Manager {
    /// Bans a subnet or a single address, for some time or for good, and ends the connections that this covers. The whitelist stands above
    /// it, and it stands above automatic bans.
    ///
    /// # Errors
    ///
    /// [`Error::Ban`] for a ban that would be over at once, or if the list is full of bans by hand; [`Error::NotRunning`].
    pub fn ban(&self, subnet: impl Into<Subnet>, duration: Option<Duration>) -> Result<Ban, Error> {
        let subnet = subnet.into();
        let ban = self.ask(move |supervisor| supervisor.plan.ban(subnet, duration, Now::read()))?;
        Ok(ban?)
    }

    /// Lifts what is banned for exactly this subnet or address, by hand and automatically, and returns it. See
    /// [`Manager::unban_address`] for every ban that covers an address.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`].
    pub fn unban(&self, subnet: impl Into<Subnet>) -> Result<Vec<Ban>, Error> {
        let subnet = subnet.into();
        self.ask(move |supervisor| supervisor.plan.unban(subnet, Now::read()))
    }

    /// Lifts every ban that covers an address, so that it is banned no more, and returns them.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`].
    pub fn unban_address(&self, address: IpAddr) -> Result<Vec<Ban>, Error> {
        self.ask(move |supervisor| supervisor.plan.unban_address(address, Now::read()))
    }

    /// Every ban that is in force, those by hand first.
    pub fn bans(&self) -> Vec<Ban> {
        let now = SystemTime::now();
        let mut bans = self.shared.bans.read().list();
        bans.retain(|ban| !ban.is_over(now));
        bans
    }

    /// Why an address is kept out, if it is: the ban of the highest precedence that covers it.
    pub fn find_ban(&self, address: IpAddr) -> Option<Ban> {
        let bans = self.shared.bans.read();
        bans.is_banned(address, SystemTime::now()).copied()
    }
}

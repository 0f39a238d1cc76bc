//! A map from subnets to values with a lookup by address.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::Subnet;

/// A map from subnets to values.
///
/// The lookup of an address takes one access for each prefix length in use for its family,
/// regardless of the number of subnets.
#[derive(Clone, Debug)]
pub(super) struct SubnetMap<V> {
    values: HashMap<Subnet, V>,
    /// The number of subnets of each prefix length: IPv4, IPv6.
    lengths: [BTreeMap<u8, usize>; 2],
}

impl<V> Default for SubnetMap<V> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            lengths: [BTreeMap::new(), BTreeMap::new()],
        }
    }
}

impl<V> SubnetMap<V> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Inserts a value and returns the previous value of exactly this subnet.
    pub(super) fn insert(&mut self, subnet: Subnet, value: V) -> Option<V> {
        let before = self.values.insert(subnet, value);
        if before.is_none() {
            let lengths = &mut self.lengths[family(subnet.address())];
            *lengths.entry(subnet.prefix()).or_default() += 1;
        }
        before
    }

    /// Removes and returns the value of exactly this subnet.
    pub(super) fn remove(&mut self, subnet: &Subnet) -> Option<V> {
        let value = self.values.remove(subnet)?;
        let lengths = &mut self.lengths[family(subnet.address())];
        if let Some(count) = lengths.get_mut(&subnet.prefix()) {
            *count -= 1;
            if *count == 0 {
                lengths.remove(&subnet.prefix());
            }
        }
        Some(value)
    }

    /// Returns the value of exactly this subnet.
    pub(super) fn get(&self, subnet: &Subnet) -> Option<&V> {
        self.values.get(subnet)
    }

    /// Returns the values of all subnets that contain `address`, the smallest subnet first.
    pub(super) fn covering(&self, address: IpAddr) -> impl Iterator<Item = &V> {
        let address = address.to_canonical();
        self.lengths[family(address)]
            .keys()
            .rev()
            .filter_map(move |prefix| self.values.get(&Subnet::containing(address, *prefix)))
    }

    /// Returns all values in any order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.values.values()
    }
}

/// Returns the index of an address's family. A canonical address is never in a subnet of the other
/// family.
fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn map(subnets: &[&str]) -> SubnetMap<String> {
        let mut map = SubnetMap::default();
        for text in subnets {
            assert_eq!(map.insert(subnet(text), text.to_string()), None);
        }
        map
    }

    #[test]
    fn covering_returns_the_smallest_subnet_first() {
        let map = map(&[
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3",
            "::/0",
            "2001:db8::/32",
        ]);
        let covering =
            |address: &str| -> Vec<&String> { map.covering(address.parse().unwrap()).collect() };
        assert_eq!(
            covering("10.1.2.3"),
            ["10.1.2.3", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]
        );
        assert_eq!(covering("::ffff:10.2.0.0"), ["10.0.0.0/8", "0.0.0.0/0"]);
        assert_eq!(covering("2001:db8::1"), ["2001:db8::/32", "::/0"]);
        assert_eq!(covering("2001:db9::1"), ["::/0"]);
    }

    #[test]
    fn prefix_length_is_dropped_with_its_last_subnet() {
        let mut map = map(&["10.0.0.0/8", "11.0.0.0/8"]);
        assert_eq!(
            map.insert(subnet("11.0.0.0/8"), "again".into()).unwrap(),
            "11.0.0.0/8"
        );
        assert_eq!(map.remove(&subnet("10.0.0.0/8")).unwrap(), "10.0.0.0/8");
        assert_eq!(map.remove(&subnet("10.0.0.0/8")), None);
        assert_eq!(map.covering("11.0.0.1".parse().unwrap()).count(), 1);
        map.remove(&subnet("11.0.0.0/8"));
        assert!(map.lengths.iter().all(BTreeMap::is_empty));
    }
}

//! The request for addresses.

use super::*;
use crate::wire::{Addr, NetworkAddress, Services};

/// Returns as many addresses as there are ages, with these ages in seconds.
fn addr(ages: &[i64]) -> Addr {
    let entry = |(number, age): (usize, &i64)| TimestampedAddress {
        time: u32::try_from(NOW - age).unwrap(),
        address: NetworkAddress::new(
            Services::NETWORK,
            std::net::SocketAddr::from(([10, 0, 0, number as u8], 1)),
        ),
    };
    Addr {
        addresses: ages.iter().enumerate().map(entry).collect(),
    }
}

const HOUR: i64 = 3600;

#[test]
fn addresses_of_table_are_the_answer() {
    for ages in [
        &[][..],
        &[0, 2 * HOUR],
        &[HOUR + 1; 2],
        &[5 * 24 * HOUR; 1000],
    ] {
        let mut requests = requests();
        assert!(!answers(&mut requests, addr(ages)), "no request is open");
        let (ticket, _) = requests.open_addresses(true, NOW).unwrap();
        assert!(answers(&mut requests, addr(ages)), "{ages:?}");
        assert_answer(&ticket, addr(ages).addresses);
        assert!(!answers(&mut requests, addr(ages)), "it was answered");
    }
}

/// A node sends its own address, and relays addresses of the last 10 minutes.
#[test]
fn relayed_addresses_are_no_answer() {
    let mut requests = requests();
    let (ticket, _) = requests.open_addresses(true, NOW).unwrap();
    for ages in [
        &[0][..],
        &[7 * 24 * HOUR],
        &[0, 600],
        &[900; 10],
        &[-600; 1000],
    ] {
        assert!(!answers(&mut requests, addr(ages)), "{ages:?}");
        assert_open(&ticket);
    }
    let table = addr(&[2 * HOUR, 3 * HOUR]);
    assert!(answers(&mut requests, table.clone()));
    assert_answer(&ticket, table.addresses);
}

#[test]
fn longest_candidate_is_returned_when_cancelled() {
    for (lists, expected) in [
        (vec![vec![0]], vec![0]),
        (vec![vec![0], vec![1, 2, 3], vec![4, 5]], vec![1, 2, 3]),
        (vec![vec![1, 2], vec![3, 4]], vec![3, 4]),
    ] {
        let mut requests = requests();
        let (ticket, _) = requests.open_addresses(true, NOW).unwrap();
        for list in lists {
            assert!(!answers(&mut requests, addr(&list)));
        }
        assert_open(&ticket);
        requests.cancel(ticket.id);
        assert_answer(&ticket, addr(&expected).addresses);
    }
}

/// A Teranode relays no addresses.
#[test]
fn any_list_of_peer_without_relay_is_the_answer() {
    for ages in [&[][..], &[0], &[0; 10]] {
        let mut requests = requests();
        let (ticket, _) = requests.open_addresses(false, NOW).unwrap();
        assert!(answers(&mut requests, addr(ages)));
        assert_answer(&ticket, addr(ages).addresses);
    }
}

#[test]
fn wrong_local_clock_delays_the_answer_only() {
    let mut requests = requests();
    let (ticket, _) = requests.open_addresses(true, 0).unwrap();
    let table = addr(&[2 * HOUR, 3 * HOUR]);
    assert!(!answers(&mut requests, table.clone()));
    requests.cancel(ticket.id);
    assert_answer(&ticket, table.addresses);
}

#[test]
fn addresses_are_requested_once() {
    let mut requests = requests();
    let (unsent, _) = requests.open_addresses(true, NOW).unwrap();
    assert_eq!(
        requests.open_addresses(true, NOW).unwrap_err(),
        RequestError::Already
    );
    requests.abort(unsent.id);
    let (sent, _) = requests.open_addresses(true, NOW).unwrap();
    requests.on_getaddr_sent();
    requests.cancel(sent.id);
    assert_eq!(
        requests.open_addresses(true, NOW).unwrap_err(),
        RequestError::Already
    );
}

//! DNS packets encoded by hand, independent of the codec of the library.

use std::net::IpAddr;

pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const AAAA: u16 = 28;

/// RFC 1035, section 4.1.1: response, recursion desired and available.
const RESPONSE: [u8; 2] = [0x81, 0x80];
pub(crate) const NO_ERROR: u8 = 0;
pub(crate) const FORMERR: u8 = 1;
pub(crate) const SERVFAIL: u8 = 2;
pub(crate) const NXDOMAIN: u8 = 3;
pub(crate) const REFUSED: u8 = 5;

/// A question as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) packet: Vec<u8>,
    pub(crate) name: String,
    /// [`A`] or [`AAAA`].
    pub(crate) kind: u16,
    /// The end of the question section.
    end: usize,
}

impl Question {
    pub(crate) fn parse(packet: &[u8]) -> Self {
        assert_eq!(packet[4..6], [0, 1], "one question");
        let (mut at, mut labels) = (12, Vec::new());
        while packet[at] != 0 {
            let label = &packet[at + 1..][..usize::from(packet[at])];
            labels.push(String::from_utf8(label.to_vec()).unwrap());
            at += 1 + label.len();
        }
        assert_eq!(packet[at + 3..at + 5], [0, 1], "class IN");
        Self {
            packet: packet.to_vec(),
            name: labels.join("."),
            kind: u16::from_be_bytes([packet[at + 1], packet[at + 2]]),
            end: at + 5,
        }
    }

    pub(crate) fn id(&self) -> u16 {
        u16::from_be_bytes([self.packet[0], self.packet[1]])
    }

    pub(crate) fn recursion_desired(&self) -> bool {
        self.packet[2] & 1 == 1
    }

    /// Returns the maximum answer length that the query announces by EDNS (RFC 6891, section
    /// 6.1.2).
    pub(crate) fn udp_payload(&self) -> Option<u16> {
        let opt = &self.packet[self.end..];
        (opt.len() == 11 && opt[..3] == [0, 0, 41]).then(|| u16::from_be_bytes([opt[3], opt[4]]))
    }

    /// Returns the answer with this code and these records.
    pub(crate) fn answer(&self, code: u8, records: &[Record]) -> Vec<u8> {
        let mut packet = self.packet[..self.end].to_vec();
        packet[2..4].copy_from_slice(&RESPONSE);
        packet[3] |= code;
        packet[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        packet[8..12].fill(0);
        for record in records {
            packet.extend(name_bytes(&record.owner));
            packet.extend(record.kind.to_be_bytes());
            packet.extend([0, 1, 0, 0, 0, 60]);
            packet.extend((record.data.len() as u16).to_be_bytes());
            packet.extend(&record.data);
        }
        packet
    }

    /// Returns an answer with the addresses of the requested family and name.
    pub(crate) fn found(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let records: Vec<_> = addresses
            .iter()
            .map(|address| Record::address(&self.name, *address))
            .filter(|record| record.kind == self.kind)
            .collect();
        self.answer(NO_ERROR, &records)
    }

    /// Returns an answer without records that is marked as truncated.
    pub(crate) fn truncated(&self) -> Vec<u8> {
        let mut packet = self.answer(NO_ERROR, &[]);
        packet[2] |= 2;
        packet
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    owner: String,
    kind: u16,
    data: Vec<u8>,
}

impl Record {
    pub(crate) fn address(owner: &str, address: IpAddr) -> Self {
        let (kind, data) = match address {
            IpAddr::V4(ip) => (A, ip.octets().to_vec()),
            IpAddr::V6(ip) => (AAAA, ip.octets().to_vec()),
        };
        Self {
            owner: owner.into(),
            kind,
            data,
        }
    }

    pub(crate) fn cname(owner: &str, target: &str) -> Self {
        Self {
            owner: owner.into(),
            kind: CNAME,
            data: name_bytes(target),
        }
    }
}

fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// Returns addresses from their text.
pub(crate) fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

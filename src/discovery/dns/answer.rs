//! Classification of packets, and extraction of their addresses.

use std::net::IpAddr;

use hickory_proto::op::{Header, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use super::question::Question;
use crate::discovery::ServerError;
use crate::discovery::name::distinct;

/// The maximum number of addresses of one family: half of the maximum of a lookup.
const MAX_OF_ONE_FAMILY: usize = 128;
/// The maximum number of CNAME records before an address. Chains in use have fewer than ten.
const MAX_CHAIN: usize = 16;

/// The relation of a packet to a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DnsPacket {
    /// The packet does not match the query. It must be ignored.
    Unrelated,
    /// The reply is longer than a packet. Its truncated content must be ignored (RFC 2181, section
    /// 9).
    Truncated,
    /// The server does not support EDNS (RFC 6891, section 7). The query must be repeated without
    /// it.
    NeedsPlainQuestion,
    /// The reply, or its failure.
    Answer(Result<DnsAnswer, ServerError>),
}

/// The reply to a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DnsAnswer {
    /// At least one address of the queried family.
    Addresses(Vec<IpAddr>),
    /// The name has no address of this family (RFC 2308, section 2.2).
    NoAddress,
    /// The name does not exist for any type (RFC 2308, section 2.1).
    NoName,
}

/// Classifies a packet. The rest is used only if id, kind and question match (RFC 5452, section
/// 9.1).
pub(super) fn classify_packet(packet: &[u8], question: &Question) -> DnsPacket {
    let mut decoder = BinDecoder::new(packet);
    let Ok(header) = Header::read(&mut decoder) else {
        return DnsPacket::Unrelated;
    };
    if header.id != question.id
        || header.message_type != MessageType::Response
        || header.op_code != OpCode::Query
    {
        return DnsPacket::Unrelated;
    }
    let code = header.response_code;
    let does_not_know_edns = matches!(code, ResponseCode::FormErr | ResponseCode::NotImp);
    match header.counts.queries {
        1 => match Query::read(&mut decoder) {
            Ok(query) if question.is_repeated_by(&query) => {}
            _ => return DnsPacket::Unrelated,
        },
        // A server that cannot decode a question does not repeat it. A forged packet of this kind
        // only has the effect that the next server is queried.
        0 if is_failure(code) => {}
        _ => return DnsPacket::Unrelated,
    }
    if does_not_know_edns && question.with_edns {
        return DnsPacket::NeedsPlainQuestion;
    }
    if header.truncation {
        return DnsPacket::Truncated;
    }
    DnsPacket::Answer(match code {
        ResponseCode::NoError => records(&mut decoder, header.counts.answers)
            .map_err(|_| ServerError::Malformed)
            .and_then(|records| addresses(&records, question)),
        ResponseCode::NXDomain => Ok(DnsAnswer::NoName),
        code => Err(ServerError::Refused { code: code.into() }),
    })
}

fn is_failure(code: ResponseCode) -> bool {
    !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// Returns the records of the answer section. Later sections are not needed.
///
/// A record has at least eleven bytes, so the length of the packet limits their number, regardless
/// of `count`.
fn records(decoder: &mut BinDecoder<'_>, count: u16) -> Result<Vec<Record>, DecodeError> {
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(Record::read(decoder)?);
    }
    Ok(records)
}

/// Returns the addresses of the queried name, or of the end of its CNAME chain (RFC 1034, section
/// 3.6.2). Records of other names are ignored.
fn addresses(records: &[Record], question: &Question) -> Result<DnsAnswer, ServerError> {
    let end = end_of_chain(records, question.query.name()).ok_or(ServerError::CnameLoop)?;
    let family = question.query.query_type();
    let found = records
        .iter()
        .filter(|record| record.dns_class == DNSClass::IN && record.record_type() == family)
        .filter(|record| record.name == *end)
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        });
    let found = distinct(found, MAX_OF_ONE_FAMILY);
    Ok(if found.is_empty() {
        DnsAnswer::NoAddress
    } else {
        DnsAnswer::Addresses(found)
    })
}

/// Returns the end of the CNAME chain that starts with `name`, which may be `name` itself. Returns
/// `None` if the chain is too long or a loop.
fn end_of_chain<'a>(records: &'a [Record], name: &'a Name) -> Option<&'a Name> {
    let mut end = name;
    for _ in 0..=MAX_CHAIN {
        let alias = records.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.dns_class == DNSClass::IN && record.name == *end => {
                Some(&target.0)
            }
            _ => None,
        });
        match alias {
            Some(target) => end = target,
            None => return Some(end),
        }
    }
    None
}

#[cfg(test)]
mod tests;

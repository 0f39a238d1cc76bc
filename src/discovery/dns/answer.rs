//! What a name server's packet says about a question.

use std::net::IpAddr;

use hickory_proto::op::{Header, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use super::question::Question;
use crate::discovery::ServerError;
use crate::discovery::name::distinct;

/// So many addresses of one family are kept: half of what a lookup gives.
const MAX_OF_ONE_FAMILY: usize = 128;
/// So many names may lead to each other until there is an address. The longest in use have less than ten.
const MAX_CHAIN: usize = 16;

/// What a packet is to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// Nothing: listening goes on.
    Foreign,
    /// The answer is longer than a packet; what there is of it does not count (RFC 2181, section 9).
    Truncated,
    /// The server does not know EDNS (RFC 6891, section 7): it has to be asked without.
    NeedsPlainQuestion,
    /// The answer, or what is wrong with it.
    Answer(Result<Answer, ServerError>),
}

/// What a server knows of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses of the family that was asked for, at least one.
    Addresses(Vec<IpAddr>),
    /// The name has no address of this family (RFC 2308, section 2.2).
    NoAddress,
    /// There is no such name, whatever it is asked for (RFC 2308, section 2.1).
    NoName,
}

/// Judges a packet: id, kind and question have to match before anything else in it counts (RFC 5452, section 9.1).
pub(super) fn judge(packet: &[u8], question: &Question) -> Packet {
    let mut decoder = BinDecoder::new(packet);
    let Ok(header) = Header::read(&mut decoder) else {
        return Packet::Foreign;
    };
    if header.id != question.id
        || header.message_type != MessageType::Response
        || header.op_code != OpCode::Query
    {
        return Packet::Foreign;
    }
    let code = header.response_code;
    let does_not_know_edns = matches!(code, ResponseCode::FormErr | ResponseCode::NotImp);
    match header.counts.queries {
        1 => match Query::read(&mut decoder) {
            Ok(query) if question.is_repeated_by(&query) => {}
            _ => return Packet::Foreign,
        },
        // Who cannot read a question does not repeat it. Nobody gains more by such a packet than that another server is asked.
        0 if is_failure(code) => {}
        _ => return Packet::Foreign,
    }
    if does_not_know_edns && question.with_edns {
        return Packet::NeedsPlainQuestion;
    }
    if header.truncation {
        return Packet::Truncated;
    }
    Packet::Answer(match code {
        ResponseCode::NoError => records(&mut decoder, header.counts.answers)
            .map_err(|_| ServerError::Malformed)
            .and_then(|records| addresses(&records, question)),
        ResponseCode::NXDomain => Ok(Answer::NoName),
        code => Err(ServerError::Refused { code: code.into() }),
    })
}

fn is_failure(code: ResponseCode) -> bool {
    !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// The records of the answer section; the sections behind it say nothing that counts here. A record takes at least eleven bytes, so
/// there are never more than the packet has bytes for, whatever `count` claims.
fn records(decoder: &mut BinDecoder<'_>, count: u16) -> Result<Vec<Record>, DecodeError> {
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(Record::read(decoder)?);
    }
    Ok(records)
}

/// The addresses under the asked name, or at the end of the names that it stands for (RFC 1034, section 3.6.2). Records under any
/// other name are nobody's question.
fn addresses(records: &[Record], question: &Question) -> Result<Answer, ServerError> {
    let end = end_of_chain(records, question.query.name()).ok_or(ServerError::EndlessChain)?;
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
        Answer::NoAddress
    } else {
        Answer::Addresses(found)
    })
}

/// The name at the end of the chain that begins with `name`, which may be itself; `None` if the chain has none.
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

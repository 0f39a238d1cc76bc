//! Tests of the classification of packets.

use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::{A, AAAA, CNAME};

use super::*;

const TTL: u32 = 60;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn question() -> Question {
    Question::new(name("seed.test."), RecordType::A)
}

fn a(owner: &str, last: u8) -> Record {
    Record::from_rdata(name(owner), TTL, RData::A(A::new(192, 0, 2, last)))
}

fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), TTL, RData::CNAME(CNAME(name(target))))
}

fn answer(question: &Question, answers: Vec<Record>) -> Message {
    let mut message = Message::response(question.id, OpCode::Query);
    message.add_query(question.query.clone());
    message.insert_answers(answers);
    message
}

fn classify(question: &Question, message: &Message) -> DnsPacket {
    classify_packet(&message.to_vec().unwrap(), question)
}

fn addresses(last: impl IntoIterator<Item = u8>) -> DnsPacket {
    let addresses = last.into_iter().map(|last| IpAddr::from([192, 0, 2, last]));
    DnsPacket::Answer(Ok(DnsAnswer::Addresses(addresses.collect())))
}

#[test]
fn reply_must_match_id_kind_and_question() {
    let question = question();
    let good = answer(&question, vec![a("seed.test.", 1)]);
    assert_eq!(classify(&question, &good), addresses([1]));

    let mut other_case = answer(&question, vec![a("seed.TEST.", 1)]);
    other_case.queries = vec![Query::query(name("SEED.test."), RecordType::A)];
    assert_eq!(classify(&question, &other_case), addresses([1]));

    type Change = fn(&mut Message);
    let changes: [(&str, Change); 9] = [
        ("id", |m| m.metadata.id ^= 1),
        ("kind", |m| m.metadata.message_type = MessageType::Query),
        ("operation", |m| m.metadata.op_code = OpCode::Status),
        ("name", |m| {
            m.queries[0].set_name(name("other.test."));
        }),
        ("longer name", |m| {
            m.queries[0].set_name(name("seed.test.test."));
        }),
        ("type", |m| {
            m.queries[0].set_query_type(RecordType::AAAA);
        }),
        ("class", |m| {
            m.queries[0].set_query_class(DNSClass::CH);
        }),
        ("no question", |m| m.queries.clear()),
        ("two questions", |m| m.queries.push(m.queries[0].clone())),
    ];
    for (what, change) in changes {
        let mut message = good.clone();
        change(&mut message);
        assert_eq!(
            classify(&question, &message),
            DnsPacket::Unrelated,
            "{what}"
        );
    }
}

#[test]
fn records_must_match_name_type_and_class() {
    let question = question();
    let mut chaos = a("seed.test.", 4);
    chaos.dns_class = DNSClass::CH;
    let v6 = RData::AAAA(AAAA("2001:db8::1".parse().unwrap()));
    let records = vec![
        a("other.test.", 1),
        a("seed.test.", 2),
        a("a.seed.test.", 3),
        chaos,
        Record::from_rdata(name("seed.test."), TTL, v6),
        a("seed.test.", 2),
        a("Seed.Test.", 5),
    ];
    assert_eq!(
        classify(&question, &answer(&question, records)),
        addresses([2, 5])
    );
}

#[test]
fn cname_chain_is_followed_in_any_order() {
    let question = question();
    let records = vec![
        a("end.test.", 1),
        cname("middle.test.", "end.test."),
        // Not at the end.
        a("middle.test.", 2),
        a("seed.test.", 3),
        cname("seed.test.", "middle.test."),
    ];
    assert_eq!(
        classify(&question, &answer(&question, records)),
        addresses([1])
    );
    let without_end = vec![cname("seed.test.", "end.test.")];
    assert_eq!(
        classify(&question, &answer(&question, without_end)),
        DnsPacket::Answer(Ok(DnsAnswer::NoAddress))
    );
}

#[test]
fn cname_chain_is_limited_and_loops_fail() {
    let question = question();
    let chain = |links: usize| {
        let owner = |at: usize| match at {
            0 => "seed.test.".to_owned(),
            at => format!("n{at}.test."),
        };
        let mut records: Vec<_> = (0..links)
            .map(|at| cname(&owner(at), &owner(at + 1)))
            .collect();
        records.push(a(&owner(links), 1));
        answer(&question, records)
    };
    let cname_loop = DnsPacket::Answer(Err(ServerError::CnameLoop));
    assert_eq!(classify(&question, &chain(16)), addresses([1]));
    assert_eq!(classify(&question, &chain(17)), cname_loop);

    let circle = vec![
        cname("seed.test.", "one.test."),
        cname("one.test.", "two.test."),
        cname("two.test.", "one.test."),
        a("one.test.", 1),
    ];
    assert_eq!(classify(&question, &answer(&question, circle)), cname_loop);
}

#[test]
fn addresses_of_one_family_are_limited() {
    let question = question();
    let records = (0..=255).map(|last| a("seed.test.", last)).collect();
    assert_eq!(
        classify(&question, &answer(&question, records)),
        addresses(0..128)
    );
}

#[test]
fn truncated_reply_is_not_used() {
    let question = question();
    let mut message = answer(&question, vec![a("seed.test.", 1)]);
    message.metadata.truncation = true;
    assert_eq!(classify(&question, &message), DnsPacket::Truncated);
}

#[test]
fn malformed_reply_fails_only_with_matching_question() {
    let question = question();
    let whole = answer(&question, vec![a("seed.test.", 1)])
        .to_vec()
        .unwrap();
    let question_end = 12 + "seed.test.".len() + 1 + 4;
    for len in 0..whole.len() {
        let expected = if len < question_end {
            DnsPacket::Unrelated
        } else {
            DnsPacket::Answer(Err(ServerError::Malformed))
        };
        assert_eq!(
            classify_packet(&whole[..len], &question),
            expected,
            "{len} bytes"
        );
    }
    // An excessive number of records does not allocate memory for them.
    let mut claims = whole;
    claims[6..8].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(
        classify_packet(&claims, &question),
        DnsPacket::Answer(Err(ServerError::Malformed))
    );
}

#[test]
fn refusal_without_question_is_a_failure() {
    let question = question();
    let coded = |code| {
        let mut message = answer(&question, Vec::new());
        message.metadata.response_code = code;
        message
    };
    assert_eq!(
        classify(&question, &coded(ResponseCode::NoError)),
        DnsPacket::Answer(Ok(DnsAnswer::NoAddress))
    );
    let mut denial = coded(ResponseCode::NXDomain);
    assert_eq!(
        classify(&question, &denial),
        DnsPacket::Answer(Ok(DnsAnswer::NoName))
    );
    denial.queries.clear();
    assert_eq!(classify(&question, &denial), DnsPacket::Unrelated);
    for (response_code, code) in [(ResponseCode::ServFail, 2), (ResponseCode::Refused, 5)] {
        let refused = DnsPacket::Answer(Err(ServerError::Refused { code }));
        let mut message = coded(response_code);
        assert_eq!(classify(&question, &message), refused);
        message.queries.clear();
        assert_eq!(classify(&question, &message), refused);
    }
}

#[test]
fn server_without_edns_is_queried_without_it() {
    let mut question = question();
    for (response_code, code) in [(ResponseCode::FormErr, 1), (ResponseCode::NotImp, 4)] {
        let mut message = answer(&question, Vec::new());
        message.metadata.response_code = response_code;
        message.queries.clear();
        question.with_edns = true;
        assert_eq!(classify(&question, &message), DnsPacket::NeedsPlainQuestion);
        question.with_edns = false;
        assert_eq!(
            classify(&question, &message),
            DnsPacket::Answer(Err(ServerError::Refused { code }))
        );
    }
}

#[test]
fn arbitrary_packets_do_not_panic() {
    use proptest::prelude::*;
    let question = question();
    let good = answer(
        &question,
        vec![cname("seed.test.", "end.test."), a("end.test.", 1)],
    )
    .to_vec()
    .unwrap();
    let changed = proptest::collection::vec((0..good.len(), any::<u8>()), 1..8);
    proptest!(|(changes in changed)| {
        let mut packet = good.clone();
        for (at, byte) in changes {
            packet[at] = byte;
        }
        classify_packet(&packet, &question);
    });
    proptest!(|(mut packet in proptest::collection::vec(any::<u8>(), 0..600))| {
        if let Some(id) = packet.first_chunk_mut::<2>() {
            *id = question.id.to_be_bytes();
        }
        classify_packet(&packet, &question);
    });
}

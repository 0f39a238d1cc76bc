//! Requests for transactions.

use super::*;

#[test]
fn transactions_return_in_request_order() {
    let mut requests = requests();
    let txids = [1, 2, 1, 3].map(|number| tx(number).txid());
    let (ticket, entries) = request_transactions(&mut requests, &txids);
    let expected = [txids[0], txids[1], txids[3]].map(Inventory::Tx);
    assert_eq!(entries, expected);
    assert!(answers(&mut requests, tx(3)));
    assert!(!answers(&mut requests, tx(4)));
    let missing = [Inventory::Tx(txids[1]), Inventory::Tx(tx(4).txid())];
    let rest = not_found(&missing[1..]);
    assert_eq!(unanswered(&mut requests, not_found(&missing)), Some(rest));
    assert!(!answers(&mut requests, tx(3)), "it was received before");
    assert_open(&ticket);
    assert!(answers(&mut requests, tx(1)));
    assert_answer(&ticket, vec![Some(tx(1)), None, Some(tx(1)), Some(tx(3))]);
}

#[test]
fn one_transaction_completes_all_its_requests() {
    let mut requests = requests();
    let txid = tx(1).txid();
    let mut request = || request_transactions(&mut requests, &[txid]).0;
    let [one, two, three, four] = [(); 4].map(|()| request());
    assert!(answers(&mut requests, tx(1)));
    assert_answer(&one, vec![Some(tx(1))]);
    assert!(answers(&mut requests, tx(1)));
    assert_answer(&two, vec![Some(tx(1))]);
    let missing = not_found(&[Inventory::Tx(txid)]);
    assert!(answers(&mut requests, missing.clone()));
    assert_answer(&three, vec![Some(tx(1))]);
    requests.cancel(four.id);
    assert_answer(&four, vec![Some(tx(1))]);

    let (alone, _) = request_transactions(&mut requests, &[txid]);
    assert!(answers(&mut requests, missing.clone()));
    assert_answer(&alone, vec![None]);
    assert_eq!(unanswered(&mut requests, missing.clone()), Some(missing));
}

#[test]
fn oversized_transaction_ends_oldest_request() {
    let mut requests = requests();
    let mut request = |number| request_transactions(&mut requests, &[tx(number).txid()]).0;
    let [one, two] = [1, 2].map(&mut request);
    assert!(answers_discarded(&mut requests, "tx"));
    assert_failure(&one, too_large());
    requests.cancel(two.id);
    let (three, _) = request_transactions(&mut requests, &[tx(3).txid()]);
    assert!(!answers_discarded(&mut requests, "tx"));
    assert_open(&three);
    requests.cancel(three.id);
    assert!(three.answer.try_recv().is_err());
}

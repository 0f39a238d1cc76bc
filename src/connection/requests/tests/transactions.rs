//! Requests for transactions.

use super::*;

#[test]
fn transactions_return_in_request_order() {
    let mut requests = requests();
    let txids = [1, 2, 1, 3].map(|number| tx(number).txid());
    let (asked, entries) = ask_transactions(&mut requests, &txids);
    let expected = [txids[0], txids[1], txids[3]].map(Inventory::Tx);
    assert_eq!(entries, expected);
    assert!(answers(&mut requests, tx(3)));
    assert!(!answers(&mut requests, tx(4)));
    let named = [Inventory::Tx(txids[1]), Inventory::Tx(tx(4).txid())];
    let rest = not_found(&named[1..]);
    assert_eq!(left(&mut requests, not_found(&named)), Some(rest));
    assert!(!answers(&mut requests, tx(3)), "it came before");
    waits(&asked);
    assert!(answers(&mut requests, tx(1)));
    got(&asked, vec![Some(tx(1)), None, Some(tx(1)), Some(tx(3))]);
}

#[test]
fn one_transaction_completes_all_its_requests() {
    let mut requests = requests();
    let txid = tx(1).txid();
    let mut ask = || ask_transactions(&mut requests, &[txid]).0;
    let [one, two, three, four] = [(); 4].map(|()| ask());
    assert!(answers(&mut requests, tx(1)));
    got(&one, vec![Some(tx(1))]);
    assert!(answers(&mut requests, tx(1)));
    got(&two, vec![Some(tx(1))]);
    let missing = not_found(&[Inventory::Tx(txid)]);
    assert!(answers(&mut requests, missing.clone()));
    got(&three, vec![Some(tx(1))]);
    requests.cancel(four.id);
    got(&four, vec![Some(tx(1))]);

    let (alone, _) = ask_transactions(&mut requests, &[txid]);
    assert!(answers(&mut requests, missing.clone()));
    got(&alone, vec![None]);
    assert_eq!(left(&mut requests, missing.clone()), Some(missing));
}

#[test]
fn oversized_transaction_ends_oldest_request() {
    let mut requests = requests();
    let mut ask = |number| ask_transactions(&mut requests, &[tx(number).txid()]).0;
    let [one, two] = [1, 2].map(&mut ask);
    assert!(is_passed_over(&mut requests, "tx"));
    failed(&one, too_large());
    requests.cancel(two.id);
    let (three, _) = ask_transactions(&mut requests, &[tx(3).txid()]);
    assert!(!is_passed_over(&mut requests, "tx"));
    waits(&three);
    requests.cancel(three.id);
    assert!(three.answer.try_recv().is_err());
}

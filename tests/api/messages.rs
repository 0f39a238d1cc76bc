//! Messages, hashes, transactions and blocks.

use bsv_p2p::bytes::Bytes;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{
    AssociationId, Block, Command, GetData, Inv, Inventory, NetworkAddress, RejectCode, Services,
    StreamPolicy, Tx, Txid,
};

use crate::{TestResult, payment};

#[test]
fn lists_are_built_from_vectors_and_iterators() {
    let entries = vec![Inventory::Tx(Txid([1; 32])), Inventory::Tx(Txid([2; 32]))];
    let txids = [Txid([1; 32]), Txid([2; 32])];
    let request = GetData::new(entries.clone());
    assert_eq!(request, GetData::from(entries.clone()));
    assert_eq!(request, GetData::transactions(txids));
    assert_eq!(request, entries.iter().copied().collect());
    let mut inv = Inv::default();
    inv.extend(entries.clone());
    assert_eq!((inv.len(), inv.is_empty()), (2, false));
    for (entry, expected) in (&inv).into_iter().zip(&entries) {
        assert_eq!(entry, expected);
    }
}

#[test]
fn hashes_convert_from_and_to_all_forms() -> TestResult {
    let digits = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
    let txid = Txid::from_hex(digits)?;
    assert_eq!(digits.parse(), Ok(txid));
    assert_eq!(
        (txid.to_string(), format!("{txid:x}")),
        (digits.into(), digits.into())
    );
    let bytes: &[u8] = txid.as_ref();
    assert_eq!(Txid::try_from(bytes)?, txid);
    assert_eq!(Txid::try_from(bytes.to_vec())?, txid);
    assert!(Txid::try_from(vec![0; 31]).is_err());
    Ok(())
}

#[test]
fn transactions_show_their_parts_directly() -> TestResult {
    let payment = payment();
    let tx = Tx::from(&payment);
    assert_eq!(tx.txid(), payment.txid());
    assert_eq!((tx.inputs().len(), tx.outputs().len()), (1, 1));
    let total: i64 = tx.outputs().map(|output| output.value).sum();
    assert_eq!(total, 1_000);
    assert_eq!(tx.len(), tx.bytes().len());
    assert_eq!(
        (tx.version(), tx.lock_time(), tx.is_coinbase()),
        (1, 0, false)
    );
    assert_eq!(Tx::try_from(tx.bytes().to_vec())?, tx);
    assert_eq!(Tx::try_from(tx.bytes().clone())?, tx);
    assert!(Tx::try_from(Bytes::from_static(b"invalid")).is_err());
    Ok(())
}

#[test]
fn blocks_show_their_parts_directly() -> TestResult {
    let node = LocalNode::start()?;
    node.submit(&payment())?;
    let hash = node.mine_block()?;
    let block = node.block(hash).ok_or("no block")?;
    assert_eq!((block.hash(), block.len()), (hash, block.bytes().len()));
    assert_eq!(block.transaction_count(), 2);
    assert_eq!(block.txids().last(), Some(payment().txid()));
    for (transaction, txid) in block.transactions().zip(block.txids()) {
        assert_eq!(transaction.txid(), txid);
    }
    assert_eq!(Block::try_from(block.bytes().to_vec())?, block);
    assert!(Block::try_from(vec![0; 80]).is_err());
    Ok(())
}

#[test]
fn small_types_parse_what_they_print() -> TestResult {
    let services = Services::NETWORK | Services::BLOOM;
    assert!(services.contains(Services::BLOOM));
    assert_eq!(services.to_string().parse::<Services>()?, services);
    assert_eq!("inv".parse::<Command>()?, Command::new("inv"));
    let policy = StreamPolicy::BlockPriority;
    assert_eq!(policy.to_string().parse::<StreamPolicy>()?, policy);
    let code = RejectCode::DUPLICATE;
    assert_eq!(code.to_string().parse::<RejectCode>()?, code);
    let address: NetworkAddress = "203.0.113.9:8333 (NETWORK)".parse()?;
    assert_eq!(address.to_string().parse::<NetworkAddress>()?, address);
    let id = AssociationId::Uuid(bsv_p2p::uuid::Uuid::nil());
    assert_eq!(id.to_string().parse::<AssociationId>()?, id);
    Ok(())
}

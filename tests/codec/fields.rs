//! A decoded message as the `fields` of a vector.

use bsv_p2p::wire::{
    AssociationId, BlockHash, BlockHeader, DatarefTx, EnrichedHeader, Inventory, Mempool,
    MerkleProof, Message, NetworkAddress, ProofSubject, RevokeMid, TransactionView, Version,
    WireString,
};
use serde_json::{Map, Value, json};

/// Returns the fields under the names of the vectors, or `None` for an unknown message.
pub(crate) fn fields(message: &Message) -> Option<Value> {
    Some(match message {
        Message::Verack
        | Message::GetAddr
        | Message::SendHeaders
        | Message::SendHdrsEn
        | Message::FilterClear
        | Message::Mempool(Mempool::Empty) => json!({}),
        Message::Version(version) => version_fields(version),
        Message::Protoconf(protoconf) => object([
            (
                "number_of_fields",
                Some(json!(1 + u8::from(protoconf.stream_policies.is_some()))),
            ),
            (
                "max_recv_payload_length",
                Some(json!(protoconf.max_receive_payload)),
            ),
            (
                "stream_policies",
                protoconf.stream_policies.as_ref().map(string),
            ),
        ]),
        Message::Ping(ping) => object([("nonce", ping.nonce.map(Value::from))]),
        Message::Pong(pong) => object([("nonce", pong.nonce.map(Value::from))]),
        Message::SendCmpct(wish) => json!({
            "announce": u8::from(wish.announce),
            "version": wish.version,
        }),
        Message::FeeFilter(filter) => json!({ "fee_rate": filter.rate }),
        Message::Authch(authch) => json!({
            "version": authch.version,
            "length": authch.challenge.len(),
            "challenge": hex::encode(authch.challenge),
        }),
        Message::Authresp(answer) => json!({
            "public_key": hex::encode(answer.public_key),
            "client_nonce": answer.client_nonce,
            "signature": hex::encode(&answer.signature),
        }),
        Message::RevokeMid(revokemid) => json!({
            "version": RevokeMid::VERSION,
            "revocation_key": hex::encode(revokemid.revocation_key),
            "miner_id": hex::encode(revokemid.miner_id),
            "id_to_revoke": hex::encode(revokemid.id_to_revoke),
            "signature1": hex::encode(&revokemid.signature1),
            "signature2": hex::encode(&revokemid.signature2),
        }),
        Message::CreateStrm(request) => json!({
            "association_id": association_id(request.association_id),
            "stream_type": request.stream_type.to_byte(),
            "stream_policy": string(&request.stream_policy),
        }),
        Message::StreamAck(answer) => json!({
            "association_id": association_id(answer.association_id),
            "stream_type": answer.stream_type.to_byte(),
        }),
        Message::Mempool(request) => json!({ "age": request.age() }),
        Message::FilterLoad(filter) => json!({
            "filter": hex::encode(filter.data()),
            "hash_funcs": filter.hash_functions(),
            "tweak": filter.tweak(),
            "flags": filter.flags().0,
        }),
        Message::FilterAdd(add) => json!({ "data": hex::encode(&add.data) }),
        Message::Alert(alert) => json!({
            "message": hex::encode(&alert.message),
            "signature": hex::encode(&alert.signature),
        }),
        Message::Addr(addr) => {
            let entries = addr.addresses.iter().map(|entry| {
                let mut fields = address(&entry.address);
                fields["time"] = json!(entry.time);
                fields
            });
            json!({ "addresses": entries.collect::<Value>() })
        }
        Message::Inv(inv) => inventory(&inv.inventory),
        Message::GetData(getdata) => inventory(&getdata.inventory),
        Message::NotFound(notfound) => inventory(&notfound.inventory),
        Message::GetBlocks(request) => locator(request.version, &request.locator, request.stop),
        Message::GetHeaders(request) => locator(request.version, &request.locator, request.stop),
        Message::GetHdrsEn(request) => locator(request.version, &request.locator, request.stop),
        Message::Headers(headers) => {
            json!({ "headers": headers.headers.iter().map(header).collect::<Value>() })
        }
        Message::Block(block) => json!({
            "header": header(&block.header()),
            "transactions": block.transactions().map(transaction).collect::<Value>(),
        }),
        Message::CompactBlock(compact) => {
            let mut next = 0;
            let prefilled = compact.prefilled().map(|(index, tx)| {
                let between = index - next;
                next = index + 1;
                json!({ "diff_index": between, "tx": transaction(tx) })
            });
            json!({
                "header": header(&compact.header()),
                "nonce": compact.nonce(),
                "short_ids": compact.short_ids().collect::<Value>(),
                "prefilled": prefilled.collect::<Value>(),
            })
        }
        Message::GetBlockTxn(request) => json!({
            "block_hash": request.block().to_string(),
            "indexes": request.indexes().collect::<Value>(),
        }),
        Message::BlockTransactions(answer) => json!({
            "block_hash": answer.block().to_string(),
            "transactions": answer.transactions().map(transaction).collect::<Value>(),
        }),
        Message::Tx(tx) => json!({ "tx": transaction(tx.view()) }),
        Message::HdrsEn(hdrsen) => {
            json!({ "headers": hdrsen.headers().map(enriched_header).collect::<Value>() })
        }
        Message::MerkleBlock(block) => json!({
            "header": header(&block.header),
            "total_transactions": block.tree.total_transactions,
            "hashes": block.tree.hashes.iter().map(ToString::to_string).collect::<Value>(),
            "flags": hex::encode(&block.tree.flags),
        }),
        Message::DatarefTx(content) => tx_and_proof(content),
        Message::DsDetected(dsdetected) => {
            let blocks = dsdetected.blocks().map(|block| {
                json!({
                    "headers": block.headers.iter().map(header).collect::<Value>(),
                    "proof": proof(&block.proof),
                })
            });
            json!({ "version": 1, "blocks": blocks.collect::<Value>() })
        }
        Message::Reject(reject) => object([
            ("message", Some(string(&reject.message))),
            ("code", Some(json!(reject.code.0))),
            ("reason", Some(string(&reject.reason))),
            ("hash", reject.hash.map(|hash| json!(hash.to_string()))),
        ]),
        _ => return None,
    })
}

fn version_fields(version: &Version) -> Value {
    object([
        ("version", Some(json!(version.version))),
        ("services", Some(json!(version.services.0))),
        ("timestamp", Some(json!(version.timestamp))),
        ("addr_recv", Some(address(&version.receiver))),
        ("addr_from", version.sender.as_ref().map(address)),
        ("nonce", version.nonce.map(Value::from)),
        ("user_agent", version.user_agent.as_ref().map(string)),
        ("start_height", version.start_height.map(Value::from)),
        ("relay", version.relay.map(|relay| json!(u8::from(relay)))),
        ("association_id", version.association_id.map(association_id)),
    ])
}

fn association_id(id: AssociationId) -> Value {
    match id {
        AssociationId::Null => json!(""),
        AssociationId::Uuid(uuid) => json!(format!("00{}", hex::encode(uuid.as_bytes()))),
    }
}

fn locator(version: i32, locator: &[BlockHash], stop: BlockHash) -> Value {
    json!({
        "version": version,
        "locator": locator.iter().map(ToString::to_string).collect::<Value>(),
        "hash_stop": stop.to_string(),
    })
}

/// Returns an address without its time.
pub(crate) fn address(address: &NetworkAddress) -> Value {
    json!({
        "services": address.services.0,
        "ip": address.ip.to_string(),
        "port": address.port,
    })
}

fn inventory(entries: &[Inventory]) -> Value {
    let entries = entries
        .iter()
        .map(|entry| json!({ "type": entry.kind(), "hash": entry.hash().to_string() }));
    json!({ "inventory": entries.collect::<Value>() })
}

fn header(header: &BlockHeader) -> Value {
    json!({
        "version": header.version,
        "prev": header.previous.to_string(),
        "merkle_root": header.merkle_root.to_string(),
        "time": header.time,
        "bits": header.bits.0,
        "nonce": header.nonce,
    })
}

fn transaction(transaction: TransactionView<'_>) -> Value {
    let inputs = transaction.inputs().map(|input| {
        json!({
            "txid": input.previous.txid.to_string(),
            "vout": input.previous.index,
            "script_sig": hex::encode(input.script),
            "sequence": input.sequence,
        })
    });
    let outputs = transaction.outputs().map(|output| {
        json!({
            "value": output.value,
            "script_pubkey": hex::encode(output.script),
        })
    });
    json!({
        "version": transaction.version(),
        "inputs": inputs.collect::<Value>(),
        "outputs": outputs.collect::<Value>(),
        "lock_time": transaction.lock_time(),
    })
}

fn enriched_header(enriched: EnrichedHeader) -> Value {
    let mut fields = header(&enriched.header);
    fields["tx_count"] = json!(enriched.transaction_count);
    fields["no_more_headers"] = json!(u8::from(enriched.no_more_headers));
    fields["coinbase"] = enriched.coinbase.as_ref().map_or(Value::Null, tx_and_proof);
    fields["miner_info"] = enriched
        .miner_info
        .as_ref()
        .map_or(Value::Null, tx_and_proof);
    fields
}

fn tx_and_proof(content: &DatarefTx) -> Value {
    json!({
        "tx": transaction(content.tx.view()),
        "proof": proof(&content.proof),
    })
}

fn proof(proof: &MerkleProof) -> Value {
    let (tx, txid) = match proof.transaction() {
        ProofSubject::Tx(tx) => (Some(transaction(tx.view())), None),
        ProofSubject::Txid(txid) => (None, Some(json!(txid.to_string()))),
    };
    let nodes = proof
        .nodes()
        .map(|node| json!({ "type": node.kind, "value": node.value.to_string() }));
    object([
        ("flags", Some(json!(proof.flags()))),
        ("index", Some(json!(proof.index()))),
        ("tx", tx),
        ("txid", txid),
        ("target", Some(json!(proof.target().hash().to_string()))),
        ("nodes", Some(nodes.collect())),
    ])
}

fn string(text: &WireString) -> Value {
    json!(text.as_str().unwrap())
}

/// Returns an object without the fields that are not there.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

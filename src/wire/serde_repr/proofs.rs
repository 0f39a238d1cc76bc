//! Human-readable forms of merkle proofs and of lists of them, with all fields.

use serde::{Deserialize, Serialize};

use super::check_hash;
use crate::wire::{
    DsDetected, DsDetectedBlock, EnrichedHeader, Hash256, HdrsEn, MAX_HEADERS, MerkleProof,
    MerkleProofNode, MerkleProofTarget, ProofSubject, Tx, Txid,
};

/// A proof. It must contain `tx` if bit 0 of the flags is set, else `txid` without `tx`.
///
/// The other bits define the meaning of `target`.
#[derive(Serialize, Deserialize)]
pub(super) struct MerkleProofSerde {
    flags: u8,
    index: u32,
    txid: Option<Txid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tx: Option<Tx>,
    target: Hash256,
    nodes: Vec<MerkleProofNode>,
}

impl From<&MerkleProof> for MerkleProofSerde {
    fn from(proof: &MerkleProof) -> Self {
        let tx = match proof.transaction() {
            ProofSubject::Tx(tx) => Some(tx.clone()),
            ProofSubject::Txid(_) => None,
        };
        Self {
            flags: proof.flags(),
            index: proof.index(),
            txid: Some(proof.txid()),
            tx,
            target: proof.target().hash(),
            nodes: proof.nodes().collect(),
        }
    }
}

impl TryFrom<MerkleProofSerde> for MerkleProof {
    type Error = String;

    fn try_from(form: MerkleProofSerde) -> Result<Self, String> {
        let whole = form.flags & MerkleProof::FLAG_TX != 0;
        let transaction = match (form.tx, form.txid) {
            (Some(tx), txid) if whole => {
                check_hash(txid, tx.txid())?;
                ProofSubject::Tx(tx)
            }
            (None, Some(txid)) if !whole => ProofSubject::Txid(txid),
            _ => {
                let flags = form.flags;
                return Err(format!(
                    "flags {flags}: expected `tx` if bit 0 is set, else `txid` only"
                ));
            }
        };
        let target = MerkleProofTarget::from_flags(form.flags, form.target);
        Ok(Self::new(form.index, transaction, target, form.nodes))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct HdrsEnSerde {
    headers: Vec<EnrichedHeader>,
}

impl From<&HdrsEn> for HdrsEnSerde {
    fn from(hdrsen: &HdrsEn) -> Self {
        Self {
            headers: hdrsen.headers().collect(),
        }
    }
}

impl TryFrom<HdrsEnSerde> for HdrsEn {
    type Error = String;

    fn try_from(form: HdrsEnSerde) -> Result<Self, String> {
        match form.headers.len() {
            0..=MAX_HEADERS => Ok(Self::new(&form.headers)),
            len => Err(format!("expected at most {MAX_HEADERS} headers, got {len}")),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct DsDetectedSerde {
    blocks: Vec<DsDetectedBlock>,
}

impl From<&DsDetected> for DsDetectedSerde {
    fn from(detected: &DsDetected) -> Self {
        Self {
            blocks: detected.blocks().collect(),
        }
    }
}

impl From<DsDetectedSerde> for DsDetected {
    fn from(form: DsDetectedSerde) -> Self {
        Self::new(&form.blocks)
    }
}

//! The parts of script parsing that a bloom filter needs: pushed data and payments to keys.

use byteorder::{ByteOrder, LittleEndian};

/// The last opcode whose number is the length of the pushed data.
const LAST_DIRECT_PUSH: u8 = 75;
const OP_PUSHDATA1: u8 = 76;
const OP_PUSHDATA2: u8 = 77;
const OP_PUSHDATA4: u8 = 78;
const OP_1: u8 = 81;
const OP_16: u8 = 96;
const OP_CHECKSIG: u8 = 172;
const OP_CHECKMULTISIG: u8 = 174;

/// One instruction of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction<'a> {
    opcode: u8,
    /// The pushed data; empty for an opcode that pushes no bytes of the script.
    pub(super) data: &'a [u8],
}

/// The instructions of a script, up to its end or to a truncated push.
#[derive(Clone, Debug)]
pub(super) struct Instructions<'a> {
    rest: &'a [u8],
}

impl<'a> Instructions<'a> {
    pub(super) fn new(script: &'a [u8]) -> Self {
        Self { rest: script }
    }
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Instruction<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&opcode, tail) = self.rest.split_first()?;
        let len_of_len = match opcode {
            OP_PUSHDATA1 => 1,
            OP_PUSHDATA2 => 2,
            OP_PUSHDATA4 => 4,
            _ => 0,
        };
        let (len, tail) = tail.split_at_checked(len_of_len)?;
        let len = match opcode {
            ..=LAST_DIRECT_PUSH => u64::from(opcode),
            OP_PUSHDATA1..=OP_PUSHDATA4 => LittleEndian::read_uint(len, len_of_len),
            _ => 0,
        };
        let (data, tail) = tail.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = tail;
        Some(Instruction { opcode, data })
    }
}

/// Returns whether an output script pays to a bare key or to m of n bare keys.
///
/// Uses the templates of the node (Bitcoin SV node 1.2.2, `src/script/standard.cpp`, `Solver`).
pub(super) fn pays_to_keys(script: &[u8]) -> bool {
    let mut instructions = Instructions::new(script);
    let matched = match instructions.next() {
        Some(first) if is_key(first) => ends_with(&mut instructions, OP_CHECKSIG),
        Some(first) => small_number(first).is_some_and(|m| pays_to_m_of_n(m, &mut instructions)),
        None => false,
    };
    matched && instructions.rest.is_empty()
}

/// Returns whether n keys, their number n with `m <= n`, and `OP_CHECKMULTISIG` follow `m`.
fn pays_to_m_of_n(m: u8, instructions: &mut Instructions<'_>) -> bool {
    let mut keys: u64 = 0;
    for instruction in instructions.by_ref() {
        if is_key(instruction) {
            keys += 1;
            continue;
        }
        let counted = small_number(instruction).is_some_and(|n| m <= n && u64::from(n) == keys);
        return counted && ends_with(instructions, OP_CHECKMULTISIG);
    }
    false
}

fn ends_with(instructions: &mut Instructions<'_>, opcode: u8) -> bool {
    instructions
        .next()
        .is_some_and(|last| last.opcode == opcode)
}

fn is_key(instruction: Instruction<'_>) -> bool {
    (33..=65).contains(&instruction.data.len())
}

/// Returns the number from 1 to 16 that the opcode pushes, if any.
fn small_number(instruction: Instruction<'_>) -> Option<u8> {
    match instruction.opcode {
        opcode @ OP_1..=OP_16 => Some(opcode - OP_1 + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushes(script: &[u8]) -> Vec<&[u8]> {
        Instructions::new(script)
            .map(|instruction| instruction.data)
            .filter(|data| !data.is_empty())
            .collect()
    }

    #[test]
    fn every_form_of_a_push_is_seen() {
        let direct = [&[75][..], &[9; 75]].concat();
        assert_eq!(pushes(&direct), [[9; 75]]);
        let one = [&[76, 76][..], &[9; 76]].concat();
        assert_eq!(pushes(&one), [[9; 76]]);
        let two = [&[77, 0, 1][..], &[9; 256]].concat();
        assert_eq!(pushes(&two), [[9; 256]]);
        let four = [&[78, 1, 0, 0, 0, 9][..], &[0x6a, 1, 8]].concat();
        assert_eq!(pushes(&four), [[9], [8]], "also after OP_RETURN");
        assert!(pushes(&[0, 81, 96, 76, 0, 255]).is_empty());
    }

    #[test]
    fn push_beyond_the_end_ends_the_script() {
        for cut in [
            &[2, 9][..],
            &[75],
            &[76],
            &[76, 1],
            &[77, 1],
            &[77, 1, 0],
            &[78, 0, 0, 0],
            &[78, 255, 255, 255, 255, 9],
        ] {
            let script = [&[1, 7][..], cut].concat();
            assert_eq!(pushes(&script), [[7]], "{cut:?}");
        }
    }

    fn key(len: u8) -> Vec<u8> {
        [&[len][..], &vec![2; usize::from(len)]].concat()
    }

    #[test]
    fn only_scripts_of_key_and_check_match() {
        for (len, pays) in [(32, false), (33, true), (65, true), (66, false)] {
            let script = [key(len), vec![OP_CHECKSIG]].concat();
            assert_eq!(pays_to_keys(&script), pays, "{len}");
        }
        for other in [
            key(33),
            [key(33), vec![OP_CHECKMULTISIG]].concat(),
            [key(33), vec![OP_CHECKSIG, 0]].concat(),
            [key(33), vec![OP_CHECKSIG, 1]].concat(),
            [&[0x76, 0xa9][..], &key(20), &[0x88, OP_CHECKSIG]].concat(),
            vec![],
        ] {
            assert!(!pays_to_keys(&other), "{other:?}");
        }
    }

    #[test]
    fn only_valid_m_of_n_scripts_match() {
        let number = |n: u8| if n == 0 { 0 } else { OP_1 + n - 1 };
        let script = |m: u8, keys: usize, n: u8| {
            let keys = key(33).repeat(keys);
            [&[number(m)][..], &keys, &[number(n), OP_CHECKMULTISIG]].concat()
        };
        for (m, keys, n, pays) in [
            (1, 1, 1, true),
            (2, 3, 3, true),
            (16, 16, 16, true),
            (3, 2, 2, false),
            (0, 1, 1, false),
            (1, 0, 0, false),
            (1, 2, 1, false),
            (1, 1, 2, false),
        ] {
            assert_eq!(
                pays_to_keys(&script(m, keys, n)),
                pays,
                "{m} of {n}, {keys}"
            );
        }
        let good = script(1, 2, 2);
        assert!(!pays_to_keys(&good[..good.len() - 1]));
        assert!(!pays_to_keys(&good[..good.len() - 2]));
        assert!(!pays_to_keys(&[&good[..], &[OP_CHECKSIG]].concat()));
    }
}

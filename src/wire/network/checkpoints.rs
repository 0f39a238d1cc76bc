//! Built-in checkpoints.
//!
//! Sources: Bitcoin SV node 1.2.2 (`src/chainparams.cpp`) and the chain parameters of the Go
//! implementation (`go-chaincfg`).

use crate::wire::BlockHash;

/// The checkpoints of mainnet. Height 478,558 separates it from BTC, height 556,767 from BCH.
pub(super) const MAINNET: [(u32, BlockHash); 38] = [
    (
        11_111,
        hash(b"0000000069e244f73d78e8fd29ba2fd2ed618bd6fa2ee92559f542fdb26e7c1d"),
    ),
    (
        33_333,
        hash(b"000000002dd5588a74784eaa7ab0507a18ad16a236e7b1ce69f00d7ddfb5d0a6"),
    ),
    (
        74_000,
        hash(b"0000000000573993a3c9e41ce34471c079dcf5f52a0e824a81e7f953b8661a20"),
    ),
    (
        105_000,
        hash(b"00000000000291ce28027faea320c8d2b054b2e0fe44a773f3eefb151d6bdc97"),
    ),
    (
        134_444,
        hash(b"00000000000005b12ffd4cd315cd34ffd4a594f430ac814c91184a0d42d2b0fe"),
    ),
    (
        168_000,
        hash(b"000000000000099e61ea72015e79632f216fe6cb33d7899acb35b75c8303b763"),
    ),
    (
        193_000,
        hash(b"000000000000059f452a5f7340de6682a977387c17010ff6e6c3bd83ca8b1317"),
    ),
    (
        210_000,
        hash(b"000000000000048b95347e83192f69cf0366076336c639f9b7228e9ba171342e"),
    ),
    (
        216_116,
        hash(b"00000000000001b4f4b433e81ee46494af945cf96014816a4e2370f11b23df4e"),
    ),
    (
        225_430,
        hash(b"00000000000001c108384350f74090433e7fcf79a606b8e797f065b130575932"),
    ),
    (
        250_000,
        hash(b"000000000000003887df1f29024b06fc2200b55f8af8f35453d7be294df2d214"),
    ),
    (
        267_300,
        hash(b"000000000000000a83fbd660e918f218bf37edd92b748ad940483c7c116179ac"),
    ),
    (
        279_000,
        hash(b"0000000000000001ae8c72a0b0c301f67e3afca10e819efa9041e458e9bd7e40"),
    ),
    (
        295_000,
        hash(b"00000000000000004d9b4ef50f0f9d686fd69db2e03af35a100370c64632a983"),
    ),
    (
        300_255,
        hash(b"0000000000000000162804527c6e9b9f0563a280525f9d08c12041def0a0f3b2"),
    ),
    (
        319_400,
        hash(b"000000000000000021c6052e9becade189495d1c539aa37c58917305fd15f13b"),
    ),
    (
        343_185,
        hash(b"0000000000000000072b8bf361d01a6ba7d445dd024203fafc78768ed4368554"),
    ),
    (
        352_940,
        hash(b"000000000000000010755df42dba556bb72be6a32f3ce0b6941ce4430152c9ff"),
    ),
    (
        382_320,
        hash(b"00000000000000000a8dc6ed5b133d0eb2fd6af56203e4159789b092defd8ab2"),
    ),
    (
        400_000,
        hash(b"000000000000000004ec466ce4732fe6f1ed1cddc2ed4b328fff5224276e3f6f"),
    ),
    (
        430_000,
        hash(b"000000000000000001868b2bb3a285f3cc6b33ea234eb70facf4dcdf22186b87"),
    ),
    (
        470_000,
        hash(b"0000000000000000006c539c722e280a0769abd510af0073430159d71e6d7589"),
    ),
    (
        478_558,
        hash(b"0000000000000000011865af4122fe3b144e2cbeea86142e8ff2fb4107352d43"),
    ),
    (
        504_031,
        hash(b"0000000000000000011ebf65b60d0a3de80b8175be709d653b4c1a1beeb6ab9c"),
    ),
    (
        510_000,
        hash(b"00000000000000000367922b6457e21d591ef86b360d78a598b14c2f1f6b0e04"),
    ),
    (
        530_359,
        hash(b"0000000000000000011ada8bd08f46074f44a8f155396f43e38acf9501c49103"),
    ),
    (
        552_979,
        hash(b"0000000000000000015648768ac1b788a83187d706f858919fcc5c096b76fbf2"),
    ),
    (
        556_767,
        hash(b"000000000000000001d956714215d96ffc00e0afda4cd0a96c96f8d802b1662b"),
    ),
    (
        600_000,
        hash(b"00000000000000000866448ef293f900812d4af8e08cbe7ef62888eee9d29c4c"),
    ),
    (
        650_000,
        hash(b"00000000000000000310c17bbb4f3f8e5371a41ec2cee36a39876042019b725b"),
    ),
    (
        700_000,
        hash(b"00000000000000000e155235fd83a8757c44c6299e63104fb12632368f3f0cc9"),
    ),
    (
        750_000,
        hash(b"000000000000000006296f1e5437dd6c01b9b5471691a89a9c7d8e9f06920da5"),
    ),
    (
        800_000,
        hash(b"000000000000000000ad9056924410005d91b57f100bce345944e5caf56e8565"),
    ),
    (
        850_000,
        hash(b"0000000000000000039302a65227ab75fd93904ebe2e62421d1c66b15808b23b"),
    ),
    (
        868_500,
        hash(b"00000000000000000a4c8747ee369c2f4645cf7b55db534851fdc1a040f74de4"),
    ),
    (
        900_000,
        hash(b"000000000000000002feb6a36e1b8bf81409d0252e285449e3d0ef2388c5506a"),
    ),
    (
        938_000,
        hash(b"000000000000000002616a5ad2413acf7cf122c5aa27fbd29bfa0e8c12dd455b"),
    ),
    (
        945_000,
        hash(b"00000000000000000c39d94e19d6a55cfb0454918df1814fbcd919353a6e1f82"),
    ),
];

/// The checkpoints of testnet.
pub(super) const TESTNET: [(u32, BlockHash); 21] = [
    (
        546,
        hash(b"000000002a936ca763904c3c35fce2f3556c559c0214345d31b1bcebf76acb70"),
    ),
    (
        100_000,
        hash(b"00000000009e2958c15ff9290d571bf9459e93b19765c6801ddeccadbb160a1e"),
    ),
    (
        200_000,
        hash(b"0000000000287bffd321963ef05feab753ebe274e1d78b2fd4e2bfe9ad3aa6f2"),
    ),
    (
        300_001,
        hash(b"0000000000004829474748f3d1bc8fcf893c88be255e6d7f571c548aff57abf4"),
    ),
    (
        400_002,
        hash(b"0000000005e2c73b8ecb82ae2dbc2e8274614ebad7172b53528aba7501f5a089"),
    ),
    (
        500_011,
        hash(b"00000000000929f63977fbac92ff570a9bd9e7715401ee96f2848f7b07750b02"),
    ),
    (
        600_002,
        hash(b"000000000001f471389afd6ee94dcace5ccc44adc18e8bff402443f034b07240"),
    ),
    (
        700_000,
        hash(b"000000000000406178b12a4dea3b27e13b3c4fe4510994fd667d7c1e6a3f4dc1"),
    ),
    (
        800_010,
        hash(b"000000000017ed35296433190b6829db01e657d80631d43f5983fa403bfdb4c1"),
    ),
    (
        900_000,
        hash(b"0000000000356f8d8924556e765b7a94aaebc6b5c8685dcfa2b1ee8b41acd89b"),
    ),
    (
        1_000_007,
        hash(b"00000000001ccb893d8a1f25b70ad173ce955e5f50124261bbbc50379a612ddf"),
    ),
    (
        1_100_000,
        hash(b"00000000001c2fb9880485b1f3d7b0ffa9fabdfd0cf16e29b122bb6275c73db0"),
    ),
    (
        1_155_875,
        hash(b"00000000f17c850672894b9a75b63a1e72830bbd5f4c8889b5c1a80e7faef138"),
    ),
    (
        1_188_697,
        hash(b"0000000000170ed0918077bde7b4d36cc4c91be69fa09211f748240dabe047fb"),
    ),
    (
        1_200_000,
        hash(b"00000000d91bdbb5394bcf457c0f0b7a7e43eb978e2d881b6c2a4c2756abc558"),
    ),
    (
        1_300_000,
        hash(b"00000000000000f7569d4d0af19d8d0b59bb0b1a989caf0f552afb5c00d38fbf"),
    ),
    (
        1_400_000,
        hash(b"000000000000008f84faa5afa3e30bce81599108f932eabdf9ee3d39bb225e5b"),
    ),
    (
        1_500_000,
        hash(b"00000000000005a00d805e3555e53f18c6276cb5ddc90a3ceeaeaf03bb2fdbea"),
    ),
    (
        1_600_000,
        hash(b"000000000000133137efc60aab38163c0d032d651826ccbda90b169f3bcec6dd"),
    ),
    (
        1_700_000,
        hash(b"000000000004862daef0df15508b0a88efb75faa5be0c521409a29832e23d07c"),
    ),
    (
        1_730_000,
        hash(b"00000000000e61efa6a236cd94662eefc814a24affb9f24b002ebc4b018e4256"),
    ),
];

/// The checkpoints of teratestnet.
pub(super) const TERATESTNET: [(u32, BlockHash); 3] = [
    (
        5_000,
        hash(b"00000000038392cdae17df19464dfcccadb754b24441d11f3294cc04a90749b8"),
    ),
    (
        9_500,
        hash(b"00000000bd750801352dd82fcb0e675d62a308b38a6486698308ae06fcb3bc10"),
    ),
    (
        18_000,
        hash(b"00000000174095c3c94343b28d29f45010b44bf221e22df5cea6e0ce547a10b5"),
    ),
];

/// Parses a printed block hash at compile time.
pub(super) const fn hash(printed: &[u8; 64]) -> BlockHash {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[31 - at] = digit(printed[2 * at]) << 4 | digit(printed[2 * at + 1]);
        at += 1;
    }
    BlockHash(bytes)
}

const fn digit(character: u8) -> u8 {
    match character {
        b'0'..=b'9' => character - b'0',
        b'a'..=b'f' => character - b'a' + 10,
        _ => panic!("expected a lower-case hexadecimal digit"),
    }
}

//! The fuzz targets, run over every stored fuzz input and every test vector.

mod seeds;
#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 7] = [
    ("frames", targets::frames::run),
    ("header_chain", targets::header_chain::run),
    ("header_file", targets::header_file::run),
    ("messages", targets::messages::run),
    ("reconstruction", targets::reconstruction::run),
    ("session", targets::session::run),
    ("views", targets::views::run),
];

fn fuzz_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz")
        .join(name)
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let stem = |entry: fs::DirEntry| {
        let path = entry.path();
        path.file_stem().unwrap().to_string_lossy().into_owned()
    };
    entries.map(|entry| stem(entry.unwrap())).collect()
}

/// Runs a target, and prints the input if it panics.
fn run(target: Target, name: &str, input: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(result.is_ok(), "the input is {name}");
}

#[test]
fn every_target_is_fuzzed_and_has_inputs() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz_dir("bins")), known);
    assert_eq!(names(&fuzz_dir("corpus")), known);
}

#[test]
fn every_input_that_fuzzing_has_kept_holds() {
    for (name, target) in TARGETS {
        let dir = fuzz_dir("corpus").join(name);
        let inputs = names(&dir);
        assert!(!inputs.is_empty(), "{name} has no inputs");
        for input in inputs {
            let path = dir.join(input);
            run(
                target,
                &path.display().to_string(),
                &fs::read(&path).unwrap(),
            );
        }
    }
}

/// Also writes the vectors as initial inputs for fuzzing: `seeds/TARGET` in the temporary folder of
/// the tests.
#[test]
fn every_test_vector_holds_in_every_target() {
    for (name, target) in TARGETS {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("seeds")
            .join(name);
        fs::create_dir_all(&dir).unwrap();
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(dir.join(format!("{number:03}")), seed).unwrap();
            run(target, &format!("seed {number} of {name}"), seed);
        }
    }
}

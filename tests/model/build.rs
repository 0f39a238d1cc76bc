//! Chooses the atomics that `loom` watches. Here alone: the library is never built with them.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}

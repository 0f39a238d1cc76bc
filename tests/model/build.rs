//! Selects the atomics of `loom`. Used only here: the library is never built with them.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}

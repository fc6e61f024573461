// What keel.h asks of the linker: one exported symbol, everything bound at load, never unloaded.
fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={folder}/exports.map");
    for flag in ["nodelete", "now", "relro", "noexecstack", "defs"] {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,{flag}");
    }
}

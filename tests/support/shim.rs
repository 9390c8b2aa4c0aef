//! Libraries in C that are loaded into a server before all others, to have parts of the system behave otherwise.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles a source file of this repository to a library for `LD_PRELOAD`.
pub fn compile(source: &str, library: &Path) {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(source);
    let mut compile = Command::new("cc");
    compile.args(["-O1", "-shared", "-fPIC", "-o"]).arg(library).arg(&source).args(["-ldl", "-lpthread"]);
    assert!(compile.status().expect("cc runs").success(), "cc cannot compile {}", source.display());
}

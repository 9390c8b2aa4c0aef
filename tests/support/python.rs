//! Python with packages, for tests that use somebody else's tools: an environment of its own under `target`, made once
//! and kept until the list of packages changes.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

/// The directory of the programs that the packages in `requirements` install. Pins stand in that file.
pub fn programs(requirements: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name: String = requirements.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    let wanted = std::fs::read_to_string(root.join(requirements)).expect("the list of packages");
    // One at a time: test programs may run beside each other.
    let lock = File::create(home.with_extension("lock")).expect("a lock file");
    lock.lock().expect("locked");
    let made = home.join("made-from.txt");
    if std::fs::read_to_string(&made).is_ok_and(|from| from == wanted) {
        return home.join("bin");
    }
    let _ = std::fs::remove_dir_all(&home);
    run(Command::new("python3").args(["-m", "venv"]).arg(&home));
    run(Command::new(home.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(root.join(requirements)));
    std::fs::write(made, wanted).expect("noted");
    home.join("bin")
}

/// Runs a program that must end well; what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}

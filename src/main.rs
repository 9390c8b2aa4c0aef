//! The carillon server: calls one function.

use std::process::ExitCode;

fn main() -> ExitCode {
    carillon::cli::run()
}

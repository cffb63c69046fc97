//! The recording server.

use std::process::ExitCode;

fn main() -> ExitCode {
    deskreel_server::main()
}

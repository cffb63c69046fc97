//! The `deskreel` command: recording, checking, looking.

use std::process::ExitCode;

fn main() -> ExitCode {
    deskreel_cli::main()
}

//! The `deskreel` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    deskreel_cli::main()
}

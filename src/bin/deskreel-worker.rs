//! The worker that `deskreel` starts for each recording.

use std::process::ExitCode;

fn main() -> ExitCode {
    deskreel_engine::main()
}

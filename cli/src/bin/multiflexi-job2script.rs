//! `multiflexi-job2script`.

use std::process::ExitCode;

fn main() -> ExitCode {
    multiflexi_cli::job2script()
}

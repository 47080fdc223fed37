//! `multiflexi-job2env`.

use std::process::ExitCode;

fn main() -> ExitCode {
    multiflexi_cli::job2env()
}

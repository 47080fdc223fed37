//! `multiflexi-cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    multiflexi_cli::multiflexi_cli()
}

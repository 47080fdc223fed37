//! The program's own log, on stderr: text for people, JSON for machines. `RUST_LOG`
//! says what is in it; without that, everything from `info` on.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Says a line on stderr. A stderr that takes nothing, on a full disk or behind a
/// reader that is gone, stops nobody: `eprintln!` would panic.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {{
        use ::std::io::Write as _;
        let _ = ::std::writeln!(::std::io::stderr(), $($words)*);
    }};
}

/// Starts the log. `default` is the filter that holds without `RUST_LOG`.
pub fn start(format: Format, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    // An error of the log itself would be said with `eprintln!`, which panics.
    // A second start in one process (a test) leaves the first as it is.
    let _ = match format {
        Format::Text => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let layer = fmt::layer().with_writer(io::stderr).with_ansi(colours).with_target(false);
            registry.with(layer.log_internal_errors(false)).try_init()
        }
        Format::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(layer.log_internal_errors(false)).try_init()
        }
    };
}

# The daily recipes. `just` lists them; CI runs the same ones.

_list:
    @just --list --unsorted

# A scheduler and an agent on this host, until Ctrl-C
run *ARGS:
    cargo run --release -- dev --data-dir target/dev {{ARGS}}

# One job through its whole life
demo:
    cargo run -- demo

# All tests that need nothing but this toolchain
test:
    cargo test --workspace

# Formatting, clippy with warnings as errors, licences and sources of dependencies
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check licenses bans sources

# The store's suite and much else on servers of its own (apt-get install postgresql mariadb-server)
databases:
    cargo test -p multiflexi-scheduler --test store -- --ignored
    cargo test -p multiflexi-e2e -- --ignored encryption:: schedulers:: transfer::
    MULTIFLEXI_TEST_DATABASE=mariadb cargo test -p multiflexi-e2e -- --include-ignored life:: control:: output:: restarts:: retries:: actions:: lists:: credentials:: schedulers:: transfer::everything

# The same on MySQL 8 or newer, whose mysqld and mysql have to be in PATH
mysql:
    cargo test -p multiflexi-scheduler --test store -- --ignored on_mysql
    MULTIFLEXI_TEST_DATABASE=mysql cargo test -p multiflexi-e2e -- --include-ignored life:: control:: output:: restarts:: retries:: actions:: lists:: credentials:: schedulers:: transfer::everything

# Logs and artifacts on an S3 server of the tests' own
objects:
    cargo test -p multiflexi-e2e -- --ignored object_store::

# An import from a PHP MultiFlexi's database, on a MariaDB of its own (apt-get install mariadb-server)
adoption:
    cargo test -p multiflexi-e2e adoption -- --ignored

# A real Zabbix server that is told what happens (apt-get install zabbix-server-pgsql zabbix-frontend-php zabbix-agent php-cli php-pgsql)
zabbix:
    cargo test -p multiflexi-e2e -- --ignored zabbix::

# Much of everything, on the release build: gigabytes, thousands of jobs, a full disk (as root)
volume:
    cargo test --release -p multiflexi-e2e -- --ignored --test-threads 1 --nocapture volume::

# A million random events of the dispatch protocol, simulated
simulate:
    cargo test -p multiflexi-scheduler --test simulation -- --ignored --nocapture

# Breaks everything while jobs run: 1,000 faults at random, a cut upload, outages of two minutes
fault *ARGS:
    cargo run --release -p multiflexi-faults -- random {{ARGS}}
    cargo run --release -p multiflexi-faults -- random --postgres --cycles 200 --longest 10s
    cargo run --release -p multiflexi-faults -- random --mariadb --cycles 200 --longest 10s
    cargo run --release -p multiflexi-faults -- schedulers
    cargo run --release -p multiflexi-faults -- schedulers --mariadb
    cargo run --release -p multiflexi-faults -- upload
    cargo run --release -p multiflexi-faults -- outages

# The machine's limits and beside them ours
bench *ARGS:
    cargo run --release -p multiflexi-bench -- {{ARGS}}

# Everything that a release needs
ci:
    .ci/run

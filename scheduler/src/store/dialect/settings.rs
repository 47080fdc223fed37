//! What connections are told before they are used.

use super::Dialect;

impl Dialect {
    /// What a new connection is told.
    pub(super) fn settings(self) -> &'static str {
        match self {
            // FULL: a commit that was acknowledged survives a power cut. What is deleted is
            // overwritten: it may have been a secret.
            Self::Sqlite => {
                "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; \
                 PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                 PRAGMA secure_delete = ON; \
                 PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 4000;"
            }
            Self::Postgres => "SET TIME ZONE 'UTC';",
            // What is between the marks is for MariaDB alone, or for MySQL alone. A statement
            // waits for others no longer than SQLite does; a connection may be idle for a year.
            // With join buffers, a page of a list would be sorted.
            Self::Mysql => {
                "SET NAMES utf8mb4 COLLATE utf8mb4_bin; \
                 SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
                 SET time_zone = '+00:00', innodb_lock_wait_timeout = 10, \
                 wait_timeout = 31536000, \
                 sql_mode = 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,PIPES_AS_CONCAT,ANSI_QUOTES,\
                 NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO' \
                 /*M!, max_recursive_iterations = 4294967295, join_cache_level = 0 */ \
                 /*!80003 , cte_max_recursion_depth = 4294967295, \
                 information_schema_stats_expiry = 0, \
                 optimizer_switch = 'block_nested_loop=off' */"
            }
        }
    }

    /// What a connection is told besides on which every change is made: its statements are
    /// few and find rows by their keys, so one plan of each is enough, and none reads all of a
    /// table because it was empty when the plan was made.
    pub(super) fn settings_of_writer(self) -> Option<&'static str> {
        match self {
            Self::Sqlite | Self::Mysql => None,
            Self::Postgres => Some(
                "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
                 SET jit = off;",
            ),
        }
    }
}

//! What keeps an import from beginning.

use super::{Adoption, HOSTILE};

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn what_keeps_an_import_from_beginning_is_one_clear_sentence() {
    let adoption = Adoption::new(HOSTILE);
    adoption.source.database("other", "CREATE TABLE job (id INT)");
    adoption.source.run(
        "CREATE USER nobody@localhost IDENTIFIED BY 'x'; \
         CREATE USER half@localhost IDENTIFIED BY 'x'; \
         GRANT SELECT ON other.* TO reader@localhost; \
         GRANT SELECT (id) ON flexi.company TO half@localhost; \
         GRANT SELECT ON flexi.apps TO half@localhost; \
         GRANT SELECT ON flexi.job TO half@localhost; \
         GRANT SELECT ON flexi.runtemplate TO half@localhost",
    );
    let refused = |url: &str, part: &str| {
        let answer = adoption.import_from(url, &[]);
        assert_eq!(answer.code, 1, "{part}: {}", answer.stderr);
        assert_eq!(answer.stderr.trim().lines().count(), 1, "{}", answer.stderr);
        assert!(answer.stderr.contains(part), "{part}: {}", answer.stderr);
        assert!(!answer.stderr.contains("wr0ng"), "{}", answer.stderr);
        assert!(!adoption.data().exists(), "nothing of ours is made for {part}");
    };
    let source = &adoption.source;
    refused(&source.url("reader", "wr0ng", "flexi"), "refuses this user with this password");
    refused(&source.url("nobody", "x", "flexi"), "may not read");
    refused(&adoption.url().replace("/flexi", "/other"), "is no database of a MultiFlexi");
    refused("mysql://root:wr0ng@127.0.0.1:1/flexi", "cannot be reached");
    refused("mysql://root:wr0ng@no.such.host.invalid/flexi", "cannot be reached");
    refused("pgsql://root:wr0ng@localhost/flexi", "--from cannot be used");
    let half = adoption.import_from(&source.url("half", "x", "flexi"), &["--dry-run"]);
    assert_eq!(half.code, 0, "{}", half.stderr);
    let said = half.text();
    assert!(said.contains("table company has no column") && said.contains("no table credata"));
    let zone = adoption.import_from(&adoption.url(), &["--time-zone", "Nowhere/Land"]);
    assert!(zone.code == 1 && zone.stderr.contains("knows no such time zone"), "{zone:?}");
}

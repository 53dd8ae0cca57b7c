//! Files that are, are not, or cannot be ledgers.

use std::path::Path;

use sea_orm::{ConnectionTrait, Database};

use super::open;
use crate::ledger::{Ledger, LedgerError, Location};

async fn refused(path: &Path) -> LedgerError {
    Ledger::open(&Location::Sqlite(path.to_owned())).await.unwrap_err()
}

async fn sqlite(path: &Path, sql: &str) {
    let db = Database::connect(format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_missing_file_and_its_directories_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/ledger.db");
    open(&path).await.close().await;
    assert!(path.exists());
    assert!(
        !path.with_file_name("ledger.db-wal").exists(),
        "closed in good order, the log of writes is worked in"
    );
    open(&path).await.close().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(dir.path()).await;
    assert!(matches!(error, LedgerError::NotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains(&dir.path().display().to_string()));
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = refused(&file.join("ledger.db")).await;
    assert!(matches!(error, LedgerError::NoDirectory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_read_only_file_is_refused_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    open(&path).await.close().await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    // Whoever may write all the same, such as root, is not refused.
    let may_write = std::fs::OpenOptions::new().write(true).open(&path).is_ok();
    let opened = Ledger::open(&Location::Sqlite(path)).await;
    assert_eq!(opened.is_ok(), may_write, "{opened:?}");
}

#[tokio::test]
async fn other_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(&text, "dear diary, ".repeat(100)).unwrap();
    assert!(matches!(refused(&text).await, LedgerError::NotALedger { .. }));
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "dear diary, ".repeat(100));
    let other = dir.path().join("other.db");
    sqlite(&other, "CREATE TABLE recipes (name TEXT)").await;
    assert!(matches!(refused(&other).await, LedgerError::NotALedger { .. }));
    let theirs = dir.path().join("theirs.db");
    sqlite(
        &theirs,
        "CREATE TABLE seaql_migrations (version TEXT); INSERT INTO seaql_migrations VALUES ('m1_theirs')",
    )
    .await;
    assert!(matches!(refused(&theirs).await, LedgerError::NotALedger { .. }));
}

#[tokio::test]
async fn a_ledger_of_a_newer_build_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    open(&path).await.close().await;
    sqlite(
        &path,
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20991231_000001_flying_cars', 0)",
    )
    .await;
    let error = refused(&path).await;
    assert!(
        matches!(&error, LedgerError::NewerSchema { step, .. } if step == "m20991231_000001_flying_cars"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_ledger_has_one_holder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let held = open(&path).await;
    assert!(matches!(refused(&path).await, LedgerError::InUse { .. }));
    drop(held);
    open(&path).await;
}

#[test]
fn locations_are_paths_or_sqlite_urls() {
    let path = |text: &str| Location::parse(text).map(|location| location.to_string());
    assert_eq!(path("/var/lib/vp/ledger.db").unwrap(), "/var/lib/vp/ledger.db");
    assert_eq!(path("ledger.db").unwrap(), "ledger.db");
    assert_eq!(path("sqlite:///var/lib/ledger.db").unwrap(), "/var/lib/ledger.db");
    assert_eq!(path("sqlite://ledger.db").unwrap(), "ledger.db");
    assert_eq!(path("sqlite:ledger.db").unwrap(), "ledger.db");
    for bad in ["", " ", "sqlite://", "sqlite::memory:", "sqlite://x?mode=ro"] {
        assert!(path(bad).is_err(), "{bad:?}");
    }
    let error = path("mysql://vp:s3cret@host/vp").unwrap_err().to_string();
    assert!(error.contains("mysql") && !error.contains("s3cret"), "{error}");
}

#[test]
fn a_servers_ledger_is_shown_without_its_password() {
    let shown =
        |text: &str| Location::parse(text).map(|location| (location.to_string(), format!("{location:?}")));
    for (url, want) in [
        ("postgres://vp:s3cret@host/vp", "postgres://vp@host:5432/vp"),
        ("postgresql://vp:s3cret@host:6543/vp?sslmode=verify-full", "postgres://vp@host:6543/vp"),
        ("postgres://vp:s3cret@localhost/vp?host=/run/postgresql", "postgres://vp@/vp?host=/run/postgresql"),
    ] {
        let (display, debug) = shown(url).unwrap();
        assert_eq!(display, want);
        assert!(!debug.contains("s3cret"), "{debug}");
    }
    for bad in [
        "postgres://vp:s3cret@host",
        "postgres://vp:s3cret@host/vp?sslmode=maybe",
        "postgres://vp@host/vp?pasword=s3cret",
        "postgres://vp@host/vp?password=s3cret",
        "postgres://vp:s3cret@host:99999/vp",
        "postgres://vp:s3cret@[host/vp",
    ] {
        let error = Location::parse(bad).map(|_| ()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    let config = crate::BridgeConfig::new("postgres://vp:s3cret@host/vp", vp_shared::lane::Lanes::new());
    assert!(!format!("{config:?}").contains("s3cret"));
}

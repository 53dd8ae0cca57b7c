//! Who holds the ledger: one bridge, or one rebuild.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::error::LedgerError;

/// The ledger is held until this is dropped, or the process ends in whatever way. The lock file stays: only the lock
/// on it counts.
#[derive(Debug)]
pub(crate) struct LedgerLock {
    _file: File,
}

impl LedgerLock {
    /// Takes the lock of the ledger file `ledger`, without waiting.
    ///
    /// # Errors
    /// [`LedgerError::InUse`], or [`LedgerError::NotWritable`] when the lock file cannot be made.
    pub(crate) fn take(ledger: &Path) -> Result<Self, LedgerError> {
        let path = lock_path(ledger);
        let not_writable = |source| LedgerError::NotWritable { path: path.clone(), source };
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { path: ledger.to_owned() }),
            Err(TryLockError::Error(source)) => Err(LedgerError::NotWritable { path: path.clone(), source }),
        }
    }
}

fn lock_path(ledger: &Path) -> PathBuf {
    let mut path = ledger.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

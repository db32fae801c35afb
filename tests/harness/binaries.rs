//! Where the programs under test are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// A variable that names another directory with the programs under test, such as `target/release`.
pub const DIRECTORY: &str = "ETL_BIN_DIR";

/// `etl-supervisor`.
pub fn supervisor() -> PathBuf {
    built("etl-supervisor")
}

/// `transform-worker`.
pub fn worker() -> PathBuf {
    built("transform-worker")
}

/// The scripted worker of this package, which cargo builds together with the suites.
pub fn scripted_worker() -> PathBuf {
    existing(&beside_this_test().join("scripted-worker"))
}

/// The worker that does what a document tells it to, which cargo builds together with the suites.
pub fn faulty_worker() -> PathBuf {
    existing(&beside_this_test().join("faulty-worker"))
}

fn built(name: &str) -> PathBuf {
    let directory = env::var_os(DIRECTORY).map_or_else(beside_this_test, PathBuf::from);
    existing(&directory.join(name))
}

fn existing(path: &Path) -> PathBuf {
    assert!(path.is_file(), "{} is missing: build first: cargo build --workspace", path.display());
    path.to_owned()
}

/// `target/debug` for a test in `target/debug/deps`.
fn beside_this_test() -> PathBuf {
    let test = env::current_exe().expect("the system tells where this test's executable is");
    let directory = test.parent().and_then(Path::parent).expect("a test's executable lies two directories deep");
    directory.to_owned()
}

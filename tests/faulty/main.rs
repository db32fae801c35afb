//! `transform-worker` with faults: see `system_tests::faults`. It links the worker's library, so that all but the faults is the
//! real program; the shipped program has none of this in it.

use std::{
    fs,
    hint::black_box,
    process::{self, ExitCode},
    thread,
    time::Duration,
};

use nix::sys::{
    resource::{Resource, setrlimit},
    signal::{Signal, raise},
};
use serde_json::Value;
use system_tests::faults::KEY;

fn main() -> ExitCode {
    transform_worker::runtime::before_each_transform(look);
    transform_worker::program::main()
}

fn look(document: &str) {
    if !document.contains(KEY) {
        return;
    }
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let word = document[KEY].as_str().unwrap_or_default();
    match word.split_once(' ').unwrap_or((word, "")) {
        ("abort", _) => process::abort(),
        ("overflow", _) => drop(black_box(overflow(1))),
        ("segfault", _) => {
            // The first one only takes away the handler with which Rust's library looks for stack overflows.
            let _ = raise(Signal::SIGSEGV).and_then(|()| raise(Signal::SIGSEGV));
        }
        ("panic", _) => panic!("a test asked for this"),
        ("memory", _) => {
            let _ = setrlimit(Resource::RLIMIT_AS, 1 << 30, 1 << 30);
            let mut taken: Vec<Vec<u8>> = Vec::new();
            loop {
                taken.push(black_box(vec![1; 64 << 20]));
            }
        }
        ("keep", mebibytes) => keep(mebibytes),
        ("grow", mebibytes) => {
            keep(mebibytes);
            loop {
                thread::park();
            }
        }
        ("hang", _) => loop {
            thread::park();
        },
        ("abort-when", file) => {
            while fs::remove_file(file).is_err() {
                thread::park_timeout(Duration::from_millis(5));
            }
            process::abort();
        }
        _ => {}
    }
}

fn keep(mebibytes: &str) {
    let bytes = mebibytes.parse().unwrap_or(0) << 20;
    std::mem::forget(black_box(vec![1_u8; bytes]));
}

fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 512]);
    if depth == u64::MAX { 0 } else { overflow(depth + 1) + black_box(room)[0] }
}

//! Prints a createmeta document of about 7.8 MB, for trying things by hand.

#[path = "../tests/support/createmeta.rs"]
mod createmeta;

fn main() {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away, as `head` does, is no reason to fail.
    let _ = serde_json::to_writer(&mut out, &createmeta::document(&createmeta::BIG));
}

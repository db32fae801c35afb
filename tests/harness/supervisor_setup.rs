//! Configurations for the supervisor under test.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use crate::{Platform, binaries, supervisor::USERS_EACH};

/// In a value: the supervisor's own directory.
pub const HERE: &str = "@HERE@";

/// A configuration; directories and ports are added when the supervisor is started.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    values: BTreeMap<String, BTreeMap<String, String>>,
    scripted: bool,
}

impl Setup {
    /// Scripted workers for a fixed set of tenants, written as in the file: `"1..3"` with its quotes, or `[1, 2]`. Neither
    /// broker nor database. Failing workers are started again fast.
    pub fn scripted(tenants: &str) -> Self {
        Self { scripted: true, ..Self::default() }.with_fast_restarts().set("", "tenants", tenants).set(
            "queues.transform",
            "grace",
            "\"5s\"",
        )
    }

    /// The real worker for the tenants in the platform's database.
    pub fn on(platform: &Platform) -> Self {
        let program = binaries::worker();
        Self::default()
            .with_fast_restarts()
            .set("broker", "url", &quoted(platform.broker.url()))
            .set("database", "url", &quoted(platform.database.url()))
            .set("queues.transform", "command", &format!("[{}, \"--queue\", \"{{queue}}\"]", quoted(&program)))
    }

    /// The same with the worker that crashes and hangs where a document tells it to, started with these arguments as well.
    pub fn faulty(platform: &Platform, arguments: &[&str]) -> Self {
        let program = binaries::faulty_worker();
        let words = [program.as_path(), "--queue".as_ref(), "{queue}".as_ref()].into_iter();
        let words: Vec<String> = words.chain(arguments.iter().map(Path::new)).map(quoted).collect();
        Self::on(platform).set("queues.transform", "command", &format!("[{}]", words.join(", ")))
    }

    /// Sets a key of a section (`""` for the top) to a value in TOML, in which [`HERE`] becomes the supervisor's directory.
    #[must_use]
    pub fn set(mut self, section: &str, key: &str, value: &str) -> Self {
        self.values.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// Leaves a key out.
    #[must_use]
    pub fn without(mut self, section: &str, key: &str) -> Self {
        if let Some(values) = self.values.get_mut(section) {
            values.remove(key);
        }
        self
    }

    /// The text of the file.
    pub fn text(&self, directory: &Path, port: u16, first_user: u32) -> String {
        let place = |name: &str| quoted(directory.join(name));
        let mut whole = self
            .clone()
            .set("runtime", "directory", &place("run"))
            .set("runtime", "log_directory", &place("log"))
            .set("runtime", "state_directory", &place("state"))
            .set("limits", "sample_every", "\"1s\"")
            .set("api", "listen", &quoted(format!("127.0.0.1:{port}")));
        let command = whole.values.get("queues.transform").and_then(|queue| queue.get("command"));
        if self.scripted && command.is_none() {
            whole = whole.set("queues.transform", "command", &scripted_command(directory));
        }
        // Where scripted workers leave their traces.
        for (section, values) in &mut whole.values {
            if section.starts_with("queues.") && section.matches('.').count() == 1 {
                values.entry("writable".to_owned()).or_insert_with(|| format!("[{}]", place("home")));
            }
        }
        let users = format!("\"{first_user}..{}\"", first_user + USERS_EACH - 1);
        whole.values.entry("isolation".to_owned()).or_default().entry("uid_range".to_owned()).or_insert(users);
        let mut text = String::new();
        for (section, values) in whole.values {
            if !section.is_empty() {
                let _ = writeln!(text, "[{section}]");
            }
            for (key, value) in values {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text.replace(HERE, &directory.display().to_string())
    }

    fn with_fast_restarts(self) -> Self {
        self.set("restart", "backoff_initial", "\"50ms\"").set("restart", "backoff_max", "\"200ms\"")
    }
}

/// The command template of scripted workers whose home lies in `directory`.
pub fn scripted_command(directory: &Path) -> String {
    let (program, home) = (quoted(binaries::scripted_worker()), quoted(directory.join("home")));
    format!("[{program}, \"--home\", {home}, \"--tenant\", \"{{tenant_id}}\", \"--worker\", \"{{worker}}\"]")
}

/// A path or text as a TOML string.
pub fn quoted(text: impl AsRef<Path>) -> String {
    format!("\"{}\"", text.as_ref().display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

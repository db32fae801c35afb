//! What a configuration must satisfy beyond its form.

use std::path::Path;

use etl_shared::{amqp, postgres, settings::SettingsError};
use secrecy::ExposeSecret;

use super::{CredentialsMode, Queue, Settings, UidRange};
use crate::broker::Management;

impl Settings {
    pub(super) fn validate(&self, path: &Path) -> Result<(), SettingsError> {
        let wrong = |detail: String| Err(SettingsError::Invalid { origin: path.display().to_string(), detail });
        if self.tenants.is_none() && self.database.is_none() {
            return wrong(
                "nothing says which tenants there are: set [database] url, or list them with tenants = [1, 2]"
                    .to_owned(),
            );
        }
        if self.queues.is_empty() {
            return wrong("[queues] is empty: leave it out for the default, or add [queues.transform]".to_owned());
        }
        for (name, queue) in &self.queues {
            if queue.command.first().is_none_or(String::is_empty) {
                return wrong(format!("queues.{name}.command is empty: name the program to run"));
            }
            if let Some(part) = queue.command.iter().find_map(|argument| unknown_placeholder(argument)) {
                return wrong(format!(
                    "queues.{name}.command: unknown placeholder {part}; there are {{queue}}, {{tenant_id}}, {{worker}} and {{slot}}"
                ));
            }
            if queue.workers == 0 || queue.workers > 64 {
                return wrong(format!("queues.{name}.workers must be from 1 to 64"));
            }
            if queue.workers_max > 64 {
                return wrong(format!("queues.{name}.workers_max must be at most 64"));
            }
            if queue.start_timeout.is_zero() {
                return wrong(format!("queues.{name}.start_timeout must be longer than nothing"));
            }
            queue.validate_limits().or_else(|detail| wrong(format!("queues.{name}.{detail}")))?;
            if queue.job_timeout.is_zero() {
                return wrong(format!("queues.{name}.job_timeout must be longer than nothing"));
            }
        }
        for (key, directory) in [
            ("directory", &self.runtime.directory),
            ("log_directory", &self.runtime.log_directory),
            ("state_directory", &self.runtime.state_directory),
        ] {
            if !directory.is_absolute() {
                return wrong(format!("runtime.{key} must be an absolute path"));
            }
        }
        if self.runtime.notify_socket().as_os_str().len() > 100 {
            return wrong("runtime.directory is too long: a socket's path may have 107 bytes".to_owned());
        }
        if self.restart.backoff_max < self.restart.backoff_initial {
            return wrong("restart.backoff_max is shorter than restart.backoff_initial".to_owned());
        }
        if self.reconcile.every.is_zero() || self.reconcile.after.is_some_and(|after| after.is_zero()) {
            return wrong("reconcile.every and reconcile.after must be longer than nothing".to_owned());
        }
        if !(1..=100_000).contains(&self.reconcile.limit) {
            return wrong("reconcile.limit must be from 1 to 100000".to_owned());
        }
        if !(1..=10).contains(&self.poison.strikes) {
            return wrong("poison.strikes must be from 1 to 10".to_owned());
        }
        if self.poison.window.is_zero() {
            return wrong("poison.window must be longer than nothing".to_owned());
        }
        self.validate_walls().or_else(wrong)?;
        self.auth.validate().or_else(wrong)?;
        if let Some(broker) = &self.broker {
            for url in [Some(&broker.url), broker.worker_url.as_ref()].into_iter().flatten() {
                if let Err(error) = amqp::parse_url(url) {
                    return wrong(format!("broker: {error}"));
                }
            }
            if let Some(Err(error)) = broker.management_url.as_ref().map(|url| Management::new(url, "/")) {
                return wrong(format!("broker.management_url: {error}"));
            }
            if broker.management_url.is_none() && broker.management_password_file.is_some() {
                return wrong("broker.management_password_file is of no use without broker.management_url".to_owned());
            }
            if !(1..=1_000_000).contains(&broker.delivery_limit) {
                return wrong("broker.delivery_limit must be from 1 to 1000000".to_owned());
            }
        }
        if let Some(database) = &self.database {
            for url in
                [Some(&database.url), database.worker_url.as_ref(), database.admin_url.as_ref()].into_iter().flatten()
            {
                if let Err(error) = postgres::parse_url(url) {
                    return wrong(format!("database: {error}"));
                }
                // Its place is in a URL.
                if database.ca_file.is_some() && !url.expose_secret().starts_with("postgres") {
                    return wrong("database.ca_file needs a url that begins with postgres://".to_owned());
                }
            }
        }
        Ok(())
    }
}

impl Settings {
    /// `[credentials]` and `[isolation]`.
    fn validate_walls(&self) -> Result<(), String> {
        let credentials = &self.credentials;
        for (key, name) in [("prefix", &credentials.prefix), ("roles_prefix", &credentials.roles_prefix)] {
            let well_formed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if !name.starts_with(|first: char| first.is_ascii_lowercase())
                || name.len() > 32
                || !name.bytes().all(well_formed)
            {
                return Err(format!(
                    "credentials.{key} = {name:?}: 1 to 32 lower-case letters, digits and _, beginning with a letter"
                ));
            }
        }
        if credentials.prefix == credentials.roles_prefix {
            return Err("credentials.prefix and credentials.roles_prefix must differ".to_owned());
        }
        if credentials.mode() == CredentialsMode::PerTenant {
            let missing = [
                ("credentials.master_key_file", credentials.master_key_file.is_none()),
                ("[broker] url", self.broker.is_none()),
                ("broker.management_url", self.broker.as_ref().is_none_or(|broker| broker.management_url.is_none())),
                ("[database] url", self.database.is_none()),
            ];
            if let Some((key, _)) = missing.iter().find(|(_, missing)| *missing) {
                return Err(format!(
                    "credentials.mode = \"per_tenant\" needs {key}: the supervisor makes each tenant's accounts itself"
                ));
            }
        }
        let UidRange { first, last } = self.isolation.uid_range;
        if first < 1000 || last >= u32::MAX - 1 || (first <= 65_535 && last >= 61_184) {
            return Err(format!(
                "isolation.uid_range = \"{}\" meets ids that the system keeps for itself: 0 to 999 and 61184 to 65535",
                self.isolation.uid_range
            ));
        }
        Ok(())
    }
}

/// The least soft limit of memory, in bytes.
pub const LEAST_MEMORY: u64 = 8 * 1024 * 1024;

impl Queue {
    fn validate_limits(&self) -> Result<(), String> {
        if self.memory_soft < LEAST_MEMORY {
            return Err("memory_soft must be at least 8MiB".to_owned());
        }
        if self.memory_max < self.memory_soft {
            return Err(
                "memory_max is smaller than memory_soft: a worker would be killed before it is replaced".to_owned()
            );
        }
        if self.tasks_max == 0 || self.open_files < 16 {
            return Err("tasks_max must be at least 1, and open_files at least 16".to_owned());
        }
        if !(1..=10_000).contains(&self.cpu_weight) {
            return Err("cpu_weight must be from 1 to 10000".to_owned());
        }
        let paths = self.readable.iter().chain(&self.writable).chain(&self.working_directory);
        match paths.into_iter().find(|path| !path.is_absolute()) {
            Some(path) => {
                Err(format!("readable, writable and working_directory: {} is not an absolute path", path.display()))
            }
            None => Ok(()),
        }
    }
}

/// The first `{…}` that nothing would replace.
fn unknown_placeholder(argument: &str) -> Option<&str> {
    let mut rest = argument;
    while let Some(start) = rest.find('{') {
        let length = rest[start..].find('}')?;
        let placeholder = &rest[start..=start + length];
        let name = &placeholder[1..placeholder.len() - 1];
        let looks_like_one = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if looks_like_one && !["queue", "tenant_id", "worker", "slot"].contains(&name) {
            return Some(placeholder);
        }
        rest = &rest[start + length + 1..];
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(text: &str) -> Result<Settings, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Settings::load(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shortest_configuration_is_a_list_of_tenants() {
        let settings = load("tenants = [1]").unwrap();
        assert_eq!(settings.queues.len(), 1);
        assert_eq!(settings.restart.max_restarts, 5);
    }

    #[test]
    fn the_tcp_listener_can_be_switched_off() {
        assert!(load("tenants = [1]").unwrap().api.listen.is_some());
        assert_eq!(load("tenants = [1]\n[api]\nlisten = \"off\"").unwrap().api.listen, None);
    }

    #[test]
    fn every_mistake_is_answered_with_what_to_write_instead() {
        for (text, expected) in [
            ("", "tenants = [1, 2]"),
            ("tenants = [1]\n[queues.transform]\ncommand = []", "name the program"),
            ("tenants = [1]\n[queues.transform]\ncommand = [\"x\", \"{tennant}\"]", "{tennant}"),
            ("tenants = [1]\n[queues.transform]\nworkers = 0", "from 1 to 64"),
            ("tenants = [1]\n[queues.transform]\nworkers_max = 65", "at most 64"),
            ("tenants = [1]\n[queues.transform]\ngrace = \"soon\"", "30s"),
            ("tenants = [1]\n[queues.transform]\njob_timeout = \"0s\"", "job_timeout must be longer"),
            ("tenants = [1]\n[poison]\nstrikes = 0", "from 1 to 10"),
            ("tenants = [1]\n[poison]\nwindow = \"0s\"", "poison.window"),
            ("tenants = [1]\n[queues.Transform]\nworkers = 1", "not a queue type"),
            ("tenants = [1]\n[queues.transform]\nlog_max_size = \"big\"", "256MiB"),
            ("tenants = [1]\n[runtime]\ndirectory = \"run\"", "absolute"),
            ("tenants = [1]\n[broker]\nurl = \"http://x\"", "amqp://"),
            ("tenants = [1]\n[broker]\nurl = \"amqp://h\"\nmanagement_url = \"ftp://u:p@h\"", "http://USER"),
            ("tenants = [1]\n[broker]\nurl = \"amqp://h\"\nmanagement_url = \"http://h:15672\"", "http://USER"),
            ("tenants = [1]\n[broker]\nurl = \"amqp://h\"\nmanagement_password_file = \"/x\"", "management_url"),
            ("tenants = [1]\n[broker]\nurl = \"amqp://h\"\ndelivery_limit = 0", "from 1 to 1000000"),
            ("[database]\nurl = \"mysql://x\"", "postgres://"),
            ("[database]\nurl = \"host=h user=u\"\nca_file = \"/x\"", "database.ca_file"),
            ("tenants = [1]\n[restart]\nbackoff_max = \"1ms\"", "backoff_max"),
            ("tenants = [1]\n[restart]\nmax_restart = 1", "did you mean restart.max_restarts"),
            ("tenants = [1]\n[api]\nlisten = \"8750\"", "listen"),
            ("tenants = [1]\n[reconcile]\nafter = \"never\"", "\"off\""),
            ("tenants = [1]\n[reconcile]\nevery = \"0s\"", "reconcile.every"),
            ("tenants = [1]\n[reconcile]\nlimit = 0", "reconcile.limit"),
            ("tenants = [1]\n[credentials]\nmode = \"per_tenant\"", "needs credentials.master_key_file"),
            ("tenants = [1]\n[credentials]\nmaster_key_file = \"/x\"", "needs [broker] url"),
            ("tenants = [1]\n[credentials]\nprefix = \"Tenant-\"", "credentials.prefix"),
            ("tenants = [1]\n[credentials]\nprefix = \"etl_\"", "must differ"),
            ("tenants = [1]\n[isolation]\nuid_range = \"100000\"", "400000..449999"),
            ("tenants = [1]\n[isolation]\nuid_range = \"60000..70000\"", "keeps for itself"),
            ("tenants = [1]\n[queues.transform]\nmemory_max = \"16MiB\"", "smaller than memory_soft"),
            ("tenants = [1]\n[queues.transform]\nmemory_soft = 1000", "at least 8MiB"),
            ("tenants = [1]\n[queues.transform]\ncpu_weight = 0", "from 1 to 10000"),
            ("tenants = [1]\n[queues.transform]\nreadable = [\"x\"]", "not an absolute path"),
            ("tenants = [1]\n[api]\npublic_url = \"etl.example.org\"", "https://etl.example.org"),
            ("tenants = [1]\n[api]\npublic_url = \"https://h/path\"", "without a path"),
            ("tenants = [1]\n[auth]\nsession_ttl = \"1s\"", "session_ttl"),
            ("tenants = [1]\n[auth]\nfailed_logins = 0", "failed_logins"),
            ("tenants = [1]\n[auth.roles]\nadmin = [\"operator\"]", "stands there twice"),
            ("tenants = [1]\n[auth.jwt]\nsecret_file = \"/s\"", "issuer"),
            ("tenants = [1]\n[auth.jwt]\nissuer = \"i\"", "exactly one"),
            ("tenants = [1]\n[auth.jwt]\nissuer = \"i\"\nsecret_file = \"/s\"\njwks_file = \"/j\"", "exactly one"),
            ("tenants = [1]\n[auth.jwt]\nissuer = \"i\"\nsecret_file = \"/s\"\nalgorithms = [\"RS256\"]", "go with"),
            ("tenants = [1]\n[auth.jwt]\nissuer = \"i\"\nsecret_file = \"/s\"\nalgorithms = [\"none\"]", "HS256"),
            ("tenants = [1]\n[auth.jwt]\nissuer = \"i\"\njwks_file = \"/j\"", "auth.jwt.audience is needed"),
            (
                "tenants = [1]\n[auth.jwt]\nissuer = \"i\"\naudience = \"a\"\njwks_url = \"http://id/j\"",
                "must be https",
            ),
            ("tenants = [1]\n[limits]\nmemory_budget = \"much\"", "3GiB"),
            ("tenants = [1]\n[limits]\ndatabase_connections = \"many\"", "a number"),
        ] {
            let error = load(text).expect_err(text);
            assert!(error.contains(expected), "{text}\n gave: {error}");
        }
    }
}

//! Checks that `docs/configuration.md` and the example configuration name every key, no other, and the true defaults.

use std::{collections::BTreeSet, fs, path::Path};

use etl_shared::settings::Known;

use super::{
    Api, Auth, CredentialsSection, HistorySection, Isolation, KNOWN, Limits, Poison, Queue, Reconcile, Restart,
    Runtime, Settings,
};

fn project_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every key with its section, such as `restart.window` or `queues.<type>.grace`.
fn known_keys() -> BTreeSet<String> {
    fn collect(known: &Known, prefix: &str, keys: &mut BTreeSet<String>) {
        let inside = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        match known {
            Known::Value | Known::Free => drop(keys.insert(prefix.to_owned())),
            Known::Section(inner) => inner.iter().for_each(|(name, known)| collect(known, &inside(name), keys)),
            Known::Named(inner) => collect(inner, &inside("<type>"), keys),
        }
    }
    let mut keys = BTreeSet::new();
    collect(&KNOWN, "", &mut keys);
    keys
}

/// The example with every default written out: `#key = value` is a default, `# text` an explanation.
fn example_with_defaults() -> String {
    project_file("systemd/config.toml.example")
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase()) => key,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// With the keys that no configuration has all of: `# name = value` and `# [section]` show one without a default.
fn with_alternatives(example: &str) -> String {
    let shown = |line: &str| {
        let name = line.split(" = ").next().unwrap_or_default();
        let is_key = line.contains(" = ") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        is_key || (line.starts_with('[') && line.ends_with(']'))
    };
    let lines = example.lines().map(|line| line.strip_prefix("# ").filter(|rest| shown(rest)).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn load(text: &str) -> Settings {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    Settings::load(file.path()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn the_document_has_a_row_for_every_key_and_for_no_other() {
    let document = project_file("docs/configuration.md");
    let documented: BTreeSet<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(key, _)| key.to_owned())
        .collect();
    assert_eq!(documented, known_keys());
}

#[test]
fn the_example_has_every_key() {
    let example = with_alternatives(&example_with_defaults());
    let (mut keys, mut section) = (BTreeSet::new(), String::new());
    for line in example.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']').replace("queues.transform", "queues.<type>"));
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.insert(format!("{section}{key}"));
        }
    }
    assert_eq!(keys, known_keys());
}

#[test]
fn the_example_shows_the_true_defaults() {
    let settings = load(&example_with_defaults());
    assert_eq!(format!("{:?}", settings.runtime), format!("{:?}", Runtime::default()));
    assert_eq!(format!("{:?}", settings.api), format!("{:?}", Api::default()));
    assert_eq!(settings.auth, Auth::default());
    assert_eq!(format!("{:?}", settings.restart), format!("{:?}", Restart::default()));
    assert_eq!(settings.reconcile, Reconcile::default());
    assert_eq!(format!("{:?}", settings.poison), format!("{:?}", Poison::default()));
    assert_eq!(format!("{:?}", settings.limits), format!("{:?}", Limits::default()));
    assert_eq!(settings.isolation, Isolation::default());
    assert_eq!(settings.history, HistorySection::default());
    let shown = &settings.credentials;
    let expected = CredentialsSection {
        mode: shown.mode,
        master_key_file: shown.master_key_file.clone(),
        ..CredentialsSection::default()
    };
    assert_eq!((shown, shown.mode()), (&expected, CredentialsSection::default().mode()));
    let settings = Settings {
        queues: settings
            .queues
            .into_iter()
            .map(|(name, queue)| (name, Queue { working_directory: None, ..queue }))
            .collect(),
        ..settings
    };
    assert_eq!(settings.queues.into_values().collect::<Vec<_>>(), [Queue::default()]);
    let shortest = load("[broker]\nurl = \"amqp://h\"\n[database]\nurl = \"postgres://h/d\"");
    let (shown, default) = (settings.broker.unwrap(), shortest.broker.unwrap());
    assert_eq!((shown.queue_kind, shown.delivery_limit), (default.queue_kind, default.delivery_limit));
    let (shown, default) = (settings.database.unwrap(), shortest.database.unwrap());
    assert_eq!(
        (shown.tenants_query, shown.refresh, shown.migrate),
        (default.tenants_query, default.refresh, default.migrate)
    );
}

#[test]
fn the_example_works_as_it_stands() {
    let settings = load(&project_file("systemd/config.toml.example"));
    assert!(settings.broker.is_some() && settings.database.is_some());
}

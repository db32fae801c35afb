//! Reads a TOML file with overrides from the environment, and says what is wrong with it in terms of the file.
//!
//! Three steps: the file is parsed; every key is compared with the keys that a complete configuration has, so that a
//! misspelt one is an error with a suggestion; then `PREFIX__SECTION__KEY` variables replace single values.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub mod unit;

/// The configuration cannot be used. Every message names the key and says what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {detail}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        detail: String,
    },
    /// A key that does not exist.
    #[error("unknown key {key} in {origin}{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// The key with its section.
        key: String,
        /// The file or variable that has it.
        origin: String,
        /// The existing key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong type or form.
    #[error("{origin}: {detail}")]
    Invalid {
        /// The file.
        origin: String,
        /// Which key and what is expected.
        detail: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(": did you mean {nearest}?"))
}

/// Which keys exist.
#[derive(Debug)]
pub enum Known {
    /// A value.
    Value,
    /// A section with exactly these keys.
    Section(&'static [(&'static str, Known)]),
    /// A section whose keys the user chooses, each holding one of these.
    Named(&'static Known),
    /// Anything at all.
    Free,
}

/// Reads `path`, applies the variables that begin with `prefix` and two underscores, and builds the settings.
pub fn load<T: DeserializeOwned>(
    path: &Path,
    prefix: &str,
    known: &Known,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<T, SettingsError> {
    let text =
        fs::read_to_string(path).map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    // Typed straight from the text first, so that an error can point at its line.
    let mut table: Table = toml::from_str(&text).map_err(|error| SettingsError::Syntax {
        path: path.to_owned(),
        detail: error.to_string().trim_end().to_owned(),
    })?;
    check_keys(&table, known, "", &origin)?;
    let mut overridden = false;
    for (variable, value) in variables {
        if let Some(rest) = variable.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("__")) {
            let keys: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            set(&mut table, &keys, &value, &variable, known)?;
            overridden = true;
        }
    }
    let built = if overridden { T::deserialize(Value::Table(table)) } else { toml::from_str(&text) };
    built.map_err(|error| SettingsError::Invalid { origin, detail: error.to_string().trim_end().to_owned() })
}

fn check_keys(table: &Table, known: &Known, section: &str, origin: &str) -> Result<(), SettingsError> {
    for (key, value) in table {
        let full = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        let Some(inner) = find(known, key) else {
            return Err(unknown(known, section, key, origin));
        };
        if let Value::Table(inner_table) = value {
            check_keys(inner_table, inner, &full, origin)?;
        }
    }
    Ok(())
}

fn find<'a>(known: &'a Known, key: &str) -> Option<&'a Known> {
    match known {
        Known::Section(keys) => keys.iter().find(|(name, _)| *name == key).map(|(_, inner)| inner),
        Known::Named(inner) => Some(inner),
        // The typed reading says it better where a value is written as a table.
        Known::Value | Known::Free => Some(&Known::Free),
    }
}

fn unknown(known: &Known, section: &str, key: &str, origin: &str) -> SettingsError {
    let in_section = |name: &str| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
    let nearest = match known {
        Known::Section(keys) => keys
            .iter()
            .map(|(name, _)| (strsim::jaro_winkler(name, key), *name))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| in_section(name)),
        _ => None,
    };
    SettingsError::UnknownKey { key: in_section(key), origin: origin.to_owned(), nearest }
}

fn set(table: &mut Table, keys: &[String], value: &str, variable: &str, known: &Known) -> Result<(), SettingsError> {
    let [first, rest @ ..] = keys else { return Ok(()) };
    let Some(inner) = find(known, first) else {
        return Err(unknown(known, "", first, &format!("${variable}")));
    };
    if rest.is_empty() {
        table.insert(first.clone(), scalar(value));
        return Ok(());
    }
    let next = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    match next {
        Value::Table(next) => set(next, rest, value, variable, inner),
        _ => Err(SettingsError::UnknownKey { key: keys.join("."), origin: format!("${variable}"), nearest: None }),
    }
}

/// A variable's text as the TOML value it looks like: `8`, `true`, `["a"]`; everything else is a string.
fn scalar(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        restart: Restart,
    }

    #[derive(Debug, Deserialize)]
    struct Restart {
        #[serde(with = "unit::duration")]
        window: Duration,
        limit: u32,
    }

    const KNOWN: Known =
        Known::Section(&[("restart", Known::Section(&[("window", Known::Value), ("limit", Known::Value)]))]);

    fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Sample, SettingsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(file.path(), "ETL", &KNOWN, variables)
    }

    #[test]
    fn a_variable_replaces_a_value_of_the_file() {
        let sample =
            load_text("[restart]\nwindow = \"5m\"\nlimit = 5", &[("ETL__RESTART__LIMIT", "9"), ("OTHER", "x")])
                .unwrap();
        assert_eq!((sample.restart.window, sample.restart.limit), (Duration::from_mins(5), 9));
        let sample = load_text("[restart]\nlimit = 5", &[("ETL__RESTART__WINDOW", "30s")]).unwrap();
        assert_eq!(sample.restart.window, Duration::from_secs(30));
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_names_the_right_one() {
        let error = load_text("[restart]\nwindw = \"5m\"\nlimit = 5", &[]).unwrap_err().to_string();
        assert!(error.contains("restart.windw") && error.contains("did you mean restart.window?"), "{error}");
        let error = load_text("[restart]\nwindow = \"5m\"\nlimit = 5", &[("ETL__RESTRT__LIMIT", "1")]).unwrap_err();
        assert!(error.to_string().contains("did you mean restart?"), "{error}");
    }

    #[test]
    fn a_bad_value_says_which_and_what_is_expected() {
        let error = load_text("[restart]\nwindow = \"5 parsecs\"\nlimit = 5", &[]).unwrap_err().to_string();
        assert!(error.contains("window") && error.contains("30s"), "{error}");
        let error = load_text("[restart]\nwindow = \"5m\"\nlimit = \"many\"", &[]).unwrap_err().to_string();
        assert!(error.contains("limit"), "{error}");
        assert!(load_text("[restart", &[]).unwrap_err().to_string().contains("not valid TOML"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error =
            load::<Sample>(Path::new("/nonexistent/config.toml"), "ETL", &KNOWN, std::iter::empty()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/config.toml"));
    }
}

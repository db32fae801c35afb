//! Parameters of PostgreSQL's own URLs that the client library does not know.

use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const CA_PARAMETER: &str = "sslrootcert";

/// A URL, and what was taken out of it.
pub(super) struct Parameters {
    pub(super) rest: String,
    pub(super) authorities: Option<PathBuf>,
}

impl Parameters {
    /// Takes `sslrootcert` out, and translates `sslmode` into the words of the client library. Text that is no URL stays as it is.
    pub(super) fn take(url: &str) -> Self {
        let Some((address, query)) = split(url) else {
            return Self { rest: url.to_owned(), authorities: None };
        };
        let mut authorities = None;
        let mut kept = Vec::new();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let decoded = percent_decode_str(value).decode_utf8_lossy();
            match (name, decoded.as_ref()) {
                // The word of PostgreSQL 16 for the system's authorities.
                (CA_PARAMETER, "system" | "") => {}
                (CA_PARAMETER, path) => authorities = Some(PathBuf::from(path)),
                ("sslmode", "allow") => kept.push("sslmode=disable"),
                ("sslmode", "verify-ca" | "verify-full") => kept.push("sslmode=require"),
                _ => kept.push(parameter),
            }
        }
        let mark = if kept.is_empty() { "" } else { "?" };
        Self { rest: format!("{address}{mark}{}", kept.join("&")), authorities }
    }
}

/// The URL with the parameter added.
pub(super) fn with_authorities(url: &str, file: &Path) -> String {
    let value = utf8_percent_encode(&file.to_string_lossy(), NON_ALPHANUMERIC).to_string();
    let mark = if split(url).is_some() { '&' } else { '?' };
    format!("{url}{mark}{CA_PARAMETER}={value}")
}

/// What is before the query and the query, found as the client library finds it: a password may contain a question mark.
fn split(url: &str) -> Option<(&str, &str)> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return None;
    }
    let after_password = url.find('@').map_or(0, |at| at + 1);
    let mark = after_password + url[after_password..].find('?')?;
    Some((&url[..mark], &url[mark + 1..]))
}

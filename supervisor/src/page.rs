//! The page: a live view of the tenants and their workers for people with a browser.
//!
//! All of it is in this program, written by hand, without a build step. Everything but the document itself has the hash of all
//! files in its path, so that a browser keeps it for ever and never mixes two versions.

use std::sync::OnceLock;

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

mod assets;

use assets::{ASSETS, Asset, DOCUMENT};

/// Scripts and styles of this program only, no inline ones, no other server, no frame around it. Text that comes from tenants
/// could not become a script even where the page tried to make it one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";
/// A path with the hash in it never shows anything else.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The routes: `/` and `/page/HASH/FILE`.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(document)).route("/page/{version}/{name}", get(asset))
}

async fn document(headers: HeaderMap) -> Response {
    let tag = format!("\"{}\"", version());
    let common = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, HeaderValue::try_from(&tag).unwrap_or(HeaderValue::from_static("\"page\""))),
    ];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, common, nobody_else()).into_response();
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    (common, nobody_else(), kind, Bytes::from_static(written().as_bytes())).into_response()
}

async fn asset(Path((wanted, name)): Path<(String, String)>) -> Response {
    let found = ASSETS.iter().find(|asset| asset.name == name).filter(|_| wanted == version());
    let Some(asset) = found else {
        // A page that is older than this program: its next request for `/` brings the new one.
        return (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], "no such file\n").into_response();
    };
    let headers = [(header::CONTENT_TYPE, asset.content_type()), (header::CACHE_CONTROL, FOR_EVER)];
    (headers, nobody_else(), Bytes::from_static(asset.bytes)).into_response()
}

/// What keeps the page and other sites apart beside the policy.
fn nobody_else() -> [(HeaderName, &'static str); 4] {
    [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ]
}

/// The hash of every file, short.
fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut all = Sha256::new();
        all.update(DOCUMENT);
        for asset in ASSETS {
            all.update(asset.name);
            all.update(asset.bytes);
        }
        all.finalize().iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    })
}

/// The document with the paths of its files. All modules are named in it, so that they are fetched at once and not one after
/// another as each is found to import the next.
fn written() -> &'static str {
    static WRITTEN: OnceLock<String> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let base = format!("/page/{}", version());
        let modules = ASSETS.iter().filter(|asset| asset.is_module());
        let links = modules.map(|module| format!("<link rel=\"modulepreload\" href=\"{base}/{}\">", module.name));
        DOCUMENT.replace("@MODULES@", &links.collect::<Vec<_>>().join("\n")).replace("@BASE@", &base)
    })
}

impl Asset {
    fn content_type(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }

    /// The one script that is no module runs before the first paint.
    fn is_module(&self) -> bool {
        self.name.strip_suffix(".js").is_some_and(|name| name != "theme")
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::*;

    fn on_disk() -> BTreeSet<String> {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/page");
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !["assets.rs", "index.html"].contains(&name.as_str())).collect()
    }

    fn scripts() -> impl Iterator<Item = (&'static str, &'static str)> {
        let scripts = ASSETS.iter().filter(|asset| asset.content_type().starts_with("text/javascript"));
        scripts.map(|asset| (asset.name, std::str::from_utf8(asset.bytes).unwrap()))
    }

    #[test]
    fn every_file_beside_the_document_is_served() {
        let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        assert_eq!(served, on_disk());
    }

    #[test]
    fn the_document_names_its_files_and_nothing_is_left_to_fill_in() {
        let text = written();
        assert!(!text.contains("@BASE@") && !text.contains("@MODULES@"));
        for (_, rest) in text.match_indices("/page/").map(|(at, _)| text.split_at(at + "/page/".len())) {
            let (path, _) = rest.split_once('"').expect("a path ends");
            let (hash, name) = path.split_once('/').expect("hash and name");
            assert_eq!(hash, version());
            assert!(ASSETS.iter().any(|asset| asset.name == name), "{name} is not there");
        }
    }

    #[test]
    fn every_import_is_of_a_file_that_there_is() {
        for (name, text) in scripts() {
            for (_, rest) in text.match_indices(" from \"").map(|(at, mark)| text.split_at(at + mark.len())) {
                let imported = rest.split_once('"').expect("an end").0;
                let known = ASSETS.iter().any(|asset| imported.strip_prefix("./") == Some(asset.name));
                assert!(known, "{name} imports {imported}");
            }
        }
    }

    #[test]
    fn nothing_makes_markup_of_text() {
        for (name, text) in scripts() {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!text.contains(word), "{name} uses {word}");
            }
        }
    }

    #[test]
    fn nothing_comes_from_another_server() {
        for asset in ASSETS.iter().filter(|asset| asset.name != "icon.svg") {
            let text = std::str::from_utf8(asset.bytes).unwrap().replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("://"), "{} names another server", asset.name);
        }
        assert!(!DOCUMENT.contains("://"));
    }

    #[test]
    fn it_stays_small() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum::<usize>() + DOCUMENT.len();
        assert!(bytes < 128_000, "{bytes} bytes");
    }
}

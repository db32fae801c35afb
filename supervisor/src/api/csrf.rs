//! Whether a request that a browser sends by itself a cookie with was made by our own page.

use axum::http::{HeaderMap, Method, header};
use subtle::ConstantTimeEq;
use url::Url;

use super::{problem::Refusal, secret::hash};

/// Where a page shows that it could read the session's answer, which another site's page cannot.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";
const FETCH_SITE: &str = "sec-fetch-site";

/// The word that goes with a session's cookie. It follows from the cookie, so it is kept nowhere.
pub(super) fn word(cookie: &str) -> String {
    hash(&format!("etl-supervisor csrf {cookie}"))
}

/// Reading changes nothing; everything else has to be asked for by our own page.
pub(super) fn check(method: &Method, headers: &HeaderMap, cookie: &str, public: Option<&Url>) -> Result<(), Refusal> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    own_page(headers, public)?;
    let mut given = headers.get_all(CSRF_HEADER).iter();
    match (given.next(), given.next()) {
        (None, _) => Err(Refusal::forbidden(
            "csrf_required",
            "a session's cookie alone changes nothing: send the session's csrf_token as X-CSRF-Token",
        )),
        (Some(given), None) if bool::from(given.as_bytes().ct_eq(word(cookie).as_bytes())) => Ok(()),
        _ => Err(Refusal::forbidden("csrf_invalid", "X-CSRF-Token is not this session's csrf_token")),
    }
}

/// Refuses what a browser says another site's page has sent. Programs say nothing of it and are let pass.
pub(super) fn own_page(headers: &HeaderMap, public: Option<&Url>) -> Result<(), Refusal> {
    let foreign = || Refusal::forbidden("origin_foreign", "the browser says that another site's page has sent this");
    let mut site = headers.get_all(FETCH_SITE).iter();
    if site.any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none")) {
        return Err(foreign());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    for origin in headers.get_all(header::ORIGIN) {
        // `null`, which sandboxed pages send, is no URL.
        let origin = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()).ok_or_else(foreign)?;
        let is_public = public.is_some_and(|public| public.origin() == origin.origin());
        // A proxy with TLS in front hands over the name without the scheme.
        let is_host = host.is_some_and(|host| {
            let ours = format!("{}://{host}", origin.scheme());
            Url::parse(&ours).is_ok_and(|ours| ours.origin() == origin.origin())
        });
        if !(is_public || is_host) || !matches!(origin.scheme(), "http" | "https") {
            return Err(foreign());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_page_passes() {
        let public: Url = "https://etl.example.org".parse().unwrap();
        for (origin, site, host, passes) in [
            (None, None, "127.0.0.1:8750", true),
            (Some("http://127.0.0.1:8750"), Some("same-origin"), "127.0.0.1:8750", true),
            (Some("http://127.0.0.1:8751"), None, "127.0.0.1:8750", false),
            (Some("https://etl.example.org"), None, "127.0.0.1:8750", true),
            (Some("http://etl.example.org"), None, "127.0.0.1:8750", false),
            (Some("https://etl.example.org:444"), None, "127.0.0.1:8750", false),
            (Some("https://proxy.example.org"), None, "proxy.example.org", true),
            (Some("https://etl.example.org.evil.example"), None, "etl.example.org", false),
            (Some("null"), None, "127.0.0.1:8750", false),
            (Some("file://"), None, "127.0.0.1:8750", false),
            (None, Some("cross-site"), "127.0.0.1:8750", false),
            (None, Some("same-site"), "127.0.0.1:8750", false),
            (None, Some("none"), "127.0.0.1:8750", true),
        ] {
            let mut given = vec![("host", host)];
            given.extend(origin.map(|origin| ("origin", origin)));
            given.extend(site.map(|site| (FETCH_SITE, site)));
            assert_eq!(own_page(&headers(&given), Some(&public)).is_ok(), passes, "{given:?}");
        }
    }

    #[test]
    fn what_changes_something_needs_the_sessions_own_word() {
        let (cookie, other) = ("0123", "4567");
        let mine = word(cookie);
        assert_ne!(mine, word(other));
        let check =
            |method: Method, given: &[(&'static str, &str)]| check(&method, &headers(given), cookie, None).is_ok();
        assert!(check(Method::GET, &[]) && check(Method::HEAD, &[]));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            assert!(!check(method.clone(), &[]));
            assert!(!check(method.clone(), &[(CSRF_HEADER, &word(other))]));
            assert!(!check(method.clone(), &[(CSRF_HEADER, cookie)]));
            assert!(!check(method.clone(), &[(CSRF_HEADER, &mine), (CSRF_HEADER, &mine)]));
            assert!(check(method, &[(CSRF_HEADER, &mine)]));
        }
    }
}

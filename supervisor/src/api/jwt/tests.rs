use std::path::Path;

use serde_json::json;

use super::*;
use platform::{Rsa, SECRET, hs256, now};

pub(in crate::api) mod platform;
mod rotation;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

pub(super) fn jwt_settings(key: &str, path: &Path) -> settings::Jwt {
    let text = format!("{key} = {:?}\nissuer = \"platform\"", path.display().to_string());
    toml::from_str(&text).unwrap()
}

pub(super) fn jwts(jwt: settings::Jwt) -> Jwts {
    Jwts::new(&Auth { jwt: Some(jwt), ..Auth::default() }).unwrap().unwrap()
}

fn symmetric(change: impl FnOnce(&mut settings::Jwt)) -> Jwts {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [SECRET, &b"\n"[..]].concat()).unwrap();
    let mut settings = jwt_settings("secret_file", file.path());
    change(&mut settings);
    jwts(settings)
}

/// Good claims, with these instead; `null` takes one away.
fn claims(changes: &Value) -> String {
    let mut claims =
        json!({ "iss": "platform", "exp": now() + 600, "sub": "alice", "tenant_id": 7, "role": "operator" });
    let all = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            all.remove(name)
        } else {
            all.insert(name.clone(), value.clone())
        };
    }
    claims.to_string()
}

async fn outcome(jwts: &Jwts, claims: &str) -> String {
    told(jwts.subject(&hs256(SECRET, HEADER, claims)).await)
}

pub(super) fn told(subject: Result<Subject, Unbelieved>) -> String {
    match subject {
        Ok(subject) => format!("{} {:?}", subject.name, subject.grant),
        Err(Unbelieved::Invalid(detail)) => detail.to_owned(),
        Err(Unbelieved::Nobody(code, _)) => code.to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn claims_come_to_a_subject_or_to_a_refusal() {
    let jwts = symmetric(|_| {});
    let operator = format!("alice {:?}", Grant::Operator(TenantId::try_from(7).unwrap()));
    for (changes, expected) in [
        (json!({}), operator.as_str()),
        (json!({"tenant_id": "7"}), &operator),
        (json!({"role": ["nobody", "viewer", "operator"]}), &operator),
        (json!({"role": "admin"}), &operator),
        (json!({"is_admin": true, "tenant_id": null, "role": null}), "alice Admin"),
        (json!({"is_admin": "true"}), &operator),
        (json!({"is_admin": 1}), &operator),
        (json!({"role": null}), "no_role"),
        (json!({"role": "root"}), "no_role"),
        (json!({"role": {"operator": true}}), "no_role"),
        (json!({"tenant_id": null}), "no_tenant"),
        (json!({"tenant_id": 0}), "no_tenant"),
        (json!({"tenant_id": -7}), "no_tenant"),
        (json!({"tenant_id": 7.5}), "no_tenant"),
        (json!({"tenant_id": [7]}), "no_tenant"),
        (json!({"tenant_id": "07"}), "no_tenant"),
        (json!({"tenant_id": "+7"}), "no_tenant"),
        (json!({"tenant_id": " 7"}), "no_tenant"),
        (json!({"tenant_id": "7; DROP"}), "no_tenant"),
        (json!({"tenant_id": "99999999999999999999"}), "no_tenant"),
        (json!({"exp": null}), "this token lacks exp, iss or aud"),
        (json!({"exp": "tomorrow"}), "this token lacks exp, iss or aud"),
        (json!({"exp": -1}), "this token lacks exp, iss or aud"),
        (json!({"exp": now() - 31}), "Expired"),
        (json!({"exp": now() - 5}), &operator),
        (json!({"nbf": now() + 60}), "this token is not valid yet"),
        (json!({"nbf": now() + 5}), &operator),
        (json!({"iss": null}), "this token lacks exp, iss or aud"),
        (json!({"iss": "stranger"}), "this token has another issuer"),
        (json!({"iss": "platform "}), "this token has another issuer"),
        (json!({"aud": "somebody"}), "this token is for another audience"),
        (json!({"sub": null}), "this token says of nobody whose it is (sub)"),
        (json!({"sub": ""}), "this token says of nobody whose it is (sub)"),
        (json!({"sub": 42}), &operator.replace("alice", "42")),
        (json!({"sub": "a\nuid 0\u{202e}\u{1b}[31m"}), &operator.replace("alice", "a_uid_0___31m")),
    ] {
        assert_eq!(outcome(&jwts, &claims(&changes)).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn an_audience_that_is_configured_must_be_there() {
    let jwts = symmetric(|settings| settings.audience = Some("etl".to_owned()));
    for (aud, passes) in [
        (json!("etl"), true),
        (json!(["x", "etl"]), true),
        (json!("x"), false),
        (json!([]), false),
        (json!(null), false),
    ] {
        let passed = outcome(&jwts, &claims(&json!({"aud": aud}))).await.starts_with("alice ");
        assert_eq!(passed, passes, "{aud}");
    }
}

#[tokio::test]
async fn a_token_for_ever_can_be_shown_and_one_of_absurd_size_is_not_read() {
    let jwts = symmetric(|_| {});
    for exp in [json!(253_402_300_800_u64), json!(u64::MAX), json!(1e19)] {
        let subject = jwts.subject(&hs256(SECRET, HEADER, &claims(&json!({ "exp": exp })))).await.unwrap();
        assert!(crate::clock::rfc3339(subject.ends).starts_with("9999-"), "{exp}");
    }
    let large = claims(&json!({ "note": "x".repeat(LARGEST) }));
    assert_eq!(outcome(&jwts, &large).await, "this token is too large to be one");
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(2000), "]".repeat(2000));
    assert_eq!(outcome(&jwts, &deep).await, "this token cannot be used");
    let name = "n".repeat(3000);
    let subject = jwts.subject(&hs256(SECRET, HEADER, &claims(&json!({ "sub": name })))).await.unwrap();
    assert_eq!(subject.name.len(), LONGEST_NAME);
    let mut identities = Vec::new();
    for sub in ["a b", "a_b"] {
        let subject = jwts.subject(&hs256(SECRET, HEADER, &claims(&json!({ "sub": sub })))).await.unwrap();
        assert_eq!(subject.name, "a_b");
        identities.push(subject.identity);
    }
    assert_ne!(identities[0], identities[1]);
}

#[tokio::test]
async fn a_name_that_stands_there_twice_is_refused() {
    let jwts = symmetric(|_| {});
    let good = claims(&json!({}));
    for twice in
        [r#""tenant_id":8,"#, r#""exp":9999999999,"#, r#""role":"viewer","#, r#""is_admin":true,"is_admin":false,"#]
    {
        let claims = format!("{{{twice}{}", &good[1..]);
        assert_eq!(outcome(&jwts, &claims).await, "this token cannot be used", "{claims}");
    }
    let header = r#"{"alg":"HS256","alg":"none"}"#;
    let unreadable = "this is neither an API token nor a JWT";
    assert_eq!(told(jwts.subject(&hs256(SECRET, header, &good)).await), unreadable);
}

#[tokio::test]
async fn only_the_configured_way_of_signing_counts() {
    let (jwts, good) = (symmetric(|_| {}), claims(&json!({})));
    let none = platform::message(r#"{"alg":"none"}"#, &good);
    let unreadable = "this is neither an API token nor a JWT";
    let signed = hs256(SECRET, HEADER, &good);
    let (message, _) = signed.rsplit_once('.').unwrap();
    for (token, expected) in [
        (format!("{none}."), unreadable),
        (none.clone(), unreadable),
        (hs256(SECRET, r#"{"alg":"NONE"}"#, &good), unreadable),
        (hs256(SECRET, r#"{"typ":"JWT"}"#, &good), unreadable),
        (hs256(SECRET, r#"{"alg":"HS384"}"#, &good), "the token's algorithm is none of [auth.jwt] algorithms"),
        (hs256(SECRET, r#"{"alg":"RS256"}"#, &good), "the token's algorithm is none of [auth.jwt] algorithms"),
        (
            hs256(SECRET, r#"{"alg":"HS256","crit":["exp"]}"#, &good),
            "the token's header has crit, which is not understood here",
        ),
        (hs256(b"another secret, of the same length", HEADER, &good), "this token's signature is wrong"),
        (format!("{message}."), "this token's signature is wrong"),
        (format!("{signed}A"), "this token's signature is wrong"),
        (format!("{signed}="), "this token cannot be used"),
        (format!("{signed}."), unreadable),
        (format!("{signed}.{signed}"), unreadable),
        ("..".to_owned(), unreadable),
        (".".to_owned(), unreadable),
    ] {
        assert_eq!(told(jwts.subject(&token).await), expected, "{token}");
    }
    let mut forged = signed.split('.').map(ToOwned::to_owned).collect::<Vec<_>>();
    forged[1] = platform::message(HEADER, &claims(&json!({"tenant_id": 8}))).split('.').next_back().unwrap().to_owned();
    assert_eq!(told(jwts.subject(&forged.join(".")).await), "this token's signature is wrong");
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let (rsa, other) = (Rsa::new(2048), Rsa::new(2048));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &rsa.public_pem).unwrap();
    let jwts = jwts(jwt_settings("public_key_file", file.path()));
    let good = claims(&json!({}));
    let header = r#"{"alg":"RS256"}"#;
    assert!(told(jwts.subject(&rsa.rs256(header, &good)).await).starts_with("alice "));
    assert_eq!(told(jwts.subject(&other.rs256(header, &good)).await), "this token's signature is wrong");
    let wrong = "the token's algorithm is none of [auth.jwt] algorithms";
    for secret in [rsa.public_pem.as_slice(), rsa.public_pem.trim_ascii_end()] {
        assert_eq!(told(jwts.subject(&hs256(secret, HEADER, &good)).await), wrong);
        assert_eq!(told(jwts.subject(&hs256(secret, header, &good)).await), "this token's signature is wrong");
    }
}

#[test]
fn keys_that_are_too_weak_or_no_keys_are_refused_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (key, text, expected) in [
        ("secret_file", "short\n", "32 bytes"),
        ("public_key_file", "hello", "BEGIN PUBLIC KEY"),
        ("jwks_file", "{}", "set of keys"),
        ("jwks_file", r#"{"keys":[]}"#, "no usable key"),
        ("jwks_file", r#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#, "no usable key"),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let auth = Auth { jwt: Some(jwt_settings(key, file.path())), ..Auth::default() };
        let error = Jwts::new(&auth).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let auth = Auth { jwt: Some(jwt_settings("secret_file", Path::new("/nowhere"))), ..Auth::default() };
    assert!(Jwts::new(&auth).unwrap_err().to_string().contains("/nowhere"));
}

//! Tokens that nobody has given out.

use std::{process::Command, time::SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};
use system_tests::{Setup, Supervisor, refusals::Attempt};

use crate::{Scene, wire::request};

pub(crate) const SECRET: &str = "a secret of the platform, 32 bytes at least";
const STATUS: &str = "/api/v1/admin/workers/tenant/1/status";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Claims of an operator of tenant 1, with these instead; `null` takes one away.
pub(crate) fn claims(changes: &Value) -> String {
    let mut claims = json!({
        "iss": "platform", "aud": "etl", "exp": now() + 600, "sub": "alice", "tenant_id": 1, "role": "operator",
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    claims.to_string()
}

fn signed(secret: &[u8], header: &str, claims: &str) -> String {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// A token of the platform with these claims instead.
pub(crate) fn jwt(changes: &Value) -> String {
    signed(SECRET.as_bytes(), HEADER, &claims(changes))
}

fn bearer(token: &str) -> Vec<u8> {
    request("GET", STATUS, &[&format!("Authorization: Bearer {token}")], "")
}

pub(crate) async fn attempts(scene: &Scene) -> Vec<Attempt> {
    let good = jwt(&json!({}));
    assert_eq!(scene.answers(&bearer(&good)).await, ["200"], "a genuine token lets in");
    assert_eq!(scene.answers(&bearer(&scene.own)).await, ["200"], "and so does an API token");
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let swapped = head.replace(
        &BASE64_URL_SAFE_NO_PAD.encode(claims(&json!({}))),
        &BASE64_URL_SAFE_NO_PAD.encode(claims(&json!({"is_admin": true}))),
    );
    assert_ne!(swapped, head);
    let none = |alg: &str| {
        let header = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}"}}"#));
        format!("{header}.{}.", BASE64_URL_SAFE_NO_PAD.encode(claims(&json!({}))))
    };
    let tries = [
        ("no token", request("GET", STATUS, &[], "")),
        (
            "a guessed API token",
            bearer("etl_000000000000_0000000000000000000000000000000000000000000000000000000000000000"),
        ),
        ("an API token without its last digit", bearer(&scene.own[..scene.own.len() - 1])),
        (
            "a JWT signed with another secret",
            bearer(&signed(b"another secret of at least 32 bytes", HEADER, &claims(&json!({})))),
        ),
        ("a JWT without its signature", bearer(&format!("{head}."))),
        ("a JWT with other claims than were signed", bearer(&format!("{swapped}.{signature}"))),
        ("`alg: none`", bearer(&none("none"))),
        ("`alg: NoNe`", bearer(&none("NoNe"))),
        (
            "an algorithm that is not configured",
            bearer(&signed(SECRET.as_bytes(), r#"{"alg":"HS512"}"#, &claims(&json!({})))),
        ),
        ("an expired JWT", bearer(&jwt(&json!({"exp": now() - 60})))),
        ("a JWT without an end", bearer(&jwt(&json!({"exp": null})))),
        ("a JWT that is not valid yet", bearer(&jwt(&json!({"nbf": now() + 300})))),
        ("a JWT of another issuer", bearer(&jwt(&json!({"iss": "stranger"})))),
        ("a JWT for another audience", bearer(&jwt(&json!({"aud": "shop"})))),
        ("a JWT for no audience", bearer(&jwt(&json!({"aud": null})))),
        ("a genuine JWT without a tenant", bearer(&jwt(&json!({"tenant_id": null})))),
        ("a genuine JWT with a role that means nothing here", bearer(&jwt(&json!({"role": "root"})))),
        ("a genuine JWT whose `is_admin` is the word `true`", bearer(&jwt(&json!({"is_admin": "true", "role": null})))),
        (
            "a JWT with a claim that stands there twice",
            bearer(&signed(
                SECRET.as_bytes(),
                HEADER,
                &format!(r#"{{"is_admin":true,{}"#, &claims(&json!({"is_admin": false}))[1..]),
            )),
        ),
        ("a JWT of 20 KiB", bearer(&jwt(&json!({"note": "x".repeat(15_000)})))),
        ("a password as in Basic", request("GET", STATUS, &["Authorization: Basic YWRtaW46YWRtaW4="], "")),
        ("a token in the query", request("GET", &format!("{STATUS}?access_token={}", scene.own), &[], "")),
    ];
    let mut attempts = Vec::new();
    for (what, bytes) in tries {
        attempts.push(scene.attempt(what, &bytes).await);
    }
    attempts.push(confusion().await);
    attempts.push(guessing().await);
    attempts
}

/// A supervisor that believes an RSA key; whoever knows the public half signs with it as if it were a secret.
async fn confusion() -> Attempt {
    let setup = Setup::scripted("[1]")
        .set("auth.jwt", "public_key_file", "\"@HERE@/jwt.pem\"")
        .set("auth.jwt", "issuer", "\"platform\"")
        .set("auth.jwt", "audience", "\"etl\"");
    let mut supervisor = Supervisor::prepare(&setup);
    let script = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null | openssl pkey -pubout";
    let made = Command::new("sh").args(["-c", script]).output().expect("a shell");
    assert!(made.stdout.starts_with(b"-----BEGIN PUBLIC KEY"), "{made:?}");
    std::fs::write(supervisor.directory().join("jwt.pem"), &made.stdout).expect("a key");
    supervisor.start_brain().await;
    let scene = Scene { supervisor, own: String::new(), admin: String::new() };
    let token = signed(&made.stdout, HEADER, &claims(&json!({})));
    scene.attempt("HS256 signed with the public RSA key", &bearer(&token)).await
}

/// One address tries again and again.
async fn guessing() -> Attempt {
    let supervisor = Supervisor::start(&Setup::scripted("[1]")).await;
    let own = supervisor.token(etl_shared::api::Role::Operator, Some(1)).await;
    let scene = Scene { supervisor, own, admin: String::new() };
    let guess = bearer("etl_000000000000_1111");
    for _ in 0..10 {
        assert_eq!(scene.answers(&guess).await, ["401 token_invalid"]);
    }
    let attempt = scene.attempt("an eleventh guess within a minute", &guess).await;
    assert_eq!(scene.answers(&bearer(&scene.own)).await, ["200"], "the same address with a valid token");
    attempt
}

//! Keys that are published, changed, withdrawn and not to be had.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, timeout},
};

use super::{super::*, claims, jwts, platform::Rsa, told};

const UNKNOWN: &str = "the token's key is not known";

fn header(kid: &str) -> String {
    json!({ "alg": "RS256", "kid": kid }).to_string()
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Publishes a document, or accepts connections and says nothing.
struct Publisher {
    document: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
    url: String,
}

impl Publisher {
    async fn start(document: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (document, asked) = (Arc::new(Mutex::new(document)), Arc::new(AtomicUsize::new(0)));
        let (published, counted) = (Arc::clone(&document), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 4096]).await;
                let document = published.lock().unwrap().clone();
                match document {
                    Some(document) => {
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", document.len());
                        let _ = stream.write_all((answer + &document).as_bytes()).await;
                    }
                    None => held.push(stream),
                }
            }
        });
        Self { document, asked, url }
    }

    fn publish(&self, document: Option<String>) {
        *self.document.lock().unwrap() = document;
    }

    fn jwts(&self) -> Arc<Jwts> {
        let text = format!("jwks_url = {:?}\nissuer = \"platform\"\naudience = \"etl\"", self.url);
        let jwts = Arc::new(jwts(toml::from_str(&text).unwrap()));
        let kept = Arc::clone(&jwts);
        tokio::spawn(async move { kept.keep_keys().await });
        jwts
    }
}

async fn outcome(jwts: &Jwts, rsa: &Rsa, kid: &str) -> String {
    told(jwts.subject(&rsa.rs256(&header(kid), &claims(&json!({ "aud": "etl" })))).await)
}

#[tokio::test]
async fn a_new_key_is_found_when_somebody_needs_it_and_an_old_one_forgotten() {
    let (first, second) = (Rsa::new(2048), Rsa::new(2048));
    let publisher = Publisher::start(Some(set(&[first.jwk("1")]))).await;
    let jwts = publisher.jwts();
    assert!(outcome(&jwts, &first, "1").await.starts_with("alice "), "the first request waits for the first keys");
    let signed = first.rs256(&header("1"), &claims(&json!({ "aud": "etl" })));
    let key = jwts.subject(&signed).await.unwrap().key;
    assert!(jwts.trusts(&key));
    assert_eq!(outcome(&jwts, &second, "1").await, "this token's signature is wrong");
    publisher.publish(Some(set(&[second.jwk("2")])));
    let began = Instant::now();
    // Just looked: nobody is made to look at once again, and nobody waits.
    assert_eq!(outcome(&jwts, &second, "2").await, UNKNOWN);
    assert!(began.elapsed() < Duration::from_secs(1));
    let found = timeout(Duration::from_secs(30), async {
        while !outcome(&jwts, &second, "2").await.starts_with("alice ") {
            tokio::task::yield_now().await;
        }
    });
    found.await.expect("the new key is not found");
    assert_eq!(outcome(&jwts, &first, "1").await, UNKNOWN);
    assert!(!jwts.trusts(&key), "who was let in with it before is let in no more");
    assert!(publisher.asked.load(Ordering::Relaxed) <= 3, "however often it was missed");
}

#[tokio::test]
async fn a_server_that_says_nothing_holds_up_nobody_whose_key_is_known() {
    let rsa = Rsa::new(2048);
    let publisher = Publisher::start(Some(set(&[rsa.jwk("1")]))).await;
    let jwts = publisher.jwts();
    assert!(outcome(&jwts, &rsa, "1").await.starts_with("alice "));
    publisher.publish(None);
    timeout(Duration::from_secs(30), async {
        while publisher.asked.load(Ordering::Relaxed) < 2 {
            let _ = outcome(&jwts, &rsa, "unknown").await;
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is asked again");
    let began = Instant::now();
    assert!(outcome(&jwts, &rsa, "1").await.starts_with("alice "), "the last keys stay");
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(outcome(&jwts, &rsa, "unknown").await, UNKNOWN);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_any_key_nobody_can_tell() {
    let rsa = Rsa::new(2048);
    let publisher = Publisher::start(Some("<html>".to_owned())).await;
    let jwts = publisher.jwts();
    assert_eq!(outcome(&jwts, &rsa, "1").await, "NoKeys");
}

#[tokio::test]
async fn of_a_set_only_keys_that_can_have_signed_count() {
    let (rsa, small) = (Rsa::new(2048), Rsa::new(2048));
    let changed = |kid: &str, name: &str, value: Value| {
        let mut jwk = rsa.jwk(kid);
        jwk[name] = value;
        jwk
    };
    let mut unnamed = rsa.jwk("");
    unnamed.as_object_mut().unwrap().remove("kid");
    let file = tempfile::NamedTempFile::new().unwrap();
    let keys = [
        rsa.jwk("good"),
        changed("encrypts", "use", json!("enc")),
        changed("other-algorithm", "alg", json!("RS512")),
        changed("secret", "kty", json!("oct")),
        changed("short", "n", json!("AQAB")),
        rsa.jwk("twice"),
        small.jwk("twice"),
        unnamed,
    ];
    std::fs::write(file.path(), set(&keys)).unwrap();
    let text = format!("jwks_file = {:?}\nissuer = \"platform\"\naudience = \"etl\"", Path::new(file.path()));
    let jwts = jwts(toml::from_str(&text).unwrap());
    assert!(outcome(&jwts, &rsa, "good").await.starts_with("alice "));
    for kid in ["encrypts", "other-algorithm", "secret", "short", "twice", "", "GOOD"] {
        assert_eq!(outcome(&jwts, &rsa, kid).await, UNKNOWN, "{kid}");
    }
    let unnamed = rsa.rs256(r#"{"alg":"RS256"}"#, &claims(&json!({ "aud": "etl" })));
    assert_eq!(told(jwts.subject(&unnamed).await), "the token names no key (kid)");
}

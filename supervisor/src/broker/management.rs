//! RabbitMQ's management API: how it is asked, policies, and what is in force for a queue. For users see `users`.

use std::{io, pin::Pin};

use base64::{Engine, prelude::BASE64_STANDARD};
use etl_shared::{
    amqp,
    tls::{Authorities, Server},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use url::Url;

use crate::settings::Broker;

/// The management API for one virtual host. Whoever asks sets the time that an answer may take.
#[derive(Debug, Clone)]
pub struct Management {
    /// Without user and password.
    base: Url,
    vhost: String,
    authorization: HeaderValue,
    /// Who must have signed its certificate, where the address begins with `https`.
    authorities: Authorities,
}

/// No answer, or not the one that was hoped for. No text quotes the password.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    /// The address is wrong.
    #[error(
        "the URL cannot be read: expected http://USER:PASSWORD@HOST:15672, or https://USER:PASSWORD@HOST:15671 for TLS"
    )]
    BadUrl,
    /// Nobody listens, or the connection broke.
    #[error("the management API at {shown} does not answer: {detail}")]
    Unreachable {
        /// Host and port.
        shown: String,
        /// What the system said.
        detail: String,
    },
    /// 401 or 403.
    #[error(
        "the management API at {shown} refuses this account ({status}): it needs the tag policymaker (for tenants' own accounts: administrator) and rights on the virtual host"
    )]
    NotAllowed {
        /// Host and port.
        shown: String,
        /// 401 or 403.
        status: u16,
    },
    /// Something else.
    #[error("the management API at {shown} answered {path} with {status}: {body}")]
    Unexpected {
        /// Host and port.
        shown: String,
        /// What was asked for.
        path: String,
        /// Its status code.
        status: u16,
        /// The beginning of its answer.
        body: String,
    },
}

/// A connection with TLS or without.
trait Wire: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Wire for T {}

/// A policy, as the API takes and gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Which names it is for.
    pub pattern: String,
    /// `queues`, …
    #[serde(rename = "apply-to")]
    pub apply_to: String,
    /// Of several policies for a queue the highest is in force, alone.
    pub priority: i64,
    /// What it sets.
    pub definition: Map<String, Value>,
}

/// What is in force for a queue.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct QueueFacts {
    /// Its name.
    pub name: String,
    /// `quorum`, `classic`, …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The one policy in force.
    #[serde(default)]
    pub policy: Option<String>,
    #[serde(default)]
    arguments: Value,
    /// Policy and operator policy together.
    #[serde(default)]
    effective_policy_definition: Value,
}

impl QueueFacts {
    /// What holds for the queue, by the policy's word for it; an argument of its declaration goes before a policy.
    pub fn setting(&self, word: &str) -> Option<&Value> {
        // Where both set a limit the lower one holds; that makes no difference to whether there is one.
        self.arguments.get(format!("x-{word}")).or_else(|| self.effective_policy_definition.get(word))
    }
}

impl Management {
    /// For the configured broker; nothing where no management API is configured.
    pub fn of(broker: &Broker) -> Result<Option<Self>, String> {
        let Some(url) = broker.management_url().map_err(|error| error.to_string())? else { return Ok(None) };
        let uri = broker.own_url().map_err(|error| error.to_string())?;
        let address = amqp::parse_url(&uri).map_err(|error| error.to_string())?;
        Self::new(&url, &address.uri.vhost).map(Some).map_err(|error| error.to_string())
    }

    /// For the API at `http://user:password@host:port`, or `https://…` with TLS.
    pub fn new(url: &SecretString, vhost: &str) -> Result<Self, ManagementError> {
        let mut base = Url::parse(url.expose_secret()).map_err(|_| ManagementError::BadUrl)?;
        if !matches!(base.scheme(), "http" | "https") || base.username().is_empty() || !base.has_host() {
            return Err(ManagementError::BadUrl);
        }
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let (user, password) = (decoded(base.username()), decoded(base.password().unwrap_or_default()));
        let credentials = BASE64_STANDARD.encode([user.as_slice(), b":", &password].concat());
        let mut authorization =
            HeaderValue::try_from(format!("Basic {credentials}")).map_err(|_| ManagementError::BadUrl)?;
        authorization.set_sensitive(true);
        base.set_username("").and_then(|()| base.set_password(None)).map_err(|()| ManagementError::BadUrl)?;
        let authorities = amqp::authorities_of(&base);
        base.set_query(None);
        Ok(Self { base, vhost: vhost.to_owned(), authorization, authorities })
    }

    /// The virtual host that it is about.
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// Host and port: what may be shown of the address.
    pub fn shown(&self) -> String {
        let port = self.base.port_or_known_default().unwrap_or(80);
        format!("{}:{port}", self.base.host_str().unwrap_or_default())
    }

    /// The broker's version, such as `4.1.3`.
    pub async fn version(&self) -> Result<String, ManagementError> {
        let overview: Value = self.get(&["api", "overview"], "columns=rabbitmq_version").await?.unwrap_or_default();
        Ok(overview["rabbitmq_version"].as_str().unwrap_or_default().to_owned())
    }

    /// The policy of this name.
    pub async fn policy(&self, name: &str) -> Result<Option<Policy>, ManagementError> {
        self.get(&["api", "policies", &self.vhost, name], "").await
    }

    /// Makes or replaces the policy of this name.
    pub async fn put_policy(&self, name: &str, policy: &Policy) -> Result<(), ManagementError> {
        let body = serde_json::to_vec(policy).unwrap_or_default();
        self.exchange(Method::PUT, &["api", "policies", &self.vhost, name], "", body).await.map(drop)
    }

    /// Every queue of the virtual host that is up.
    pub async fn queues(&self) -> Result<Vec<QueueFacts>, ManagementError> {
        let columns = "columns=name,type,policy,arguments,effective_policy_definition";
        Ok(self.get(&["api", "queues", &self.vhost], columns).await?.unwrap_or_default())
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &str,
    ) -> Result<Option<T>, ManagementError> {
        let (status, body) = self.exchange(Method::GET, path, query, Vec::new()).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        serde_json::from_slice(&body).map(Some).map_err(|_| self.unexpected(path, status, &body))
    }

    /// Status and body, where the status is a success or 404 for a question.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &[&str],
        query: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), ManagementError> {
        let asking = method == Method::GET;
        let (status, body) = self.send(method, path, query, body).await?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(ManagementError::NotAllowed { shown: self.shown(), status: status.as_u16() })
            }
            StatusCode::NOT_FOUND if asking => Ok((status, body)),
            _ if status.is_success() => Ok((status, body)),
            _ => Err(self.unexpected(path, status, &body)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), ManagementError> {
        let shown = self.shown();
        let broken = |detail: String| ManagementError::Unreachable { shown: shown.clone(), detail };
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // The virtual host `/` becomes %2F.
            segments.pop_if_empty().extend(path);
        }
        let target = if query.is_empty() { url.path().to_owned() } else { format!("{}?{query}", url.path()) };
        let stream = self.connect(&shown).await.map_err(|error| broken(error.to_string()))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(error.to_string()))?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, &shown)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| broken(error.to_string()))?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            Ok((answer.status(), answer.into_body().collect().await?.to_bytes()))
        };
        let answer: Result<_, hyper::Error> = answer.await;
        connection.abort();
        answer.map_err(|error| broken(error.to_string()))
    }

    async fn connect(&self, shown: &str) -> io::Result<Pin<Box<dyn Wire>>> {
        let stream = TcpStream::connect(shown).await?;
        if self.base.scheme() == "http" {
            return Ok(Box::pin(stream));
        }
        let host = self.base.host_str().unwrap_or_default();
        Ok(Box::pin(self.authorities.secure(Server::Management, host, stream).await?))
    }

    fn unexpected(&self, path: &[&str], status: StatusCode, body: &[u8]) -> ManagementError {
        // A success holds what was asked for, users' password hashes among it; a refusal says why.
        let quoted = if status.is_success() { &b"not as expected"[..] } else { body };
        let body: String = String::from_utf8_lossy(quoted).chars().take(200).collect();
        ManagementError::Unexpected { shown: self.shown(), path: path.join("/"), status: status.as_u16(), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_the_address_shows_the_password() {
        let management = Management::new(&"http://etl:p%40ss%25@broker:15672".to_owned().into(), "/").unwrap();
        assert_eq!(management.shown(), "broker:15672");
        let sent = management.authorization.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(BASE64_STANDARD.decode(sent).unwrap(), b"etl:p@ss%");
        let debugged = format!("{management:?}");
        assert!(!debugged.contains("ss%") && !debugged.contains(sent), "{debugged}");
    }

    #[test]
    fn an_answer_that_holds_users_is_never_quoted_and_a_refusal_is() {
        let management = Management::new(&"http://etl:p@broker:15672".to_owned().into(), "/").unwrap();
        let body = br#"[{"name":"tenant_7","password_hash":"SECRET"}]"#;
        let said = format!("{0} {0:?}", management.unexpected(&["api", "users"], StatusCode::OK, body));
        assert!(said.contains("api/users") && !said.contains("SECRET"), "{said}");
        let said = management.unexpected(&["api", "users"], StatusCode::BAD_REQUEST, b"bad tag").to_string();
        assert!(said.contains("bad tag"), "{said}");
    }

    #[test]
    fn an_address_without_user_is_refused() {
        for url in ["https://h:15671", "ftp://u:p@h", "http://h:15672", "u:p@h", "", "amqp://u:p@h"] {
            assert!(Management::new(&url.to_owned().into(), "/").is_err(), "{url}");
        }
    }

    #[test]
    fn an_argument_of_the_queue_goes_before_a_policy() {
        let facts: QueueFacts = serde_json::from_value(serde_json::json!({
            "name": "q", "arguments": {"x-overflow": "drop-head"},
            "effective_policy_definition": {"overflow": "reject-publish", "delivery-limit": 3}
        }))
        .unwrap();
        assert_eq!(facts.setting("overflow"), Some(&"drop-head".into()));
        assert_eq!(facts.setting("delivery-limit"), Some(&3.into()));
        assert_eq!(facts.setting("expires"), None);
    }
}

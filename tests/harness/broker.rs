//! A virtual host of the broker for each test.

use std::{panic::Location, time::Duration};

use etl_shared::{amqp, publish::Publisher};
use futures_util::future::try_join_all;
use lapin::{
    Connection,
    options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    SOON,
    database::at_once,
    eventually,
    http::{Call, Reply},
    stack::Endpoints,
};

/// Messages that are on their way to the broker at once.
const UNCONFIRMED: usize = 500;

/// A virtual host of one test; it is deleted with this value, queues and connections included.
pub struct TestBroker {
    vhost: String,
    url: String,
    management: Management,
    publisher: Mutex<Option<Publisher>>,
}

/// What a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Waiting for a consumer.
    pub ready: u32,
    /// Attached consumers.
    pub consumers: u32,
}

impl TestBroker {
    /// A new one, empty.
    pub async fn create(endpoints: &Endpoints) -> Self {
        let vhost = format!("test_{:016x}", rand::random::<u64>());
        let management = Management::new(&endpoints.management);
        management.call(|| Call::put(&format!("/api/vhosts/{vhost}"), json!({}))).await;
        let user = management.credentials.split(':').next().unwrap_or_default().to_owned();
        let rights = json!({"configure": ".*", "write": ".*", "read": ".*"});
        management.call(|| Call::put(&format!("/api/permissions/{vhost}/{user}"), rights.clone())).await;
        let (server, _) = endpoints.amqp.rsplit_once('/').expect("AMQP_URL ends with a vhost");
        Self { url: format!("{server}/{vhost}"), vhost, management, publisher: Mutex::new(None) }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `host:port` of the broker.
    pub fn address(&self) -> String {
        let uri = amqp::parse_url(&self.url.clone().into()).expect("the broker's URL can be read").uri;
        format!("{}:{}", uri.authority.host, uri.authority.port)
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> Connection {
        let address = amqp::parse_url(&self.url.clone().into()).expect("the broker's URL can be read");
        address.connect("system test").await.expect("the broker takes a connection")
    }

    /// Creates a queue as the supervisor would: durable, quorum.
    pub async fn declare(&self, queue: &str) {
        self.declare_with(queue, &[("x-queue-type", AMQPValue::LongString("quorum".into()))]).await;
    }

    /// Creates a durable queue with these arguments.
    pub async fn declare_with(&self, queue: &str, arguments: &[(&str, AMQPValue)]) {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.clone());
        }
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), options, table).await.expect("the queue can be declared");
    }

    /// Publishes a body and waits for the broker's confirmation.
    pub async fn publish(&self, queue: &str, body: &[u8]) {
        self.try_publish(queue, body).await.unwrap_or_else(|error| panic!("publishing to {queue}: {error}"));
    }

    /// Publishes many, with hundreds on their way at once, until each is confirmed, whatever becomes of the connection: some may
    /// be published twice then.
    pub async fn publish_all<'a>(&self, messages: impl Iterator<Item = (&'a str, &'a [u8])>) {
        let messages: Vec<_> = messages.collect();
        for some in messages.chunks(UNCONFIRMED) {
            eventually("the messages are published", SOON, async || {
                let publisher = self.new_publisher().await?;
                let sent = some.iter().map(|(queue, body)| publisher.publish_body(queue, body));
                try_join_all(sent).await.map(drop).map_err(|error| error.to_string())
            })
            .await;
        }
    }

    /// Ends every connection to this virtual host, and says how many there were.
    pub async fn close_connections(&self) -> usize {
        let path = format!("/api/vhosts/{}/connections", self.vhost);
        let list: Vec<Value> = self.management.call(|| Call::get(&path)).await.json();
        let mut closed = 0;
        for name in list.iter().filter_map(|connection| connection["name"].as_str()) {
            // It may have gone by itself.
            let path = format!("/api/connections/{}", name.replace('%', "%25").replace(' ', "%20").replace('>', "%3E"));
            let reply = self.management.send(Call::delete(&path)).await;
            closed += usize::from(reply.is_ok_and(|reply| reply.status == 204));
        }
        closed
    }

    /// The same, for times in which the broker may be away.
    pub async fn try_publish(&self, queue: &str, body: &[u8]) -> Result<(), String> {
        let mut kept = self.publisher.lock().await;
        let first = match kept.as_ref() {
            Some(publisher) => publisher.publish_body(queue, body).await.map_err(|error| error.to_string()),
            None => Err("not connected yet".to_owned()),
        };
        if let Err(error) = first {
            // The connection that was kept may be gone for good.
            let fresh = self.new_publisher().await.map_err(|second| format!("{error}; {second}"))?;
            fresh.publish_body(queue, body).await.map_err(|second| format!("{error}; again: {second}"))?;
            *kept = Some(fresh);
        }
        Ok(())
    }

    /// Ready messages and consumers; `None` where there is no such queue.
    pub async fn depth(&self, queue: &str) -> Option<Depth> {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await.ok()?;
        Some(Depth { ready: queue.message_count(), consumers: queue.consumer_count() })
    }

    /// Waits until nobody consumes the queue any more and nothing is left in it: once its consumers are gone, whatever they
    /// did not acknowledge is ready again, so an empty queue then means that everything was acknowledged.
    #[track_caller]
    pub fn settled(&self, queue: &str) -> impl Future<Output = ()> {
        let what = format!("{queue} has no consumer, and everything in it has been acknowledged");
        let nothing = Depth { ready: 0, consumers: 0 };
        let seen = Location::caller();
        async move {
            for _ in 0..3 {
                eventually(what.as_str(), SOON, async || match self.depth(queue).await {
                    Some(depth) if depth == nothing => Ok(()),
                    other => Err(format!("{other:?} (asked at {seen})")),
                })
                .await;
                // The broker notices a lost consumer and returns its messages one after the other.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits for a depth.
    #[track_caller]
    pub fn has(&self, queue: &str, wanted: Depth) -> impl Future<Output = ()> {
        eventually(format!("{queue} has {wanted:?}"), SOON, async move || match self.depth(queue).await {
            Some(depth) if depth == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        })
    }

    /// Takes one message out of a queue.
    pub async fn take(&self, queue: &str) -> Option<Vec<u8>> {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let message = channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("the queue is there")?;
        message.delivery.ack(BasicAckOptions::default()).await.expect("an acknowledgement can be sent");
        Some(message.delivery.data)
    }

    /// A queue as the management API describes it.
    pub async fn describe(&self, queue: &str) -> Option<Value> {
        let path = format!("/api/queues/{}/{queue}", self.vhost);
        let reply = self.management.send(Call::get(&path)).await.ok()?;
        (reply.status == 200).then(|| reply.json())
    }

    /// Sets a policy, as an operator would.
    pub async fn set_policy(&self, name: &str, policy: &Value) {
        let path = format!("/api/policies/{}/{name}", self.vhost);
        self.management.call(|| Call::put(&path, policy.clone())).await;
    }

    /// A policy as it is.
    pub async fn policy(&self, name: &str) -> Option<Value> {
        let reply = self.management.send(Call::get(&format!("/api/policies/{}/{name}", self.vhost))).await.ok()?;
        (reply.status == 200).then(|| reply.json())
    }

    /// Names of all queues.
    pub async fn queues(&self) -> Vec<String> {
        let path = format!("/api/queues/{}?columns=name", self.vhost);
        let list: Vec<Value> = self.management.call(|| Call::get(&path)).await.json();
        list.iter().filter_map(|queue| queue["name"].as_str().map(str::to_owned)).collect()
    }

    async fn new_publisher(&self) -> Result<Publisher, String> {
        let address = amqp::parse_url(&self.url.clone().into()).map_err(|error| error.to_string())?;
        Publisher::connect(&address, "system test").await.map_err(|error| error.to_string())
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let management = self.management.clone();
        let path = format!("/api/vhosts/{}", self.vhost);
        at_once(async move {
            let _ = management.send(Call::delete(&path)).await;
        });
    }
}

/// The management API.
#[derive(Debug, Clone)]
struct Management {
    address: String,
    credentials: String,
}

impl Management {
    fn new(url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("MANAGEMENT_URL begins with http://");
        let (credentials, address) = rest.split_once('@').expect("MANAGEMENT_URL names a user");
        Self { address: address.trim_end_matches('/').to_owned(), credentials: credentials.to_owned() }
    }

    async fn send(&self, call: Call) -> std::io::Result<Reply> {
        call.basic(&self.credentials).to_address(&self.address).await
    }

    async fn call(&self, call: impl Fn() -> Call) -> Reply {
        let reply = self.send(call()).await.expect("the management API answers");
        assert!(reply.status < 300, "{:?} was answered with {reply:?}", call());
        reply
    }
}

//! Streams of events as clients see them.

use std::{sync::Arc, time::Duration};

use etl_shared::api::{EventKind, EventPage, FleetEvent, Role, TenantRow};
use http_body_util::BodyExt;
use hyper::{Method, Response, body::Incoming};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};

use super::{
    fleet::{synthetic, tenant},
    server::Server,
};
use crate::{history::Happening, runtime::WorkerView};

const EVENTS: &str = "/api/v1/admin/workers/events";

fn happens(server: &Server, of: Option<i64>, words: &str) {
    let tenant = of.map(tenant);
    server.journal.record(Happening { tenant, ..Happening::new(EventKind::Order, words.to_owned()) });
}

/// A client, and what it was sent.
struct Follower {
    response: Response<Incoming>,
    text: String,
}

impl Follower {
    async fn new(server: &Server, token: &str, parameters: &str) -> Self {
        let response = server.open(token, &format!("{EVENTS}?{parameters}")).await;
        assert_eq!(response.status(), 200);
        let mut follower = Self { response, text: String::new() };
        follower.reads(|text| text.contains("\n\n")).await;
        follower
    }

    async fn reads(&mut self, enough: impl Fn(&str) -> bool) {
        let reading = async {
            while !enough(&self.text) {
                let frame = self.response.frame().await.expect("the stream has ended").expect("the stream breaks off");
                self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
        };
        let came = timeout(Duration::from_secs(20), reading).await;
        assert!(came.is_ok(), "it does not come; seen so far: {:?}", self.text);
    }

    /// Reads until so many events have come; what they say.
    async fn events(&mut self, count: usize) -> Vec<FleetEvent> {
        self.reads(|text| text.matches("event: fleet\n").count() >= count && text.ends_with("\n\n")).await;
        let of_events = self.text.split("\n\n").filter(|message| message.starts_with("event: fleet\n"));
        of_events.map(|message| serde_json::from_str(message.split("data: ").nth(1).unwrap()).unwrap()).collect()
    }

    async fn words(&mut self, count: usize) -> Vec<String> {
        self.events(count).await.into_iter().map(|event| event.reason).collect()
    }

    async fn ends(mut self) {
        let ends = async { while matches!(self.response.frame().await, Some(Ok(_))) {} };
        timeout(Duration::from_secs(20), ends).await.expect("the stream goes on");
    }
}

async fn admin(server: &Server) -> String {
    server.token(Role::Admin, None).await.token
}

#[tokio::test]
async fn a_stream_begins_now_and_tells_everything_from_then_on() {
    let server = Server::start(synthetic(2));
    happens(&server, Some(1), "before");
    let mut follower = Follower::new(&server, &admin(&server).await, "").await;
    assert!(follower.text.starts_with("retry: 2000\n"), "{:?}", follower.text);
    assert_eq!(follower.response.headers()["x-accel-buffering"], "no");
    happens(&server, Some(1), "one");
    happens(&server, None, "two");
    assert_eq!(follower.words(2).await, ["one", "two"]);
}

#[tokio::test]
async fn a_client_that_comes_again_misses_nothing_and_hears_nothing_twice() {
    let server = Server::start(synthetic(2));
    let admin = admin(&server).await;
    let mut first = Follower::new(&server, &admin, "").await;
    happens(&server, Some(1), "seen");
    let seen = first.events(1).await.remove(0).id;
    drop(first);
    happens(&server, Some(1), "missed");
    let mut second = Follower::new(&server, &admin, &format!("last_event_id={seen}")).await;
    happens(&server, Some(2), "new");
    assert_eq!(second.words(2).await, ["missed", "new"]);

    // The header says the same, and comes first: a browser asks for the same URL again.
    let head = format!(
        "GET {EVENTS}?last_event_id=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\nLast-Event-ID: {seen}\r\n\r\n"
    );
    let mut stream = server.tcp().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("\"new\"") {
        let mut bytes = vec![0; 4096];
        let read = timeout(Duration::from_secs(20), stream.read(&mut bytes)).await.expect("it does not come").unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(text.contains("\"missed\"") && !text.contains("event: reset"), "{text}");
}

#[tokio::test]
async fn who_has_seen_something_that_nobody_knows_any_more_is_told_to_begin_again() {
    let server = Server::start(synthetic(1));
    let admin = admin(&server).await;
    for unknown in ["1", "9000000000000000000"] {
        let mut follower = Follower::new(&server, &admin, &format!("last_event_id={unknown}")).await;
        follower.reads(|text| text.contains("event: reset\n")).await;
        assert!(follower.text.contains("data: {\"reason\":"), "{}", follower.text);
        happens(&server, None, "goes on");
        assert_eq!(follower.words(1).await, ["goes on"]);
    }
    let answer = server.local(Method::GET, &format!("{EVENTS}?last_event_id=x"), "").await;
    assert_eq!(answer.code(), "invalid_parameter");
}

/// The sizes of the pieces of an answer that is sent in pieces.
fn pieces(answer: &str) -> Vec<usize> {
    let (_, mut rest) = answer.split_once("\r\n\r\n").expect("the whole head");
    let mut sizes = Vec::new();
    while let Some((size, body)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        sizes.push(size);
        rest = body.get(size + 2..).unwrap_or_default();
    }
    sizes
}

#[tokio::test]
async fn what_a_client_has_missed_is_handed_out_in_pieces_and_not_held_for_it() {
    let server = Server::start(synthetic(1));
    let admin = admin(&server).await;
    let began = server.journal.last_id();
    let long = "x".repeat(100);
    (0..2_000).for_each(|_| happens(&server, Some(1), &long));
    let head =
        format!("GET {EVENTS}?last_event_id={began} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\n\r\n");
    let mut stream = server.tcp().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = async {
        while String::from_utf8_lossy(&answer).matches(&long).count() < 2_000 {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the stream has ended");
        }
    };
    timeout(Duration::from_secs(20), reading).await.expect("it does not come");
    let pieces = pieces(std::str::from_utf8(&answer).unwrap());
    assert!(pieces.len() > 5 && pieces.iter().all(|size| *size < 256 * 512), "{pieces:?}");
}

#[tokio::test]
async fn who_may_have_missed_something_at_the_end_of_the_last_life_is_told_so_and_hears_the_rest() {
    let server = Server::start(synthetic(1));
    let admin = admin(&server).await;
    let began = server.journal.last_id();
    server.journal.go_on_from(None);
    happens(&server, Some(1), "after the gap");
    let mut follower = Follower::new(&server, &admin, &format!("last_event_id={}", began - 1)).await;
    assert_eq!(follower.words(1).await, ["after the gap"]);
    assert!(follower.text.contains("event: reset\n"), "{}", follower.text);
}

#[tokio::test]
async fn a_tenants_user_hears_of_its_own_tenant_only() {
    let server = Server::start(synthetic(2));
    let began = server.journal.last_id();
    let viewer = server.token(Role::Viewer, Some(1)).await.token;
    let mut follower = Follower::new(&server, &viewer, "").await;
    for (of, words) in [(Some(2), "a stranger's"), (None, "everybody's"), (Some(1), "its own")] {
        happens(&server, of, words);
    }
    assert_eq!(follower.words(1).await, ["its own"]);
    let mut again = Follower::new(&server, &viewer, &format!("last_event_id={began}")).await;
    assert_eq!(again.words(1).await, ["its own"]);
    let mut filtered =
        Follower::new(&server, &admin(&server).await, &format!("tenant_id=2&last_event_id={began}")).await;
    assert_eq!(filtered.words(1).await, ["a stranger's"]);
    for text in [&follower.text, &again.text] {
        assert!(!text.contains("stranger") && !text.contains("everybody"), "{text}");
    }
    let path = "/api/v1/admin/workers/history";
    let page: EventPage = server.remote(Some(&viewer), Method::GET, path, "").await.json();
    assert_eq!(page.events.into_iter().map(|event| event.reason).collect::<Vec<_>>(), ["its own"]);
}

#[tokio::test]
async fn a_revoked_token_ends_its_stream() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Viewer, Some(1)).await;
    let follower = Follower::new(&server, &token.token, "").await;
    let path = format!("/api/v1/admin/tokens/{}", token.description.id);
    assert_eq!(server.local(Method::DELETE, &path, "").await.status, 204);
    happens(&server, Some(1), "a secret by now");
    let mut follower = follower;
    let rest = async {
        while let Some(Ok(frame)) = follower.response.frame().await {
            follower.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    timeout(Duration::from_secs(20), rest).await.expect("the stream goes on");
    assert!(!follower.text.contains("secret"), "{}", follower.text);
}

#[tokio::test]
async fn a_stop_of_the_supervisor_ends_every_stream() {
    let server = Server::start(synthetic(1));
    let follower = Follower::new(&server, &admin(&server).await, "rows=true").await;
    timeout(Duration::from_secs(20), server.serving.stop()).await.expect("does not stop");
    follower.ends().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off_and_holds_nobody_up() {
    let server = Server::start(synthetic(1));
    let admin = admin(&server).await;
    let mut deaf = server.tcp().await;
    let head = format!("GET {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\n\r\n");
    deaf.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    timeout(Duration::from_secs(20), deaf.read_exact(&mut answer)).await.expect("no answer").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let mut other = Follower::new(&server, &admin, "").await;
    let long = "x".repeat(4_000);
    let deadline = Instant::now() + Duration::from_mins(1);
    // It reads nothing and is sent on and on; that it was cut off, its socket knows without being read.
    while sockets_to(deaf.local_addr().unwrap().port()) > 0 {
        assert!(Instant::now() < deadline, "it is still served");
        (0..50).for_each(|_| happens(&server, Some(1), &long));
        other.reads(|text| text.ends_with("\n\n")).await;
        other.text.clear();
        sleep(Duration::from_millis(50)).await;
    }
    happens(&server, Some(1), "last");
    other.reads(|text| text.contains("\"last\"")).await;
}

/// How many connected sockets of this machine have that port at their other end.
fn sockets_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    // Local address, remote address, state (01: established).
    let peer = format!(":{port:04X} 01 ");
    table.lines().filter(|line| line.contains(&peer)).count()
}

#[tokio::test]
async fn hundreds_who_follow_leave_room_for_requests_and_all_hear_everything_soon() {
    const FOLLOWERS: usize = 400;
    let server = Server::start(synthetic(1));
    let admin = admin(&server).await;
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        followers.push(Follower::new(&server, &admin, "").await);
    }
    let answer = timeout(Duration::from_secs(10), server.remote(Some(&admin), Method::GET, "/livez", "")).await;
    assert_eq!(answer.expect("nobody answers").status, 200);
    (0..50).for_each(|number| happens(&server, Some(1), &number.to_string()));
    let expected: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    for follower in &mut followers {
        assert_eq!(follower.words(50).await, expected);
    }
}

#[tokio::test]
async fn a_row_is_told_when_it_changes_and_to_those_only_who_may_see_it() {
    let server = Server::start(synthetic(2));
    let viewer = server.token(Role::Viewer, Some(2)).await.token;
    let mut all = Follower::new(&server, &admin(&server).await, "rows=true").await;
    let mut own = Follower::new(&server, &viewer, "rows=true").await;
    let change = |number: usize, reason: &str| {
        let mut view = synthetic(2);
        let before = server.view.load();
        view.workers = before.workers.clone();
        let mut workers = view.workers.to_vec();
        workers[number] = Arc::new(WorkerView { reason: reason.to_owned(), ..WorkerView::clone(&workers[number]) });
        view.workers = workers.into();
        server.view.store(Arc::new(view));
    };
    change(0, "the first has changed");
    all.reads(|text| text.contains("the first has changed")).await;
    change(1, "the second has changed");
    own.reads(|text| text.contains("the second has changed")).await;
    all.reads(|text| text.contains("the second has changed")).await;
    assert!(!own.text.contains("the first"), "{}", own.text);
    let message = own.text.split("\n\n").find(|message| message.contains("the second")).unwrap();
    let rows: Vec<TenantRow> = serde_json::from_str(message.strip_prefix("event: rows\ndata: ").unwrap()).unwrap();
    assert_eq!(rows.iter().map(|row| row.tenant_id).collect::<Vec<_>>(), [tenant(2)]);
}

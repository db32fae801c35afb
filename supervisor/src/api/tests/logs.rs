//! Reading and following what workers write.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use etl_shared::api::Role;
use http_body_util::BodyExt;
use hyper::{Method, Response, body::Incoming};
use tokio::time::{sleep, timeout};

use super::{
    fleet::synthetic,
    server::{Answer, Server},
};

fn file(server: &Server, worker: &str) -> PathBuf {
    server.runtime.log_directory.join(format!("{worker}.log"))
}

fn write(server: &Server, worker: &str, text: &str) {
    let mut log = OpenOptions::new().append(true).create(true).open(file(server, worker)).unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

async fn read(server: &Server, parameters: &str) -> String {
    let answer: Answer = server.local(Method::GET, &format!("/api/v1/admin/workers/logs?{parameters}"), "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// A client that follows, and what it has seen.
struct Follower {
    response: Response<Incoming>,
    seen: String,
}

impl Follower {
    async fn new(server: &Server, parameters: &str) -> Self {
        let admin = server.token(Role::Admin, None).await.token;
        Self::with(server, &admin, parameters).await
    }

    async fn with(server: &Server, token: &str, parameters: &str) -> Self {
        let path = format!("/api/v1/admin/workers/logs?follow=true&{parameters}");
        Self { response: server.open(token, &path).await, seen: String::new() }
    }

    async fn sees(&mut self, expected: &str) {
        let reading = async {
            while !self.seen.contains(expected) {
                let frame = self.response.frame().await.expect("the stream has ended").unwrap();
                self.seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
        };
        let came = timeout(Duration::from_secs(20), reading).await;
        assert!(came.is_ok(), "{expected:?} does not come; seen so far: {:?}", self.seen);
    }

    async fn ends(mut self) {
        let ends = async { while self.response.frame().await.is_some() {} };
        timeout(Duration::from_secs(20), ends).await.expect("the stream goes on");
    }
}

#[tokio::test]
async fn the_last_lines_are_those_that_were_asked_for() {
    let server = Server::start(synthetic(2));
    assert_eq!(read(&server, "tenant_id=1").await, "");
    write(&server, "transform-1-1", "one\ntwo\nthree\n");
    write(&server, "transform-2-1", "of another tenant\n");
    assert_eq!(read(&server, "tenant_id=1").await, "one\ntwo\nthree\n");
    assert_eq!(read(&server, "tenant_id=1&lines=2").await, "two\nthree\n");
    assert_eq!(read(&server, "tenant_id=1&lines=1").await, "three\n");
    assert_eq!(read(&server, "tenant_id=1&lines=0").await, "");
    write(&server, "transform-1-1", "unfinished");
    assert_eq!(read(&server, "tenant_id=1&lines=2").await, "three\nunfinished\n");
}

#[tokio::test]
async fn of_a_large_file_only_the_end_is_read() {
    let server = Server::start(synthetic(1));
    let path = file(&server, "transform-1-1");
    // A gigabyte of nothing that takes no space; whoever reads it all takes seconds.
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    write(&server, "transform-1-1", "\nlast but one\nlast\n");
    assert_eq!(read(&server, "tenant_id=1&lines=2").await, "last but one\nlast\n");
    let long = "x".repeat(100_000);
    write(&server, "transform-1-1", &format!("{long}\nend\n"));
    let text = read(&server, "tenant_id=1&lines=2").await;
    // A long line is broken, but nothing of it is lost.
    assert_eq!(text.replace('\n', ""), format!("{long}end"));
}

#[tokio::test]
async fn several_workers_are_told_apart() {
    let server = Server::start(synthetic(1));
    let mut view = synthetic(1);
    let mut second = crate::runtime::WorkerView::clone(&view.workers[0]);
    second.name = "transform-1-2".parse().unwrap();
    view.workers = [Arc::clone(&view.workers[0]), Arc::new(second)].into();
    server.view.store(Arc::new(view));
    write(&server, "transform-1-1", "a\n");
    write(&server, "transform-1-2", "b\nc\n");
    assert_eq!(read(&server, "tenant_id=1").await, "transform-1-1 | a\ntransform-1-2 | b\ntransform-1-2 | c\n");
}

#[tokio::test]
async fn a_follower_sees_every_line_once_through_rename_and_truncation() {
    let server = Server::start(synthetic(1));
    let path = file(&server, "transform-1-1");
    let mut follower = Follower::new(&server, "tenant_id=1&lines=1").await;
    write(&server, "transform-1-1", "born\n");
    follower.sees("born\n").await;

    write(&server, "transform-1-1", "half");
    write(&server, "transform-1-1", " and half\n");
    follower.sees("half and half\n").await;

    // Renamed: the last words of the old file come first.
    write(&server, "transform-1-1", "last words");
    fs::rename(&path, path.with_extension("log.1")).unwrap();
    write(&server, "transform-1-1", "after the rename\n");
    follower.sees("last words\nafter the rename\n").await;

    fs::File::options().write(true).truncate(true).open(&path).unwrap();
    write(&server, "transform-1-1", "cut\n");
    follower.sees("cut\n").await;
    assert_eq!(follower.seen, "born\nhalf and half\nlast words\nafter the rename\ncut\n");
}

#[tokio::test]
async fn a_worker_that_comes_later_is_followed_too() {
    let server = Server::start(synthetic(1));
    let mut follower = Follower::new(&server, "tenant_id=1").await;
    write(&server, "transform-1-1", "first\n");
    follower.sees("first\n").await;
    let mut view = synthetic(1);
    let mut second = crate::runtime::WorkerView::clone(&view.workers[0]);
    second.name = "transform-1-2".parse().unwrap();
    view.workers = [Arc::clone(&view.workers[0]), Arc::new(second)].into();
    write(&server, "transform-1-2", "second\n");
    server.view.store(Arc::new(view));
    follower.sees("transform-1-2 | second\n").await;
}

#[tokio::test]
async fn a_follower_whose_token_is_revoked_sees_no_more() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Viewer, Some(1)).await;
    write(&server, "transform-1-1", "before\n");
    let mut follower = Follower::with(&server, &token.token, "").await;
    follower.sees("before\n").await;
    let path = format!("/api/v1/admin/tokens/{}", token.description.id);
    assert_eq!(server.local(Method::DELETE, &path, "").await.status, 204);
    follower.ends().await;
}

#[tokio::test]
async fn a_follower_that_leaves_is_not_read_for_any_more() {
    let server = Server::start(synthetic(1));
    write(&server, "transform-1-1", "line\n");
    let path = file(&server, "transform-1-1");
    let mut follower = Follower::new(&server, "tenant_id=1").await;
    follower.sees("line\n").await;
    assert!(open_here(&path));
    drop(follower);
    let closed = async {
        while open_here(&path) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), closed).await.expect("the log is still open");
}

/// Whether this process has the file open.
fn open_here(path: &std::path::Path) -> bool {
    fs::read_dir("/proc/self/fd").unwrap().flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == path))
}

#[tokio::test]
async fn a_link_in_the_place_of_a_log_is_not_followed() {
    let server = Server::start(synthetic(1));
    let secret = server.directory.path().join("secret");
    fs::write(&secret, "secret\n").unwrap();
    std::os::unix::fs::symlink(&secret, file(&server, "transform-1-1")).unwrap();
    let answer = server.local(Method::GET, "/api/v1/admin/workers/logs?tenant_id=1", "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "log_unreadable"));
}

#[tokio::test]
async fn who_follows_leaves_its_seat_to_others() {
    let server = Server::start(synthetic(1));
    let viewer = server.token(Role::Viewer, Some(1)).await.token;
    write(&server, "transform-1-1", "one\n");
    let mut followers = Vec::new();
    for _ in 0..64 {
        let mut follower = Follower::with(&server, &viewer, "").await;
        assert_eq!(follower.response.headers()["connection"], "close");
        follower.sees("one").await;
        followers.push(follower);
    }
    let path = "/api/v1/admin/workers/logs?follow=true";
    let answer = server.remote(Some(&viewer), Method::GET, path, "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "too_many_streams"));
    let admin = server.token(Role::Admin, None).await.token;
    Follower::with(&server, &admin, "tenant_id=1").await.sees("one").await;
}

#[tokio::test]
async fn a_follower_that_is_refused_after_all_keeps_no_place() {
    let server = Server::start(synthetic(1));
    std::os::unix::fs::symlink("/dev/null", file(&server, "transform-1-1")).unwrap();
    let admin = server.token(Role::Admin, None).await.token;
    let path = "/api/v1/admin/workers/logs?tenant_id=1&follow=true";
    let answer = server.remote(Some(&admin), Method::GET, path, "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "log_unreadable"));
    assert_eq!(answer.headers["connection"], "close");
}

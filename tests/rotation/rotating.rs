//! Rotations that succeed.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use etl_shared::api::WorkerState;
use system_tests::{
    SOON, binaries, eventually, fleet,
    platform::{KIND, message, queue_of},
    supervisor_setup::quoted,
    waiting::holds_for,
};

use super::scene::{Gate, Scene, small};

const MESSAGES: u64 = 2_000;

#[tokio::test]
async fn three_rotations_under_load_lose_no_message_and_never_leave_the_queue_without_a_consumer() {
    // A worker that changes its prefetch opens its channel anew: for a moment nobody consumes, rotation or not. This one never does.
    let words = [
        binaries::worker().display().to_string(),
        "--queue".into(),
        "{queue}".into(),
        "--prefetch".into(),
        "100".into(),
    ];
    let command = format!("[{}]", words.map(quoted).join(", "));
    let scene = Scene::with_setup(&[7], |setup| setup.set("queues.transform", "command", &command)).await;
    let platform = &scene.installation.platform;
    let (queue, done) = (queue_of(7), Cell::new(false));
    let old_broker = scene.installation.broker(7, 1).await.expect("the first generation lets in");
    let produce = async {
        let mut raws = Vec::new();
        for seed in 0..MESSAGES {
            let raw = platform.add_raw(7, KIND, &small(seed)).await;
            platform.publish(&queue, &message(7, raw)).await;
            raws.push(raw);
        }
        raws
    };
    let rotate = async {
        for generation in 2..=4 {
            let said = scene.rotate("7").await;
            assert!(said.contains(&format!("generation {generation}")), "{said}");
        }
    };
    let work = async {
        let (raws, ()) = tokio::join!(produce, rotate);
        platform.completed_within(&raws, Duration::from_mins(2)).await;
        done.set(true);
    };
    let watch = async {
        let mut samples = 0;
        while !done.get() {
            let depth = platform.broker.depth(&queue).await.expect("the queue is there");
            assert!(depth.consumers >= 1, "nobody consumes after {samples} samples");
            samples += 1;
            holds_for("a moment", Duration::from_millis(20), async || Ok(())).await;
        }
        samples
    };
    let began = Instant::now();
    let ((), samples) = tokio::join!(work, watch);
    assert!(samples > 20, "{samples} samples in {:?}", began.elapsed());
    assert!(platform.dead_letters().await.is_empty(), "nothing was given up");
    for generation in 1..=3 {
        scene.is_refused(7, generation).await;
    }
    scene.is_let_in(7, 4).await;
    eventually("the old account's connection is closed", SOON, async || {
        if old_broker.status().connected() { Err("open".to_owned()) } else { Ok(()) }
    })
    .await;
    scene.alone(7).await;
    let status = scene.supervisor.status().await.unwrap();
    assert_eq!(fleet::last_verdict(&status, 7), "RECYCLE");
    platform.broker.has(&queue, system_tests::broker::Depth { ready: 0, consumers: 1 }).await;
}

#[tokio::test]
async fn everybody_is_rotated_also_who_has_no_process() {
    let scene = Scene::with(&[1, 2, 3]).await;
    scene.supervisor.control("stop", Some(3)).await;
    scene.supervisor.until("tenant 3 is stopped", |status| fleet::state(status, 3) == Some(WorkerState::Stopped)).await;
    let said = scene.rotate("all").await;
    assert_eq!(said.lines().filter(|line| line.contains("rotated, generation 2")).count(), 3, "{said}");
    for tenant in 1..=3 {
        scene.is_refused(tenant, 1).await;
        scene.is_let_in(tenant, 2).await;
    }
    scene.supervisor.control("start", Some(3)).await;
    scene.supervisor.until_running(&[1, 2, 3]).await;
    for tenant in 1..=3 {
        scene.works(tenant).await;
    }
}

#[tokio::test]
async fn a_brain_that_is_killed_in_the_middle_finishes_what_it_began() {
    let gate = Gate::new();
    let mut scene = Scene::with_setup(&[7], |setup| gate.closed_to_stand_ins(setup)).await;
    let began = scene.supervisor.cli_ok(&["rotate", "7", "--no-wait"]).await;
    assert!(began.contains("accepted"), "{began}");
    scene.stands_in().await;
    scene.stands(7, "moving", 1).await;
    scene.supervisor.kill_brain();
    gate.open();
    scene.supervisor.start_brain().await;
    scene.stands(7, "ready", 2).await;
    scene.alone(7).await;
    scene.is_refused(7, 1).await;
    scene.works(7).await;
}

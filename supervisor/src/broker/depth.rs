//! Reads the depth of many queues in one round trip.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use lapin::{Connection, options::QueueDeclareOptions, types::FieldTable};

use crate::{clock::BootTime, runtime::view::QueueSample};

/// Ready messages and consumers of every queue that exists; those that do not are left out.
///
/// All questions are asked before the first answer is awaited. A queue that has gone closes the channel, which fails the
/// questions behind it: those are asked again without it.
pub(crate) async fn depths(
    connection: &Connection,
    queues: &[String],
) -> Result<BTreeMap<String, QueueSample>, lapin::Error> {
    let mut found = BTreeMap::new();
    let mut open = queues;
    while !open.is_empty() {
        let channel = connection.create_channel().await?;
        let passive = QueueDeclareOptions::durable().passive();
        let questions =
            open.iter().map(|queue| channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()));
        let answers = join_all(questions).await;
        let at = BootTime::now();
        let answered = answers.iter().take_while(|answer| answer.is_ok()).count();
        for (queue, answer) in open.iter().zip(answers) {
            match answer {
                Ok(state) => {
                    let sample = QueueSample {
                        messages_ready: state.message_count(),
                        consumers: state.consumer_count(),
                        at,
                        ..QueueSample::default()
                    };
                    found.insert(queue.clone(), sample);
                }
                // It has gone, or the channel was closed by one that has.
                Err(_) => break,
            }
        }
        if !connection.status().connected() {
            return Ok(found);
        }
        if answered == open.len() {
            let _ = channel.close(200, "".into()).await;
        }
        open = open.get(answered + 1..).unwrap_or_default();
    }
    Ok(found)
}

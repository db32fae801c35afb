//! One message a line, from a file or a pipe of any length.
//!
//! The rule of a careful operator: at the first line that is no message, or that the broker does not take, nothing behind it is begun,
//! and the summary names the last line up to which everything is confirmed, so that one knows where to go on. Publishing a line
//! twice does no harm: a message that arrives twice has the effect of one.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::ExitCode,
    thread,
};

use etl_shared::{QueueType, TransformMessage, publish::Publisher, trace::Origin};
use futures_util::FutureExt;
use miette::{IntoDiagnostic, Report, WrapErr};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::pack::{Message, Pack};
use crate::cli::{finding::in_one_line, output, progress::Progress};

/// Longest line in bytes: a message names a document, it does not hold one.
const LONGEST: usize = 64 * 1024;
/// Lines that are read ahead.
const AHEAD: usize = 256;
/// So many bad lines are named; the rest is counted.
const NAMED: usize = 20;

#[derive(Debug, Clone)]
pub(super) struct Options<'a> {
    pub(super) queue_type: &'a QueueType,
    pub(super) skip_bad: bool,
    pub(super) origin: Origin,
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    confirmed: usize,
    /// Every message up to this line is confirmed.
    unbroken: i64,
    bad: usize,
    /// Why it ended before the last line.
    stopped: Option<String>,
}

/// Publishes the lines; without a publisher they are only looked at.
pub(super) async fn publish(
    publisher: Option<Publisher>,
    file: &Path,
    options: Options<'_>,
) -> Result<ExitCode, Report> {
    let input: Box<dyn Read + Send> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let opened = File::open(file).into_diagnostic();
        Box::new(opened.wrap_err_with(|| format!("{} cannot be read", file.display()))?)
    };
    let (send, lines) = mpsc::channel(AHEAD);
    // A pipe may keep a reader waiting for as long as it likes, Ctrl-C or not; this thread ends with the program.
    thread::spawn(move || read(input, &send));
    let tally = run(publisher.as_ref(), lines, options).await?;
    if let Some(publisher) = publisher {
        publisher.close().await;
        say(&tally)?;
    } else {
        output::line(&format!("{} lines are messages, {} are not", tally.confirmed, tally.bad))?;
    }
    if let Some(why) = &tally.stopped {
        output::remark(&format!("etl-supervisor: {why}"));
    }
    Ok(if tally.bad == 0 && tally.stopped.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(
    publisher: Option<&Publisher>,
    mut lines: mpsc::Receiver<Line>,
    options: Options<'_>,
) -> Result<Tally, Report> {
    let mut progress = Progress::new(if publisher.is_some() { "publishing" } else { "checking" }, None);
    let (mut tally, mut pack) = (Tally::default(), Pack::from(options.origin.clone()));
    // What is under way is waited for, and told.
    let mut interrupts = signal(SignalKind::interrupt()).into_diagnostic()?;
    loop {
        // What waits for company is sent as soon as the source falls silent: a slow pipe is not held up by a full pack.
        let line = if let Ok(line) = lines.try_recv() {
            Some(line)
        } else {
            send(publisher, &mut pack, &mut tally, &mut progress).await;
            if tally.stopped.is_some() {
                return Ok(tally);
            }
            tokio::select! {
                line = lines.recv() => line,
                _ = interrupts.recv() => {
                    tally.stopped = Some("interrupted".to_owned());
                    None
                }
            }
        };
        let Some(Line { number, text }) = line else { return Ok(tally) };
        let read = match text {
            Text::Whole(text) => message(number, &text, options.queue_type),
            Text::TooLong => Err(format!("longer than {} KiB", LONGEST / 1024)),
            Text::Unreadable(why) => Err(format!("cannot be read: {why}")),
        };
        match read {
            Ok(None) => {}
            Ok(Some(message)) => pack.push(message),
            Err(why) if options.skip_bad || publisher.is_none() => {
                tally.bad += 1;
                if tally.bad <= NAMED {
                    progress.remark(&format!("line {number} is left out: {why}"));
                }
            }
            Err(why) => {
                send(publisher, &mut pack, &mut tally, &mut progress).await;
                tally.stopped.get_or_insert(format!("line {number}: {why}"));
                return Ok(tally);
            }
        }
        if pack.is_full() {
            send(publisher, &mut pack, &mut tally, &mut progress).await;
            if tally.stopped.is_none() && interrupts.recv().now_or_never().is_some() {
                tally.stopped = Some("interrupted".to_owned());
            }
            if tally.stopped.is_some() {
                return Ok(tally);
            }
        }
    }
}

async fn send(publisher: Option<&Publisher>, pack: &mut Pack, tally: &mut Tally, progress: &mut Progress) {
    let Some(publisher) = publisher else {
        let looked_at = pack.clear();
        tally.confirmed += looked_at;
        progress.add(looked_at as u64);
        return;
    };
    let sent = pack.send(publisher).await;
    tally.confirmed += sent.confirmed;
    progress.add(sent.confirmed as u64);
    if let Some(line) = sent.unbroken {
        tally.unbroken = line;
    }
    if let Some((line, why)) = sent.failed.first() {
        tally.stopped = Some(format!("line {line}: {}", in_one_line(why)));
    }
}

fn say(tally: &Tally) -> Result<(), Report> {
    let messages = if tally.confirmed == 1 { "message" } else { "messages" };
    let last = match (tally.unbroken, tally.stopped.is_some()) {
        (0, true) => "; no line from the first on".to_owned(),
        (0, false) => String::new(),
        (line, _) => format!("; everything up to line {line} is confirmed"),
    };
    let bad = if tally.bad > 0 { format!("; {} lines left out", tally.bad) } else { String::new() };
    output::line(&format!("published {} {messages}, confirmed by the broker{last}{bad}", tally.confirmed))
}

/// A line as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    number: i64,
    text: Text,
}

#[derive(Debug, PartialEq, Eq)]
enum Text {
    Whole(Vec<u8>),
    TooLong,
    /// The last thing that is heard of the file.
    Unreadable(String),
}

fn read(input: impl Read, lines: &mpsc::Sender<Line>) {
    let mut input = BufReader::new(input);
    for number in 1.. {
        let Some(text) = next(&mut input) else { return };
        let last = matches!(text, Text::Unreadable(_));
        // Nobody wants more of it once the other side has stopped.
        if lines.blocking_send(Line { number, text }).is_err() || last {
            return;
        }
    }
}

/// The next line; of one that is too long the rest is thrown away piece by piece.
fn next(input: &mut impl BufRead) -> Option<Text> {
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        match input.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line) {
            Ok(0) if too_long => return Some(Text::TooLong),
            Ok(0) => return None,
            Ok(LONGEST) if line.last() != Some(&b'\n') => {
                too_long = true;
                line.clear();
            }
            Ok(_) if too_long => return Some(Text::TooLong),
            Ok(_) => return Some(Text::Whole(line)),
            Err(error) => return Some(Text::Unreadable(error.to_string())),
        }
    }
}

/// An empty line is no message and no mistake. What is published is the line as it stands.
fn message(number: i64, line: &[u8], queue_type: &QueueType) -> Result<Option<Message>, String> {
    let body = line.trim_ascii();
    if body.is_empty() {
        return Ok(None);
    }
    let message = TransformMessage::decode(body).map_err(|error| error.detail)?;
    let queue = queue_type.queue_of(message.tenant_id).to_string();
    Ok(Some(Message { place: number, queue, body: body.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(text: &str) -> Vec<Line> {
        let (send, mut lines) = mpsc::channel(64);
        read(text.as_bytes(), &send);
        drop(send);
        std::iter::from_fn(|| lines.blocking_recv()).collect()
    }

    #[test]
    fn lines_are_numbered_from_one_and_the_last_may_lack_its_end() {
        let line = |number, text: &[u8]| Line { number, text: Text::Whole(text.to_vec()) };
        assert_eq!(numbered("a\n\nb"), [line(1, b"a\n"), line(2, b"\n"), line(3, b"b")]);
        assert!(numbered("").is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_one_bad_line_whatever_its_length() {
        for length in [LONGEST, LONGEST + 1, 3 * LONGEST, 3 * LONGEST + 7] {
            let lines = numbered(&format!("a\n{}\nb\n", "x".repeat(length)));
            assert_eq!((lines.len(), &lines[1].text), (3, &Text::TooLong), "{length}");
            assert_eq!((lines[2].number, &lines[2].text), (3, &Text::Whole(b"b\n".to_vec())), "{length}");
        }
        assert_eq!(numbered(&"x".repeat(LONGEST + 1)).len(), 1);
    }

    #[test]
    fn a_message_is_published_as_it_stands_to_the_queue_of_its_tenant() {
        let queue_type: QueueType = "transform".parse().unwrap();
        let line = br#"  {"tenant_id":7,"integration_id":1,"raw_data_id":1,"type":"x","n":1.50}  "#;
        let message = message(3, line, &queue_type).unwrap().unwrap();
        assert_eq!((message.place, message.queue.as_str()), (3, "transform_queue_tenant_7"));
        assert_eq!(message.body, line.trim_ascii());
        assert!(super::message(4, b" \r\n", &queue_type).unwrap().is_none());
        let wrong = super::message(5, br#"{"tenant_id":7}"#, &queue_type).unwrap_err();
        assert!(wrong.contains("raw_data_id") || wrong.contains("integration_id"), "{wrong}");
    }
}

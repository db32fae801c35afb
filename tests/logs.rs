//! What workers write: kept within bounds and shown whole, and `top` in a terminal.

use std::{
    collections::BTreeMap, fmt::Write, fs, os::unix::fs::MetadataExt, path::Path, process::Stdio, time::Duration,
};

use nix::sys::signal::Signal;
use system_tests::{SOON, Setup, Supervisor, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

/// Far less than `top` waits for an answer.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// Numbered lines, so many as one number has, from each process of the worker in turn.
const TALKER: &str = r#"
    file="$0/count"; from=$(cat "$file" 2>/dev/null || echo 0); to=$((from + 300000)); echo "$to" > "$file"
    seq -f 'line %.0f' "$from" "$((to - 1))"; [ "$to" -ge 1200000 ] && exec sleep 600; exit 0"#;

fn talking(keep: u32) -> Setup {
    Setup::scripted("[1]")
        .set("restart", "max_restarts", "100")
        .set("queues.transform", "ready", "\"exec\"")
        .set("queues.transform", "log_max_size", "\"1MiB\"")
        .set("queues.transform", "log_keep", &keep.to_string())
        .set("queues.transform", "command", &format!("[\"sh\", \"-c\", '''{TALKER}''', \"@HERE@/home\"]"))
}

/// Numbered lines with the number of the process, so many that they are rotated, until it has been enough.
const CHATTERER: &str = r#"
    from=0
    until [ -e "$0/enough" ]; do
        seq -f "P$ETL_INCARNATION %.0f." "$from" "$((from + 29999))"; from=$((from + 30000)); sleep 0.2
    done
    echo "P$ETL_INCARNATION end."; exec sleep 600"#;

fn everything(directory: &Path) -> String {
    let current = directory.join("log/transform-1-1.log");
    let older = (1..=20).rev().map(|number| directory.join(format!("log/transform-1-1.log.{number}")));
    older.chain([current]).filter_map(|path| fs::read_to_string(path).ok()).collect()
}

fn lines(count: u32) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "line {number}");
        text
    })
}

#[tokio::test]
async fn a_flood_over_several_processes_is_kept_whole_and_followed_whole() {
    let mut supervisor = Supervisor::prepare(&talking(20));
    supervisor.start_brain().await;
    let mut following = Command::new(system_tests::binaries::supervisor());
    following.args(["logs", "-f", "1", "--lines", "10000", "--config"]).arg(supervisor.config());
    let mut following = following.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut output = following.stdout.take().unwrap();
    let mut seen = String::new();
    let reading = async {
        let mut block = vec![0; 1 << 16];
        while !seen.ends_with("line 1199999\n") {
            let read = output.read(&mut block).await.unwrap();
            assert!(read > 0, "the command has ended");
            seen.push_str(std::str::from_utf8(&block[..read]).unwrap());
        }
    };
    tokio::time::timeout(4 * SOON, reading).await.expect("all lines are seen");
    let first: usize = seen.split_once('\n').unwrap().0.trim_start_matches("line ").parse().unwrap();
    let all = lines(1_200_000);
    let beginning = all.find(&format!("line {first}\n")).unwrap();
    assert!(seen == all[beginning..], "from line {first}");
    let directory = supervisor.directory().to_owned();
    assert!(everything(&directory) == all, "what is kept is everything that was written, once");

    // And while it only sleeps, what is too large is made smaller.
    let current = directory.join("log/transform-1-1.log");
    eventually("the log is small again", SOON, async || {
        let size = fs::metadata(&current).unwrap().blocks() * 512;
        if size <= 1 << 20 { Ok(()) } else { Err(format!("{size} bytes")) }
    })
    .await;
    assert!(everything(&directory) == all, "still");
    let last = supervisor.cli_ok(&["logs", "1", "--lines", "10000"]).await;
    assert!(all.ends_with(&last) && last.lines().count() == 10_000);
}

#[tokio::test]
async fn a_keeper_that_is_killed_again_and_again_costs_no_line() {
    let command = format!("[\"sh\", \"-c\", '''{CHATTERER}''', \"@HERE@/home\"]");
    let mut supervisor = Supervisor::prepare(&talking(20).set("queues.transform", "command", &command));
    supervisor.start_brain().await;
    let directory = supervisor.directory().to_owned();
    let rotated = async |times: usize| {
        eventually("it has been rotated", 2 * SOON, async || {
            let current = directory.join("log/transform-1-1.log");
            let older = (1..=20).filter(|number| current.with_extension(format!("log.{number}")).exists()).count();
            if older >= times { Ok(()) } else { Err(format!("{older} of {times} times")) }
        })
        .await;
    };
    for times in 1..=4 {
        rotated(times).await;
        let killed = supervisor.kill_keeper().await;
        let is_another = |pid: i32| pid != killed;
        supervisor
            .until("there is another keeper", |status| status.supervisor.keeper_pid.is_some_and(is_another))
            .await;
    }
    rotated(5).await;
    fs::write(directory.join("home/enough"), "").unwrap();
    let read = eventually("the last process has written its lines", 4 * SOON, async || {
        let text = everything(&directory);
        if text.ends_with(" end.\n") { Ok(text) } else { Err(text.lines().last().unwrap_or_default().to_owned()) }
    })
    .await;
    assert!(!directory.join("log/transform-1-1.log.20").exists(), "nothing was too old to be kept");
    let processes = lines_of_each(&read);
    assert!(processes.len() > 1, "the keeper's end was the worker's: {processes:?}");
}

/// How many lines of each process are there. Each begins at 0, and leaves out and repeats nothing; one that was killed
/// may have written half of its last line.
fn lines_of_each(text: &str) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    let (mut now, mut is_broken) = (None, true);
    let Some(text) = text.strip_prefix('P') else { panic!("{:?}", text.get(..40)) };
    for line in text.split('P') {
        let Some((process, number)) =
            line.strip_suffix(".\n").or_else(|| line.strip_suffix('.')).and_then(|line| line.split_once(' '))
        else {
            assert!(!is_broken, "{line:?} after another broken line");
            is_broken = true;
            continue;
        };
        let process: u64 = process.parse().expect("a number");
        if now != Some(process) {
            assert!(counts.insert(process, 0).is_none(), "{process} comes back");
            now = Some(process);
            is_broken = false;
        }
        assert!(!is_broken, "{line:?} after a broken line");
        let count = counts.get_mut(&process).expect("it was inserted");
        if number != "end" {
            assert_eq!(number.parse(), Ok(*count), "of process {process}");
            *count += 1;
        }
    }
    counts
}

#[tokio::test]
async fn top_draws_in_a_terminal_and_gives_it_back() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 12]")).await;
    supervisor.until_running(&[1, 12]).await;
    let once = supervisor.cli_ok(&["top", "--once"]).await;
    assert!(once.contains("transform-12-1") && once.contains("2 RUNNING") && !once.contains('\u{1b}'), "{once}");
    assert_eq!(supervisor.cli_ok(&["top"]).await.lines().count(), once.lines().count(), "no terminal: the same");

    let (mut terminal, seen) = top_in_a_terminal(&supervisor, "transform-12-1").await;
    assert!(seen.contains("\u{1b}[?1049h"), "a screen of its own: {seen:?}");
    let rest = leave(&mut terminal, b"q").await;
    assert!(rest.contains("\u{1b}[?1049l"), "the terminal's own screen is back: {rest:?}");
    let modes = |when| fs::read_to_string(supervisor.directory().join(when)).unwrap();
    assert_eq!(modes("before"), modes("after"));
}

#[tokio::test]
async fn top_is_left_at_once_while_the_supervisor_hangs() {
    let supervisor = Supervisor::start(&Setup::scripted("[1]")).await;
    supervisor.until_running(&[1]).await;
    let connections = || {
        let (all, directory) = (fs::read_to_string("/proc/net/unix").unwrap(), supervisor.run_directory());
        let directory = directory.display().to_string();
        all.lines().filter(|line| line.contains(&directory)).count()
    };
    for key in [b"q", b"\x03"] {
        let (mut terminal, _) = top_in_a_terminal(&supervisor, "transform-1-1").await;
        supervisor.signal(Signal::SIGSTOP);
        // Nobody takes connections any more.
        let before = connections();
        eventually("a look waits for its answer", SOON, async || match connections() {
            now if now > before => Ok(()),
            now => Err(format!("{now} connections")),
        })
        .await;
        leave(&mut terminal, key).await;
        supervisor.signal(Signal::SIGCONT);
    }
}

/// `top` once it shows this, and what it has drawn until then.
async fn top_in_a_terminal(supervisor: &Supervisor, shows: &str) -> (Child, String) {
    let command = format!(
        "stty rows 30 cols 120; stty -a > {0}/before; {1} top --delay 1 --config {2}; stty -a > {0}/after",
        supervisor.directory().display(),
        system_tests::binaries::supervisor().display(),
        supervisor.config().display()
    );
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--command", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = terminal.kill_on_drop(true).spawn().expect("`script` of util-linux");
    let screen = terminal.stdout.as_mut().expect("a pipe");
    let mut seen = String::new();
    let mut block = [0; 4096];
    let reading = async {
        while !seen.contains(shows) {
            let read = screen.read(&mut block).await.expect("the screen");
            assert!(read > 0, "it has ended: {seen}");
            seen.push_str(&String::from_utf8_lossy(&block[..read]));
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("workers are drawn");
    (terminal, seen)
}

/// Leaves it by a key; what it has drawn until it ended.
async fn leave(terminal: &mut Child, key: &[u8]) -> String {
    terminal.stdin.as_mut().expect("a pipe").write_all(key).await.expect("it reads keys");
    let mut rest = String::new();
    let reading = terminal.stdout.as_mut().expect("a pipe").read_to_string(&mut rest);
    tokio::time::timeout(LEAVES_WITHIN, reading).await.expect("the key leaves").expect("text");
    tokio::time::timeout(SOON, terminal.wait()).await.expect("and all of it ends").expect("its status");
    rest
}

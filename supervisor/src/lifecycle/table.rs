//! The whole state machine as a table: every state, every event, what becomes of it. `docs/lifecycle.md` shows it.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::Path};

use etl_shared::{Verdict, WorkerName};

use super::{
    Effect, Event, Exit, Found, RestartPolicy, SpawnTrouble, State, StopCause, StopSignal, Timing, Why,
    tests::{CRASH, Scene, TIMING, name, one, seconds},
};

const BEGIN: &str = "<!-- transition table: begin -->\n";
const END: &str = "<!-- transition table: end -->\n";
const RENEW: &str = "UPDATE_DOCS=1 cargo test -p etl-supervisor lifecycle_table";

type Row = (&'static str, fn() -> Scene);
type Column = (&'static str, fn(&mut Scene) -> Event);

/// Every state, and those of its variants that make a difference.
const ROWS: [Row; 21] = [
    ("STOPPED", || {
        let mut scene = Scene::new();
        scene.stop(&one());
        scene
    }),
    ("STARTING (queued)", || {
        let mut scene = Scene::with(RestartPolicy { max_concurrent_starts: 1, ..RestartPolicy::default() });
        scene.want(&name("transform-2-1"));
        scene.want(&one());
        scene
    }),
    ("STARTING (ordered)", ordered),
    ("STARTING (ordered), not wanted", || {
        let mut scene = ordered();
        scene.stop(&one());
        scene
    }),
    ("STARTING", starting),
    ("STARTING, slow", || {
        let mut scene = starting();
        scene.pass(RestartPolicy::default().place_hold);
        scene
    }),
    ("STARTING, found, undecided", || found(false)),
    ("RUNNING", Scene::running),
    ("RUNNING, found, undecided", || found(true)),
    ("STOPPING, not wanted", || {
        let mut scene = Scene::running();
        scene.stop(&one());
        scene
    }),
    ("STOPPING, to be replaced", || {
        let mut scene = Scene::running();
        scene.replace(&one(), StopCause::Operator);
        scene
    }),
    ("STOPPING, hung", || {
        let mut scene = Scene::running();
        scene.replace(&one(), StopCause::Hung);
        scene
    }),
    ("STOPPING, to rest", || {
        let mut scene = Scene::running();
        scene.rest(&one());
        scene
    }),
    ("BACKOFF", || {
        let mut scene = Scene::running();
        scene.exits(&one(), CRASH);
        scene.comes_up_and_crashes(&one());
        scene
    }),
    ("IDLE", || {
        let mut scene = Scene::running();
        scene.rest(&one());
        scene.exits(&one(), Exit::Code(0));
        scene
    }),
    ("WAITING for its dependency", || {
        let mut scene = Scene::running();
        scene.exits(&one(), Exit::Code(69));
        scene
    }),
    ("WAITING for its queue", || {
        let mut scene = Scene::new();
        scene.tell(Event::Want { worker: one(), timing: TIMING, blocked: Some("its queue".to_owned()) });
        scene
    }),
    ("WAITING for a keeper", || {
        let mut scene = Scene::running();
        scene.tell(Event::KeeperLost);
        scene
    }),
    ("WAITING for its lease", || {
        let mut scene = ordered();
        scene.spawn_fails(&one(), SpawnTrouble::LeaseHeld { holder: "pid 77".to_owned() });
        scene
    }),
    ("FATAL", fatal),
    ("FATAL, may rest", || {
        let mut scene = fatal();
        scene.rest(&one());
        scene
    }),
];

fn ordered() -> Scene {
    let mut scene = Scene::new();
    scene.want(&one());
    scene
}

fn fatal() -> Scene {
    let mut scene = Scene::running();
    scene.exits(&one(), Exit::Code(78));
    scene
}

fn starting() -> Scene {
    let mut scene = ordered();
    scene.spawned(&one());
    scene
}

fn found(ready: bool) -> Scene {
    let mut scene = Scene::without_keeper(RestartPolicy::default());
    scene.found(&one(), 7, ready);
    scene.tell(Event::KeeperUp);
    scene
}

/// Every kind of event, and those of its variants that make a difference, in tables that fit a page.
const TABLES: [(&str, &[Column]); 4] = [
    (
        "What is wanted",
        &[
            ("Want", |_| Event::Want { worker: one(), timing: TIMING, blocked: None }),
            ("Want, queue missing", |_| Event::Want {
                worker: one(),
                timing: TIMING,
                blocked: Some("its queue".to_owned()),
            }),
            ("Retime", |_| Event::Retime { worker: one(), timing: Timing { grace: seconds(5), ..TIMING } }),
            ("Unwant", |_| Event::Unwant { worker: one(), why: Why::Operator }),
            ("Remove", |_| Event::Remove { worker: one(), why: Why::NotListed }),
            ("Revive", |_| Event::Revive { worker: one() }),
            ("Replace", |_| Event::Replace { worker: one(), cause: StopCause::Operator }),
            ("Rest", |_| Event::Rest { worker: one() }),
            ("Wake", |_| Event::Wake { worker: one() }),
            ("Hurry", |_| Event::Hurry { worker: one() }),
        ],
    ),
    (
        "What it depends on, and time",
        &[
            ("Blocked", |_| Event::Blocked { worker: one(), on: "its queue".to_owned() }),
            ("Unblocked", |_| Event::Unblocked { worker: one() }),
            ("DependencyUp", |_| Event::DependencyUp),
            ("KeeperUp", |_| Event::KeeperUp),
            ("KeeperLost", |_| Event::KeeperLost),
            ("Tick at its deadline", |scene| {
                let hour = scene.now + seconds(3600);
                scene.now = scene.state(&one()).deadline().unwrap_or(hour);
                Event::Tick
            }),
        ],
    ),
    (
        "News of its process",
        &[
            ("Found, ready", |scene| {
                let found = Found { incarnation: newest(scene), pid: 4000, started_at: scene.now, ready: true };
                Event::Found(one(), found)
            }),
            ("Spawned", |scene| Event::Spawned {
                worker: one(),
                incarnation: newest(scene),
                pid: 4000,
                started_at: scene.now,
            }),
            ("SpawnFailed", |scene| spawn_failed(newest(scene))),
            ("SpawnFailed, lease held", |scene| {
                let trouble = SpawnTrouble::LeaseHeld { holder: "pid 77".to_owned() };
                Event::SpawnFailed { worker: one(), incarnation: newest(scene), trouble }
            }),
            ("Ready", |scene| Event::Ready { worker: one(), incarnation: newest(scene) }),
            ("late Spawned", |scene| Event::Spawned {
                worker: one(),
                incarnation: earlier(scene),
                pid: 4000,
                started_at: scene.now,
            }),
            ("late SpawnFailed", |scene| spawn_failed(earlier(scene))),
            ("late Ready", |scene| Event::Ready { worker: one(), incarnation: earlier(scene) }),
        ],
    ),
    (
        "Its process ends",
        &[
            ("exit 0", |scene| exited(newest(scene), Exit::Code(0))),
            ("exit 1", |scene| exited(newest(scene), Exit::Code(1))),
            ("exit 69, 75 or 77", |scene| exited(newest(scene), Exit::Code(77))),
            ("exit 78", |scene| exited(newest(scene), Exit::Code(78))),
            ("SIGSEGV", |scene| exited(newest(scene), CRASH)),
            ("late exit", |scene| exited(earlier(scene), CRASH)),
        ],
    ),
];

fn newest(scene: &Scene) -> u64 {
    scene.fleet.slot(&one()).expect("every row has the worker").incarnation()
}

fn earlier(scene: &Scene) -> u64 {
    newest(scene).saturating_sub(1)
}

fn spawn_failed(incarnation: u64) -> Event {
    let trouble = SpawnTrouble::Failed { detail: "no such program".to_owned() };
    Event::SpawnFailed { worker: one(), incarnation, trouble }
}

fn exited(incarnation: u64, exit: Exit) -> Event {
    Event::Exited { worker: one(), incarnation, exit }
}

/// The word of a state in the table. A new state must be named here, and then needs a row.
fn word(state: &State) -> &'static str {
    match state {
        State::Stopped => "STOPPED",
        State::Queued => "STARTING (queued)",
        State::Spawning { .. } => "STARTING (ordered)",
        State::Starting { .. } => "STARTING",
        State::Running { .. } => "RUNNING",
        State::Stopping { .. } => "STOPPING",
        State::Backoff { .. } => "BACKOFF",
        State::Idle { .. } => "IDLE",
        State::Waiting { .. } => "WAITING",
        State::Fatal { .. } => "FATAL",
    }
}

const STATES: usize = 10;

/// The word of an event's kind. A new event must be named here, and then needs a column.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::Want { .. } => "Want",
        Event::Retime { .. } => "Retime",
        Event::Unwant { .. } => "Unwant",
        Event::Remove { .. } => "Remove",
        Event::Revive { .. } => "Revive",
        Event::Replace { .. } => "Replace",
        Event::Rest { .. } => "Rest",
        Event::Wake { .. } => "Wake",
        Event::Hurry { .. } => "Hurry",
        Event::Blocked { .. } => "Blocked",
        Event::Unblocked { .. } => "Unblocked",
        Event::DependencyUp => "DependencyUp",
        Event::Found(..) => "Found",
        Event::Spawned { .. } => "Spawned",
        Event::SpawnFailed { .. } => "SpawnFailed",
        Event::Ready { .. } => "Ready",
        Event::Exited { .. } => "Exited",
        Event::KeeperUp => "KeeperUp",
        Event::KeeperLost => "KeeperLost",
        Event::Tick => "Tick",
    }
}

const EVENTS: usize = 20;

/// What becomes of the state when the event happens.
fn cell(mut scene: Scene, event: Event) -> String {
    let before = scene.state(&one()).clone();
    let remembered = format!("{:?}", scene.fleet.slot(&one()));
    let effects = scene.tell(event);
    let mut parts = Vec::new();
    let mut verdict: Option<&Verdict> = None;
    let of_it = |worker: &WorkerName| *worker == one();
    for effect in &effects {
        match effect {
            Effect::Spawn { worker, .. } if of_it(worker) => parts.push("spawn".to_owned()),
            Effect::Stop { worker, signal: StopSignal::Term, .. } if of_it(worker) => parts.push("TERM".to_owned()),
            Effect::Stop { worker, signal: StopSignal::Kill, .. } if of_it(worker) => parts.push("KILL".to_owned()),
            Effect::Removed { worker } if of_it(worker) => parts.push("gone".to_owned()),
            Effect::Changed { worker, verdict: Some(ended), .. } if of_it(worker) => verdict = Some(ended),
            _ => {}
        }
    }
    let slot = scene.fleet.slot(&one());
    if let Some(after) = slot.map(|slot| word(slot.state()))
        && after != word(&before)
        && !parts.iter().any(|part| part == "spawn")
    {
        parts.push(format!("→ {after}"));
    }
    if let Some(verdict) = verdict {
        parts.push(format!("`{verdict}`"));
    }
    match (parts.is_empty(), format!("{slot:?}") == remembered) {
        (true, true) => "·".to_owned(),
        (true, false) => "noted".to_owned(),
        (false, _) => parts.join(" "),
    }
}

struct Rendered {
    text: String,
    cells: usize,
    states: BTreeSet<&'static str>,
    events: BTreeSet<&'static str>,
}

fn render() -> Rendered {
    let mut rendered = Rendered { text: String::new(), cells: 0, states: BTreeSet::new(), events: BTreeSet::new() };
    for (title, columns) in TABLES {
        let headers: Vec<&str> = columns.iter().map(|(header, _)| *header).collect();
        let _ = writeln!(rendered.text, "\n### {title}\n\n| | {} |", headers.join(" | "));
        let _ = writeln!(rendered.text, "|---|{}", "---|".repeat(columns.len()));
        for (label, build) in ROWS {
            let mut line = format!("| {label} |");
            for (_, happens) in columns {
                let mut scene = build();
                rendered.states.insert(word(scene.state(&one())));
                let event = happens(&mut scene);
                rendered.events.insert(kind(&event));
                rendered.cells += 1;
                let _ = write!(line, " {} |", cell(scene, event));
            }
            let _ = writeln!(rendered.text, "{line}");
        }
    }
    rendered.text.push('\n');
    rendered
}

#[test]
fn lifecycle_table_has_a_cell_for_every_state_and_every_event() {
    let rendered = render();
    assert_eq!((rendered.states.len(), rendered.events.len()), (STATES, EVENTS));
    let columns: usize = TABLES.iter().map(|(_, columns)| columns.len()).sum();
    assert_eq!(rendered.cells, ROWS.len() * columns);
    for (label, build) in ROWS {
        assert!(label.starts_with(word(build().state(&one()))), "{label} is a {:?}", build().state(&one()));
    }
}

#[test]
fn lifecycle_table_of_the_documentation_is_the_one_that_the_code_has() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lifecycle.md");
    let document = fs::read_to_string(&path).unwrap_or_else(|error| panic!("docs/lifecycle.md: {error}"));
    let (head, rest) = document.split_once(BEGIN).expect("docs/lifecycle.md has the mark where the table begins");
    let (shown, tail) = rest.split_once(END).expect("docs/lifecycle.md has the mark where the table ends");
    let table = render().text;
    if shown == table {
        return;
    }
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).expect("docs/lifecycle.md can be written");
        return;
    }
    let mut differences = String::new();
    let (old, new): (Vec<_>, Vec<_>) = (shown.lines().collect(), table.lines().collect());
    for line in 0..old.len().max(new.len()) {
        let (old, new) = (old.get(line).unwrap_or(&""), new.get(line).unwrap_or(&""));
        if old != new {
            let _ = writeln!(differences, "-{old}\n+{new}");
        }
    }
    panic!(
        "docs/lifecycle.md does not show what the code does; if the code is right, renew it with\n  {RENEW}\n{differences}"
    );
}

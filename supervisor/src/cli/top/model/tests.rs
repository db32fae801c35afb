use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::*;
use crate::{api::tests::fleet::status_of, cli::top::draw};

fn fleet(workers: Vec<WorkerStatus>) -> FleetStatus {
    let mut fleet: FleetStatus = serde_json::from_value(serde_json::json!({
        "running": true, "states": {}, "tenants": {},
        "supervisor": {"version": "1", "pid": 1, "started_at": "", "keeper_pid": 2, "parts": {
            "keeper": {"ok": true, "detail": "connected"}, "broker": {"ok": false, "detail": "refused"}}}
    }))
    .unwrap();
    for worker in workers {
        *fleet.states.entry(worker.state).or_default() += 1;
        let tenant = worker.name.tenant;
        let queue = serde_json::json!({"name": worker.queue, "messages_ready": worker.restarts * 10, "consumers": 1, "sample_age_seconds": 0});
        let status = serde_json::json!({"tenant_id": tenant, "running": true, "desired": "up", "workers": [worker], "queues": [queue]});
        fleet.tenants.insert(tenant, serde_json::from_value(status).unwrap());
    }
    fleet
}

fn three() -> FleetStatus {
    fleet(vec![
        WorkerStatus {
            resident_memory_bytes: Some(1 << 20),
            restarts: 3,
            ..status_of("transform-2-1", WorkerState::Running)
        },
        WorkerStatus {
            resident_memory_bytes: Some(3 << 20),
            restarts: 1,
            ..status_of("transform-10-1", WorkerState::Running)
        },
        WorkerStatus { reason: "EXIT(1)".to_owned(), restarts: 2, ..status_of("transform-7-1", WorkerState::Fatal) },
    ])
}

fn shown(fleet: FleetStatus) -> Model {
    let mut model = Model::default();
    model.take(fleet, Instant::now());
    model
}

fn tenants(model: &Model) -> Vec<i64> {
    model.rows().iter().map(|row| row.name.tenant.to_string().parse().unwrap()).collect()
}

fn press(model: &mut Model, keys: &str) -> Then {
    keys.chars().map(|key| model.press(KeyCode::Char(key).into())).last().unwrap()
}

#[test]
fn a_key_sorts_by_its_column_the_largest_first() {
    let mut model = shown(three());
    assert_eq!(tenants(&model), [2, 7, 10]);
    for (key, expected) in
        [("m", [10, 2, 7]), ("r", [2, 7, 10]), ("d", [2, 7, 10]), ("c", [2, 7, 10]), ("n", [2, 7, 10])]
    {
        assert_eq!(press(&mut model, key), Then::Stay);
        assert_eq!(tenants(&model), expected, "{key}");
    }
}

#[test]
fn a_filter_is_typed_kept_and_cleared_and_its_letters_are_no_commands() {
    let mut model = shown(three());
    assert_eq!(press(&mut model, "/fatalq"), Then::Stay);
    assert_eq!(tenants(&model), Vec::<i64>::new());
    model.press(KeyCode::Backspace.into());
    assert_eq!(tenants(&model), [7]);
    model.press(KeyCode::Enter.into());
    assert_eq!(tenants(&model), [7]);
    model.press(KeyCode::Esc.into());
    assert_eq!(tenants(&model), [2, 7, 10]);
    assert_eq!(press(&mut model, "q"), Then::Leave);
    assert_eq!(model.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Then::Leave);
}

#[test]
fn the_share_of_a_processor_is_that_between_two_looks_at_the_same_process() {
    let begun = Instant::now();
    let used = |seconds, incarnation| {
        let worker = status_of("transform-2-1", WorkerState::Running);
        fleet(vec![WorkerStatus { cpu_seconds: Some(seconds), sample_age_seconds: Some(0), incarnation, ..worker }])
    };
    let mut model = Model::default();
    model.take(used(10.0, 1), begun);
    assert_eq!(model.rows()[0].processor, None);
    model.take(used(11.0, 1), begun + Duration::from_secs(4));
    assert_eq!(model.rows()[0].processor, Some(25.0));
    model.take(used(11.0, 1), begun + Duration::from_millis(4100));
    assert_eq!(model.rows()[0].processor, Some(25.0), "nothing new yet");
    model.take(used(0.5, 2), begun + Duration::from_secs(8));
    assert_eq!(model.rows()[0].processor, None, "another process");
}

fn drawn(model: &Model, in_colour: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(120, 8)).unwrap();
    terminal.draw(|frame| draw::screen(frame, model, in_colour)).unwrap();
    terminal
}

fn text(terminal: &Terminal<TestBackend>) -> String {
    terminal.backend().to_string()
}

#[test]
fn the_screen_shows_totals_troubles_and_a_line_a_worker() {
    let mut model = shown(three());
    let screen = text(&drawn(&model, true));
    for expected in
        ["3 tenants", "2 RUNNING, 1 FATAL", "memory 4.0 MiB", "waiting messages 60", "broker: refused", "q quit"]
    {
        assert!(screen.contains(expected), "{expected} in\n{screen}");
    }
    let line = screen.lines().find(|line| line.contains("transform-7-1")).unwrap();
    assert!(line.contains("FATAL") && line.contains("EXIT(1)") && line.contains(" 20 "), "{line}");
    model.lost("no supervisor answers".to_owned());
    let screen = text(&drawn(&model, true));
    assert!(screen.contains("NOT CURRENT: no supervisor answers") && screen.contains("transform-7-1"), "{screen}");
}

#[test]
fn states_have_a_colour_unless_nobody_wants_any() {
    for (in_colour, expected) in [(true, Color::Red), (false, Color::Reset)] {
        let terminal = drawn(&shown(three()), in_colour);
        let buffer = terminal.backend().buffer();
        let fatal = (0..8)
            .find(|y| (0..120).map(|x| buffer[(x, *y)].symbol()).collect::<String>().contains("transform-7-1"))
            .unwrap();
        assert_eq!(buffer[(27, fatal)].fg, expected);
    }
}

#[test]
fn more_workers_than_lines_are_scrolled_through() {
    let workers = (1..=50).map(|tenant| status_of(&format!("transform-{tenant}-1"), WorkerState::Running));
    let mut model = shown(fleet(workers.collect()));
    assert!(text(&drawn(&model, false)).contains("transform-4-1"));
    model.press(KeyCode::PageDown.into());
    let screen = text(&drawn(&model, false));
    assert!(screen.contains("transform-21-1") && !screen.contains("transform-20-1"), "{screen}");
    for _ in 0..10 {
        model.press(KeyCode::PageDown.into());
    }
    assert!(text(&drawn(&model, false)).contains("transform-50-1"));
}

#[test]
fn without_a_terminal_it_is_text_that_ends_nowhere() {
    let text = draw::plain(&shown(three()));
    assert!(!text.contains('\u{1b}'));
    assert_eq!(text.lines().count(), 5);
    assert!(text.lines().nth(2).unwrap().starts_with("transform-2-1              RUNNING   4121"), "{text}");
}

//! Command templates: what a worker of a queue type runs. The brain names a type; what that means is decided here.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use etl_shared::{QueueType, WorkerName, environment};
use nix::errno::Errno;

use super::{
    program::{NoProgram, find, own_search_path, search_path},
    protocol::{SpawnFailure, brief},
};
use crate::settings::{Queue, Readiness, SPANS_SOCKET, Telemetry};

/// The numbers at which a worker finds what it inherited: lease, credentials, flight record.
const CREDENTIALS_NUMBER: u32 = 4;
const FLIGHT_NUMBER: u32 = 5;

/// The templates of one reading of the configuration.
#[derive(Debug)]
pub(super) struct Templates {
    queues: BTreeMap<QueueType, Queue>,
    search_path: OsString,
    notify_socket: PathBuf,
    /// Whether traces are exported, so that workers tell of theirs.
    traced: bool,
}

/// What one process is told beside its template.
#[derive(Debug)]
pub(super) struct Environment<'a> {
    pub(super) incarnation: u64,
    pub(super) has_credentials: bool,
    pub(super) own_directory: &'a Path,
    pub(super) user: Option<u32>,
}

/// A template filled in for one process.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) program: CString,
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
    pub(super) directory: CString,
}

impl Templates {
    pub(super) fn new(queues: BTreeMap<QueueType, Queue>, notify_socket: PathBuf, telemetry: &Telemetry) -> Self {
        // Once: after an upgrade the running program no longer has the name that it was started by.
        let search_path = own_search_path();
        Self { queues, search_path, notify_socket, traced: telemetry.otlp_endpoint.is_some() }
    }

    /// Another reading of the configuration.
    pub(super) fn replace(&mut self, queues: BTreeMap<QueueType, Queue>, telemetry: &Telemetry) {
        self.queues = queues;
        self.traced = telemetry.otlp_endpoint.is_some();
    }

    pub(super) fn types(&self) -> Vec<QueueType> {
        self.queues.keys().cloned().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&QueueType, &Queue)> {
        self.queues.iter()
    }

    pub(super) fn get(&self, queue_type: &QueueType) -> Option<&Queue> {
        self.queues.get(queue_type)
    }

    /// The file that the template executes.
    pub(super) fn program(&self, queue: &Queue) -> Result<PathBuf, SpawnFailure> {
        let name = queue.command.first().map_or("", String::as_str);
        let search_path = search_path(queue, &self.search_path);
        find(name, &search_path).map_err(|NoProgram { step, errno }| failed(step, errno))
    }

    /// Fills the template in.
    pub(super) fn command(
        &self,
        queue: &Queue,
        worker: &WorkerName,
        program: &Path,
        environment: &Environment<'_>,
    ) -> Result<Command, SpawnFailure> {
        let Environment { incarnation, has_credentials, own_directory, user } = *environment;
        let words: Vec<String> = queue.command.iter().map(|word| fill_in(word, worker)).collect();
        let search_path = search_path(queue, &self.search_path);
        let mut variables: BTreeMap<&str, OsString> = BTreeMap::from([
            ("PATH", search_path),
            ("HOME", own_directory.into()),
            ("TMPDIR", own_directory.into()),
            ("LANG", "C.UTF-8".into()),
        ]);
        if let Some(user) = user {
            // The number is nobody's name, and programs that ask for one ask here first.
            variables.extend([("USER", user.to_string().into()), ("LOGNAME", user.to_string().into())]);
        }
        variables.extend(queue.environment.iter().map(|(name, value)| (name.as_str(), value.into())));
        // What the contract with the worker says is not the template's to change.
        for reserved in [environment::CREDENTIALS_FD, environment::SPANS_SOCKET, "NOTIFY_SOCKET"] {
            variables.remove(reserved);
        }
        variables.insert(environment::WORKER, worker.to_string().into());
        variables.insert(environment::INCARNATION, incarnation.to_string().into());
        if self.traced {
            variables.insert(environment::SPANS_SOCKET, self.notify_socket.with_file_name(SPANS_SOCKET).into());
        }
        variables.insert(environment::FLIGHT_FD, FLIGHT_NUMBER.to_string().into());
        if has_credentials {
            variables.insert(environment::CREDENTIALS_FD, CREDENTIALS_NUMBER.to_string().into());
        }
        if queue.ready == Readiness::Notify {
            variables.insert("NOTIFY_SOCKET", self.notify_socket.clone().into());
        }
        let environment = variables.into_iter().map(|(name, value)| {
            let mut assignment = OsString::from(name);
            assignment.push("=");
            assignment.push(value);
            terminated(assignment.as_bytes())
        });
        Ok(Command {
            program: terminated(program.as_os_str().as_bytes())?,
            arguments: words.iter().map(|word| terminated(word.as_bytes())).collect::<Result<_, _>>()?,
            environment: environment.collect::<Result<_, _>>()?,
            directory: terminated(queue.working_directory.as_deref().unwrap_or(own_directory).as_os_str().as_bytes())?,
        })
    }
}

fn fill_in(word: &str, worker: &WorkerName) -> String {
    let values = [
        ("{queue}", worker.queue().to_string()),
        ("{tenant_id}", worker.tenant.to_string()),
        ("{worker}", worker.to_string()),
        ("{slot}", worker.slot.to_string()),
    ];
    values.iter().fold(word.to_owned(), |word, (placeholder, value)| word.replace(placeholder, value))
}

fn terminated(bytes: &[u8]) -> Result<CString, SpawnFailure> {
    CString::new(bytes).map_err(|_| failed("build the command: a zero byte in it".to_owned(), Errno::EINVAL))
}

/// A failed step as the brain will read it.
pub(super) fn failed(step: String, errno: Errno) -> SpawnFailure {
    SpawnFailure::Failed { step: brief(step), error: errno.desc().to_owned(), errno: errno as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates() -> Templates {
        Templates::new(BTreeMap::new(), "/run/x/notify.sock".into(), &Telemetry::default())
    }

    fn command(queue: &Queue, has_credentials: bool) -> Command {
        let (templates, own_directory) = (templates(), Path::new("/run/x/work/transform-7-2"));
        let environment = Environment { incarnation: 3, has_credentials, own_directory, user: Some(400_000) };
        let program = templates.program(queue).unwrap();
        templates.command(queue, &"transform-7-2".parse().unwrap(), &program, &environment).unwrap()
    }

    fn text(strings: &[CString]) -> Vec<&str> {
        strings.iter().map(|string| string.to_str().unwrap()).collect()
    }

    #[test]
    fn every_placeholder_is_filled_in_and_the_rest_is_left_alone() {
        let words = ["sh", "-c", "{queue} {tenant_id} {worker} {slot} ${HOME} {}"];
        let queue = Queue { command: words.map(str::to_owned).to_vec(), ..Queue::default() };
        let command = command(&queue, true);
        assert_eq!(text(&command.arguments), ["sh", "-c", "transform_queue_tenant_7 7 transform-7-2 2 ${HOME} {}"]);
        assert!(command.program.to_str().unwrap().ends_with("/sh"));
    }

    #[test]
    fn the_environment_holds_the_contract_and_what_the_template_adds_and_nothing_else() {
        let added = [("HOME", "/srv"), ("MODE", "x"), ("NOTIFY_SOCKET", "/evil"), ("ETL_WORKER", "other-1-1")];
        let environment = added.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let queue = Queue {
            command: vec!["sh".into()],
            environment: environment.into(),
            ready: Readiness::Exec,
            ..Queue::default()
        };
        let command = command(&queue, false);
        let (path, rest): (Vec<&str>, Vec<&str>) =
            text(&command.environment).into_iter().partition(|variable| variable.starts_with("PATH="));
        assert!(path[0].ends_with(own_search_path().to_str().unwrap()));
        let expected = [
            "ETL_FLIGHT_FD=5",
            "ETL_INCARNATION=3",
            "ETL_WORKER=transform-7-2",
            "HOME=/srv",
            "LANG=C.UTF-8",
            "LOGNAME=400000",
            "MODE=x",
            "TMPDIR=/run/x/work/transform-7-2",
            "USER=400000",
        ];
        assert_eq!(rest, expected);
    }

    #[test]
    fn workers_tell_of_traces_only_where_somebody_takes_them() {
        let queue = Queue { command: vec!["sh".into()], ..Queue::default() };
        let (mut templates, own_directory) = (templates(), Path::new("/run/x/work/transform-7-2"));
        let program = templates.program(&queue).unwrap();
        let told = |templates: &Templates| {
            let environment = Environment { incarnation: 3, has_credentials: false, own_directory, user: None };
            let worker = "transform-7-2".parse().unwrap();
            let command = templates.command(&queue, &worker, &program, &environment).unwrap();
            text(&command.environment).contains(&"ETL_SPANS_SOCKET=/run/x/spans.sock")
        };
        assert!(!told(&templates));
        let telemetry = Telemetry { otlp_endpoint: Some("http://127.0.0.1:4318".to_owned()) };
        templates.replace(BTreeMap::new(), &telemetry);
        assert!(told(&templates));
    }

    #[test]
    fn a_worker_that_says_when_it_is_ready_is_told_where_to() {
        let queue = Queue { command: vec!["sh".into()], ..Queue::default() };
        let command = command(&queue, true);
        let environment = text(&command.environment);
        assert!(environment.contains(&"NOTIFY_SOCKET=/run/x/notify.sock"));
        assert!(environment.contains(&"ETL_CREDENTIALS_FD=4"));
    }
}

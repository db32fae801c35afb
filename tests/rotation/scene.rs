//! A supervisor whose tenants have accounts of their own.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use etl_shared::api::{CredentialsStatus, TenantCredentials};
use serde_json::Value;
use system_tests::{
    SOON, Setup, Supervisor,
    accounts::{Installation, tenant},
    binaries,
    createmeta::{Shape, createmeta},
    eventually, fleet,
    http::Call,
    supervisor::Printed,
    supervisor_setup::{HERE, quoted},
};
use tempfile::TempDir;

/// The worker's program in the supervisor's own directory.
const PROGRAM: &str = "transform-worker";

pub(crate) struct Scene {
    pub(crate) supervisor: Supervisor,
    pub(crate) installation: Installation,
}

impl Scene {
    /// These tenants have a RUNNING worker each.
    pub(crate) async fn with(tenants: &[i64]) -> Self {
        Self::with_setup(tenants, |setup| setup).await
    }

    pub(crate) async fn with_setup(tenants: &[i64], change: impl FnOnce(Setup) -> Setup) -> Self {
        let installation = Installation::new().await;
        for tenant in tenants {
            installation.platform.add_tenant(*tenant).await;
        }
        let setup = installation.setup.clone().set("database", "refresh", "\"1s\"");
        let supervisor = Supervisor::start_prepared(&change(setup), |home| {
            // Where a shell starts it, it has to lie where other users are let through: not below /root, for one.
            fs::copy(binaries::worker(), home.path().join(PROGRAM)).expect("a copy of the worker");
        })
        .await;
        supervisor.until_running(tenants).await;
        Self { supervisor, installation }
    }

    /// Rotates, which must succeed.
    pub(crate) async fn rotate(&self, whom: &str) -> String {
        self.supervisor.cli_ok(&["rotate", whom, "--timeout", "60s"]).await
    }

    pub(crate) async fn try_rotate(&self, whom: &str) -> Printed {
        self.supervisor.cli(&["rotate", whom, "--timeout", "60s"]).await
    }

    pub(crate) async fn credentials(&self, id: i64) -> Result<TenantCredentials, String> {
        let reply = self.supervisor.socket(Call::get("/api/v1/admin/credentials")).await;
        let reply = reply.map_err(|error| error.to_string())?;
        let status: CredentialsStatus =
            serde_json::from_str(&reply.body).map_err(|error| format!("{error}: {reply:?}"))?;
        status.tenants.get(&tenant(id)).cloned().ok_or_else(|| format!("{reply:?}"))
    }

    /// Waits until the tenant's accounts are like this.
    #[track_caller]
    pub(crate) fn stands(&self, id: i64, state: &str, generation: u32) -> impl Future<Output = TenantCredentials> {
        let what = format!("tenant {id} is {state} with generation {generation}");
        eventually(what, 2 * SOON, async move || {
            let now = self.credentials(id).await?;
            if now.state == state && now.generation == Some(generation) { Ok(now) } else { Err(format!("{now:?}")) }
        })
    }

    /// One document is stored, its message published and transformed.
    pub(crate) async fn works(&self, id: i64) {
        let raw = self.installation.platform.submit(id, &small(1)).await;
        self.installation.platform.completed(&[raw]).await;
    }

    /// The accounts of this generation let nobody in.
    pub(crate) async fn is_refused(&self, id: i64, generation: u32) {
        assert!(self.installation.broker(id, generation).await.is_err(), "the broker takes generation {generation}");
        assert!(
            self.installation.database(id, generation).await.is_err(),
            "the database takes generation {generation}"
        );
    }

    /// The accounts of this generation let their tenant in.
    pub(crate) async fn is_let_in(&self, id: i64, generation: u32) {
        self.installation.broker(id, generation).await.expect("the broker lets it in");
        self.installation.database(id, generation).await.expect("the database lets it in");
    }

    /// Waits until somebody stands in for somebody.
    #[track_caller]
    pub(crate) fn stands_in(&self) -> impl Future<Output = ()> {
        let status = self.supervisor.until("somebody stands in", |status| {
            let mut workers = status.tenants.values().flat_map(|tenant| &tenant.workers);
            workers.any(|worker| worker.reason.contains("stands in while"))
        });
        async {
            status.await;
        }
    }

    /// Waits until the tenant has one worker, RUNNING, and nobody stands in.
    #[track_caller]
    pub(crate) fn alone(&self, id: i64) -> impl Future<Output = ()> {
        let status = self.supervisor.until(format!("tenant {id} has one worker, RUNNING"), move |status| {
            fleet::running(status, &[id]) && status.tenants[&tenant(id)].workers.len() == 1
        });
        async {
            status.await;
        }
    }
}

/// With workers of which a shell decides what they do, by `$1`, their slot.
pub(crate) fn deciding(setup: Setup, script: &str) -> Setup {
    let program = quoted(format!("{HERE}/home/{PROGRAM}"));
    // What the template names is the shell; the worker's own file has to be allowed.
    let place = quoted(format!("{HERE}/home"));
    let script = quoted(format!("{script}; exec \"$2\" --queue \"$3\""));
    let command = format!("[\"/bin/sh\", \"-c\", {script}, \"worker\", \"{{slot}}\", {program}, \"{{queue}}\"]");
    setup.set("queues.transform", "command", &command).set("queues.transform", "readable", &format!("[{place}]"))
}

/// Something that workers wait for: with [`Gate::closed_to_stand_ins`] in front, those that stand in do not start to work before it is open.
pub(crate) struct Gate(TempDir);

impl Gate {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // Workers are users of their own; to see whether the file is there is all that they may.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("a mode");
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("open")
    }

    pub(crate) fn closed_to_stand_ins(&self, setup: Setup) -> Setup {
        let wait = format!("until [ -e '{}' ]; do sleep 0.1; done", self.path().display());
        deciding(setup, &format!("[ \"$1\" = 1 ] || {wait}"))
    }

    pub(crate) fn open(&self) {
        fs::write(self.path(), "").expect("a file can be written");
    }
}

pub(crate) fn small(seed: u64) -> Value {
    createmeta(seed, Shape::SMALL).document
}

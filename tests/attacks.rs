//! From outside, over TCP: what strangers, other tenants and other sites' pages would try, and how it is refused. What is found here
//! stands in `docs/security.md`. And what the audit log says of it.

#[path = "attacks/audit.rs"]
mod audit;
#[path = "attacks/browsers.rs"]
mod browsers;
#[path = "attacks/forged.rs"]
mod forged;
#[path = "attacks/requests.rs"]
mod requests;
#[path = "attacks/tenants.rs"]
mod tenants;
#[path = "attacks/wire.rs"]
mod wire;

use std::fs;

use etl_shared::api::Role;
use system_tests::{Setup, Supervisor, refusals::all_refused_as_documented};

/// A supervisor that believes API tokens and the platform's, and what an attacker has.
struct Scene {
    supervisor: Supervisor,
    /// Of an operator of tenant 1.
    own: String,
    /// Of an admin; only what is stolen from him counts.
    admin: String,
}

impl Scene {
    async fn new() -> Self {
        let setup = Setup::scripted("[1, 2]")
            .set("auth", "failed_logins", "100000")
            .set("auth.jwt", "secret_file", "\"@HERE@/jwt.secret\"")
            .set("auth.jwt", "issuer", "\"platform\"")
            .set("auth.jwt", "audience", "\"etl\"");
        let mut supervisor = Supervisor::prepare(&setup);
        fs::write(supervisor.directory().join("jwt.secret"), forged::SECRET).expect("a secret");
        supervisor.start_brain().await;
        supervisor.until_running(&[1, 2]).await;
        let own = supervisor.token(Role::Operator, Some(1)).await;
        let admin = supervisor.token(Role::Admin, None).await;
        Self { supervisor, own, admin }
    }
}

#[tokio::test]
async fn every_attempt_from_outside_is_refused() {
    let scene = Scene::new().await;
    let before = scene.supervisor.until_running(&[1, 2]).await;
    let mut attempts = forged::attempts(&scene).await;
    attempts.extend(tenants::attempts(&scene).await);
    attempts.extend(browsers::attempts(&scene).await);
    attempts.extend(requests::attempts(&scene).await);
    let after = scene.supervisor.until_running(&[1, 2]).await;
    assert_eq!(pids(&before), pids(&after), "every worker is as it was");
    all_refused_as_documented("at the API", &attempts);
}

fn pids(status: &etl_shared::api::FleetStatus) -> Vec<Option<i32>> {
    status.tenants.values().flat_map(|tenant| &tenant.workers).map(|worker| worker.pid).collect()
}

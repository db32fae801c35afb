//! A supervisor, and somebody in front of a browser.

use etl_shared::api::Role;
use serde_json::{Value, json};
use system_tests::{
    Platform, Setup, Supervisor,
    browser::{Browser, Screen},
    supervisor_setup::quoted,
};

/// Keeps what the policy refuses, from before the page's first script on.
const WATCH: &str = "window.violations = []; document.addEventListener('securitypolicyviolation', (event) => \
                     window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));";

/// Sends a request as the page's own scripts could, and as anybody can from the browser's console.
const CONSOLE: &str = "
    const [method, path, body, withToken, done] = arguments;
    (async () => {
        const session = await (await fetch('/api/v1/session')).json();
        const headers = withToken ? { 'X-CSRF-Token': session.csrf_token } : {};
        const answer = await fetch(path, { method, headers, body: body === null ? undefined : JSON.stringify(body) });
        const said = await answer.json().catch(() => ({}));
        done({ status: answer.status, code: said.code ?? null });
    })().catch((error) => done({ status: 0, code: String(error) }));";

/// What belongs together in these tests.
pub(crate) struct Scene {
    pub(crate) platform: Platform,
    pub(crate) supervisor: Supervisor,
    pub(crate) browser: Browser,
}

/// Scripted workers for the tenants in the platform's database, with the platform's broker.
pub(crate) fn scripted(platform: &Platform) -> Setup {
    Setup::scripted("[1]").without("", "tenants").set("broker", "url", &quoted(platform.broker.url())).set(
        "database",
        "url",
        &quoted(platform.database.url()),
    )
}

impl Scene {
    /// These tenants with scripted workers, which all run.
    pub(crate) async fn with(tenants: &[i64], screen: Screen) -> Self {
        let platform = Platform::with_tenants(tenants).await;
        let supervisor = Supervisor::start(&scripted(&platform)).await;
        supervisor.until_running(tenants).await;
        Self::of(platform, supervisor, screen).await
    }

    pub(crate) async fn of(platform: Platform, supervisor: Supervisor, screen: Screen) -> Self {
        let browser = Browser::open(screen).await;
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH})).await;
        Self { platform, supervisor, browser }
    }

    /// Opens a login link and says yes to it.
    pub(crate) async fn enter(&self, role: Role, tenant: Option<i64>) {
        let token = self.supervisor.token(role, tenant).await;
        self.browser.go(&format!("{}/#login={token}", self.supervisor.url())).await;
        self.browser.click("form.login button[type=submit]").await;
        let role = format!("{role:?}").to_lowercase();
        self.browser.until_says("#who", &role).await;
        let address = self.browser.run("return location.href").await;
        assert!(!address.as_str().unwrap_or_default().contains(&token), "the token is in the address: {address}");
    }

    /// Goes to a tenant's page and waits for its name.
    pub(crate) async fn open_tenant(&self, tenant: i64) {
        self.browser.run(&format!("location.hash = '#/tenant/{tenant}'")).await;
        self.browser.until_says(".tenant-head .reason", &format!("Tenant {tenant} ·")).await;
    }

    /// Status and code of the answer to a request from the console, with the session's CSRF token.
    pub(crate) async fn console(&self, method: &str, path: &str, body: Value) -> String {
        self.console_with(method, path, body, true).await
    }

    /// The same, with or without it.
    pub(crate) async fn console_with(&self, method: &str, path: &str, body: Value, token: bool) -> String {
        let answer = self.browser.run_async(CONSOLE, vec![json!(method), json!(path), body, json!(token)]).await;
        format!("{} {}", answer["status"], answer["code"].as_str().unwrap_or_default()).trim().to_owned()
    }

    /// Answers the question that is open with yes.
    pub(crate) async fn confirm(&self) {
        self.browser.click("dialog[open] button[type=submit]").await;
        self.browser.until("the question is gone", "!document.querySelector('dialog')").await;
    }

    /// Presses a tenant's button in the table.
    pub(crate) async fn press(&self, what: &str, tenant: i64) {
        self.browser.click(&format!("button[aria-label='{what} tenant {tenant}']")).await;
    }

    /// Nothing was refused by the policy, and nothing was asked of anybody but the supervisor.
    pub(crate) async fn kept_to_itself(&self) {
        assert_eq!(self.browser.run("return window.violations").await, json!([]));
        let own = format!("{}/", self.supervisor.url());
        let asked = self.browser.asked().await;
        assert!(asked.iter().any(|asked| asked.url.starts_with(&own)), "nothing was recorded");
        let foreign = |url: &str| !url.starts_with(&own) && !url.starts_with("data:") && url != "about:blank";
        let foreign: Vec<_> = asked.iter().filter(|asked| foreign(&asked.url)).collect();
        assert!(foreign.is_empty(), "asked of others: {foreign:?}");
    }
}

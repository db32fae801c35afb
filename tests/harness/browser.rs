//! A real browser without a screen: Chromium, driven over `WebDriver` by its own chromedriver (Debian's `chromium` and
//! `chromium-driver`).

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{
    Client, ClientBuilder,
    error::CmdError,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use crate::{SOON, eventually, processes, stack};

mod measure;

pub use measure::{Frames, Paint};

/// A test that is killed drops nothing. Chromedriver then dies with the test, and Chromium with chromedriver.
const DIES_WITH_US: [&str; 2] = ["--pdeathsig", "KILL"];
/// What chromedriver starts in Chromium's place.
const LAUNCHER: &str = "#!/bin/sh\nexec setpriv --pdeathsig KILL chromium \"$@\"\n";

const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-prefers-reduced-motion",
];

/// A window of a browser of its own, with an empty profile. Both processes are gone with this value.
pub struct Browser {
    client: Client,
    driver: Child,
    directory: TempDir,
}

/// How large the window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// 1440 × 900.
    Desktop,
    /// 390 × 844 with a touch screen.
    Phone,
}

/// Something that the browser asked for over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The whole address.
    pub url: String,
}

impl Browser {
    /// Opens one.
    pub async fn open(screen: Screen) -> Self {
        let directory = tempfile::Builder::new().prefix("etl-browser-").tempdir_in("/tmp").expect("a directory");
        let output = directory.path().join("chromedriver.log");
        let file = File::create(&output).expect("a file for its output");
        let driver = Command::new("setpriv")
            .args(DIES_WITH_US)
            .args(["chromedriver", "--port=0"])
            // Names the directory, by which its processes are found at the end.
            .arg(format!("--log-path={}", directory.path().join("details.log").display()))
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a descriptor"))
            .stderr(file)
            .spawn()
            .expect("util-linux has setpriv");
        let port = eventually("chromedriver tells its port", SOON, async || {
            let said = fs::read_to_string(&output).unwrap_or_default();
            let port = said.split_once("started successfully on port ").and_then(|(_, rest)| rest.split_once('.'));
            let missing = "is there chromedriver? apt-get install chromium chromium-driver";
            port.and_then(|(port, _)| port.parse::<u16>().ok()).ok_or_else(|| format!("{missing}\n{said}"))
        })
        .await;
        let capabilities = capabilities(&directory);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromedriver starts Chromium");
        let browser = Self { client, driver, directory };
        browser.resize(screen).await;
        // It begins with a page of its own, which is none of the tests' business.
        browser.go("about:blank").await;
        browser.asked().await;
        browser
    }

    async fn resize(&self, screen: Screen) {
        let (width, height, phone) = match screen {
            Screen::Desktop => (1440, 900, false),
            Screen::Phone => (390, 844, true),
        };
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Prefers a dark page or a light one, as a system's setting would.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Goes to an address; one that differs in its fragment only loads nothing.
    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("cannot open {url}: {error}"));
    }

    /// Runs the body of a function in the page; what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.run_with(script, vec![]).await
    }

    /// The same with `arguments`.
    pub async fn run_with(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The same for a function whose last argument is called with the result.
    pub async fn run_async(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute_async(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression is true in the page; the failure shows what the page says.
    #[track_caller]
    pub fn until(&self, what: &str, expression: &str) -> impl Future<Output = ()> {
        let script = format!("return Boolean({expression})");
        eventually(what, SOON, async move || {
            // A page that is just being loaded may refuse.
            match self.client.execute(&script, vec![]).await {
                Ok(Value::Bool(true)) => Ok(()),
                other => Err(format!("{other:?}\n{}", self.said().await)),
            }
        })
    }

    /// Waits until some element that is shown has this in its text.
    #[track_caller]
    pub fn until_says(&self, selector: &str, words: &str) -> impl Future<Output = ()> {
        let [selector, words] = [selector, words].map(|text| Value::from(text).to_string());
        let expression = format!(
            "[...document.querySelectorAll({selector})].some((one) => one.checkVisibility() && one.textContent.includes({words}))"
        );
        let what = format!("{selector} says {words}");
        async move { self.until(&what, &expression).await }
    }

    /// Clicks on the first element that matches, once there is one that is shown.
    #[track_caller]
    pub fn click(&self, selector: &str) -> impl Future<Output = ()> {
        let quoted = Value::from(selector).to_string();
        async move {
            self.until(&format!("{quoted} is there"), &format!("document.querySelector({quoted})?.checkVisibility()"))
                .await;
            self.run(&format!("document.querySelector({quoted}).click()")).await;
        }
    }

    /// Presses keys, one after the other, as a person does: whatever has the focus gets them.
    pub async fn press(&self, keys: &str) {
        let strokes = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})));
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>()}]});
        self.driver("actions", actions).await;
    }

    /// What stands on the page.
    pub async fn said(&self) -> String {
        let said = self.client.execute("return document.body.innerText", vec![]).await;
        said.map_or_else(|error| error.to_string(), |said| said.as_str().unwrap_or_default().to_owned())
    }

    /// Keeps a picture in the target directory, `page/NAME.png`.
    pub async fn picture(&self, name: &str) {
        let directory = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| stack::checkout().join("target"), PathBuf::from)
            .join("page");
        fs::create_dir_all(&directory).expect("a directory for pictures");
        let picture = self.client.screenshot().await.expect("a picture");
        fs::write(directory.join(format!("{name}.png")), picture).expect("a picture can be kept");
    }

    /// Everything that was asked for over the network since the last call.
    pub async fn asked(&self) -> Vec<Asked> {
        let entries = self.driver("se/log", json!({"type": "performance"})).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let message = |entry: &Value| serde_json::from_str::<Value>(entry["message"].as_str()?).ok();
        let messages = entries.iter().filter_map(message);
        let sent = messages.filter(|message| message["message"]["method"] == "Network.requestWillBeSent");
        let url = |message: Value| message["message"]["params"]["request"]["url"].as_str().map(str::to_owned);
        sent.filter_map(url).map(|url| Asked { url }).collect()
    }

    /// What was written to the console since the last call; refused scripts and failed requests are there too.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.driver("se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Sends a command of the `DevTools` protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.driver("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    async fn driver(&self, path: &'static str, body: Value) -> Value {
        let command = Raw { path, body };
        self.client.issue_cmd(command).await.unwrap_or_else(|error: CmdError| panic!("{path}: {error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        processes::kill_using(self.directory.path());
    }
}

fn capabilities(directory: &TempDir) -> Capabilities {
    let profile = format!("--user-data-dir={}", directory.path().join("profile").display());
    let flags: Vec<_> = FLAGS.iter().map(|flag| (*flag).to_owned()).chain([profile]).collect();
    let mut capabilities = Capabilities::new();
    capabilities.insert("browserName".to_owned(), "chrome".into());
    let launcher = directory.path().join("chromium");
    fs::write(&launcher, LAUNCHER).expect("a launcher");
    fs::set_permissions(&launcher, Permissions::from_mode(0o755)).expect("the launcher can be run");
    capabilities.insert("goog:chromeOptions".to_owned(), json!({"args": flags, "binary": launcher}));
    capabilities.insert("goog:loggingPrefs".to_owned(), json!({"browser": "ALL", "performance": "ALL"}));
    let patience = Duration::from_mins(1).as_millis();
    capabilities.insert("timeouts".to_owned(), json!({"script": u64::try_from(patience).unwrap_or(60_000)}));
    capabilities
}

/// A command that `WebDriver` has and fantoccini has no function for: POST below the session.
#[derive(Debug)]
struct Raw {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Raw {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

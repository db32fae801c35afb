//! A page whose stream and answers come when a test says so, and as it says.

use serde_json::json;
use system_tests::browser::Screen;

use super::scene::Scene;

/// Before the page's first script. `happens(kind, data)` is a message of the stream, which the server never sees; `shows` rows of
/// it, made of one that was loaded. Answers whose path contains `holds` wait for `release()`; where `answers(path)`
/// returns something, nobody else is asked. `asked` are all paths, in their order.
const SCRIPT: &str = "
    const real = window.fetch;
    window.asked = [];
    window.holds = null;
    window.answers = () => null;
    const released = new Promise((resolve) => (window.release = resolve));
    let stream = null;
    window.happens = (kind, data) =>
        stream.enqueue(new TextEncoder().encode(`event: ${kind}\\ndata: ${JSON.stringify(data)}\\n\\n`));
    window.shows = (...rows) => window.happens('rows', rows.map((row) => ({ ...window.loaded[0], name: null, ...row })));
    window.fetch = async (path, request) => {
        window.asked.push(String(path));
        if (String(path).includes('/workers/events')) {
            const begin = (controller) => {
                stream = controller;
                request.signal.addEventListener('abort', () => controller.error(request.signal.reason));
            };
            return new Response(new ReadableStream({ start: begin }));
        }
        const answer = window.answers(String(path)) ?? (await real(path, request));
        if (window.holds && String(path).includes(window.holds)) await released;
        if (String(path).includes('/workers/overview')) window.loaded = (await answer.clone().json()).tenants;
        return answer;
    };";

/// Takes over what the page that is opened next is told.
pub(crate) async fn direct(scene: &Scene) {
    scene.browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": SCRIPT})).await;
}

/// These tenants, and a page that can be directed.
pub(crate) async fn directed(tenants: &[i64]) -> Scene {
    let scene = Scene::with(tenants, Screen::Desktop).await;
    direct(&scene).await;
    scene
}

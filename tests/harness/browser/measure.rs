//! How fast the page is: its first paint, and its frames while rows change.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Browser;

/// When the page showed something, in milliseconds from the start of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Paint {
    /// The first pixel.
    pub first: f64,
    /// The first text or picture.
    pub contentful: f64,
    /// The table has its first rows.
    pub rows: f64,
}

/// What the page managed to show during a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Frames {
    /// Frames per second.
    pub per_second: f64,
    /// The longest time between two of them, in milliseconds.
    pub longest: f64,
    /// Texts in the table that changed meanwhile: nought means that nothing was measured.
    pub changes: u64,
}

const PAINT: &str = "
    const paint = (name) => performance.getEntriesByName(name)[0]?.startTime;
    const marks = [paint('first-paint'), paint('first-contentful-paint'), paint('rows')];
    return marks.includes(undefined) ? null : { first: marks[0], contentful: marks[1], rows: marks[2] };";

const FRAMES: &str = "
    const [wanted, done] = arguments;
    let changes = 0;
    const observer = new MutationObserver((list) => { changes += list.length; });
    observer.observe(document.querySelector('.space'), { subtree: true, childList: true, characterData: true });
    let frames = 0, longest = 0, last = null, begin = null;
    const frame = (now) => {
        begin ??= now;
        if (last !== null) { frames += 1; longest = Math.max(longest, now - last); }
        last = now;
        if (now - begin < wanted) return requestAnimationFrame(frame);
        observer.disconnect();
        done({ per_second: frames / ((now - begin) / 1000), longest, changes });
    };
    requestAnimationFrame(frame);";

impl Browser {
    /// Loads the page anew and waits for its table. Somebody must be logged in already, as an admin: go to
    /// `http://ADDRESS/#login=TOKEN` once, press the form's button and wait for `.space .line` before. The profile's cache is not used.
    pub async fn paint(&self, address: &str) -> Paint {
        self.devtools("Network.setCacheDisabled", json!({"cacheDisabled": true})).await;
        // Away first: an address that differs in its fragment only would load nothing.
        self.go("about:blank").await;
        self.go(address).await;
        self.until("the table has rows", "performance.getEntriesByName('rows').length > 0").await;
        let paint = self.run(PAINT).await;
        serde_json::from_value(paint.clone()).unwrap_or_else(|error| panic!("{error}: {paint}"))
    }

    /// Counts frames for a while, on the page with the table. That rows change meanwhile is the caller's part.
    pub async fn frames(&self, during: Duration) -> Frames {
        let milliseconds = during.as_secs_f64() * 1000.0;
        let frames = self.run_async(FRAMES, vec![json!(milliseconds)]).await;
        serde_json::from_value(frames.clone()).unwrap_or_else(|error| panic!("{error}: {frames}"))
    }
}

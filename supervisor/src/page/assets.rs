//! The files of the page.

/// The document itself; `@BASE@` and `@MODULES@` are filled in when it is served first.
pub(super) const DOCUMENT: &str = include_str!("index.html");

/// A file that the document needs.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its name.
    pub(super) name: &'static str,
    /// What is in it.
    pub(super) bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal),+ $(,)?) => { &[$(Asset { name: $name, bytes: include_bytes!($name) }),+] };
}

/// All of them.
pub(super) const ASSETS: &[Asset] = assets![
    "api.js",
    "badge.js",
    "chart.js",
    "controls.js",
    "credentials.js",
    "dialog.js",
    "dom.js",
    "fleet.js",
    "fleet_view.js",
    "format.js",
    "icon.svg",
    "keys.js",
    "layout.css",
    "letters.js",
    "live.js",
    "log_line.js",
    "login_view.js",
    "logs.js",
    "main.js",
    "notices.js",
    "order_of_rows.js",
    "orders.js",
    "panel.js",
    "parts.js",
    "row.js",
    "scaling.js",
    "seen.js",
    "session.js",
    "settings.js",
    "settings_api.js",
    "settings_fields.js",
    "settle.js",
    "sparkline.js",
    "sse.js",
    "table.css",
    "table.js",
    "telling.js",
    "tenant.css",
    "tenant_view.js",
    "theme.css",
    "theme.js",
    "timeline.js",
    "totals.js",
    "workers.js",
];

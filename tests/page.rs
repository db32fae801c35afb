//! The page in a real browser, on a real supervisor with its broker and its database.

#[path = "page/access.rs"]
mod access;
#[path = "page/control.rs"]
mod control;
#[path = "page/directed.rs"]
mod directed;
#[path = "page/form.rs"]
mod form;
#[path = "page/hands.rs"]
mod hands;
#[path = "page/hidden.rs"]
mod hidden;
#[path = "page/hostile.rs"]
mod hostile;
#[path = "page/late.rs"]
mod late;
#[path = "page/letters.rs"]
mod letters;
#[path = "page/login.rs"]
mod login;
#[path = "page/order.rs"]
mod order;
#[path = "page/reference.rs"]
mod reference;
#[path = "page/scene.rs"]
mod scene;

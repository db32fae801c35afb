//! Dead letters for people: the command and the API behind it, on a real supervisor, worker, broker and database.

#[path = "dead_letters/access.rs"]
mod access;
#[path = "dead_letters/command_line.rs"]
mod command_line;
#[path = "dead_letters/interrupted.rs"]
mod interrupted;
#[path = "dead_letters/letters.rs"]
mod letters;
#[path = "dead_letters/replay.rs"]
mod replay;
#[path = "dead_letters/suspects.rs"]
mod suspects;

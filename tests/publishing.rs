//! Messages from other programs: the command, and a Python backend that speaks plain AMQP.

#[path = "publishing/command_line.rs"]
mod command_line;
#[path = "publishing/python.rs"]
mod python;

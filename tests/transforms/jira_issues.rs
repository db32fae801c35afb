//! Issues with their histories and sprints.

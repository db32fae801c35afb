//! Repositories and pull requests.

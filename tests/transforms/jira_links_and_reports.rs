//! Links to pull requests, and sprint reports.

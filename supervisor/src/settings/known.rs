//! Which keys there are, so that a misspelt one is found. `docs/configuration.md` is held to this by a test.

use etl_shared::settings::Known;

/// Every key.
pub(super) const KNOWN: Known = Known::Section(&[
    ("tenants", Known::Value),
    (
        "runtime",
        Known::Section(&[
            ("directory", Known::Value),
            ("log_directory", Known::Value),
            ("state_directory", Known::Value),
        ]),
    ),
    (
        "broker",
        Known::Section(&[
            ("url", Known::Value),
            ("password_file", Known::Value),
            ("worker_url", Known::Value),
            ("worker_password_file", Known::Value),
            ("ca_file", Known::Value),
            ("queue_kind", Known::Value),
            ("management_url", Known::Value),
            ("management_password_file", Known::Value),
            ("delivery_limit", Known::Value),
        ]),
    ),
    (
        "database",
        Known::Section(&[
            ("url", Known::Value),
            ("password_file", Known::Value),
            ("worker_url", Known::Value),
            ("worker_password_file", Known::Value),
            ("admin_url", Known::Value),
            ("admin_password_file", Known::Value),
            ("ca_file", Known::Value),
            ("tenants_query", Known::Value),
            ("refresh", Known::Value),
            ("migrate", Known::Value),
        ]),
    ),
    ("api", Known::Section(&[("listen", Known::Value), ("public_url", Known::Value), ("hosts", Known::Value)])),
    (
        "restart",
        Known::Section(&[
            ("backoff_initial", Known::Value),
            ("backoff_max", Known::Value),
            ("reset_after", Known::Value),
            ("max_restarts", Known::Value),
            ("window", Known::Value),
            ("fatal_retry", Known::Value),
            ("max_concurrent_starts", Known::Value),
        ]),
    ),
    (
        "reconcile",
        Known::Section(&[
            ("after", Known::Value),
            ("every", Known::Value),
            ("limit", Known::Value),
            ("queue_type", Known::Value),
        ]),
    ),
    ("poison", Known::Section(&[("strikes", Known::Value), ("window", Known::Value)])),
    (
        "limits",
        Known::Section(&[
            ("sample_every", Known::Value),
            ("memory_budget", Known::Value),
            ("database_connections", Known::Value),
        ]),
    ),
    (
        "credentials",
        Known::Section(&[
            ("mode", Known::Value),
            ("master_key_file", Known::Value),
            ("prefix", Known::Value),
            ("roles_prefix", Known::Value),
        ]),
    ),
    (
        "isolation",
        Known::Section(&[
            ("users", Known::Value),
            ("uid_range", Known::Value),
            ("filesystem", Known::Value),
            ("cgroups", Known::Value),
        ]),
    ),
    ("history", Known::Section(&[("events_keep", Known::Value)])),
    (
        "queues",
        Known::Named(&Known::Section(&[
            ("command", Known::Value),
            ("workers", Known::Value),
            ("workers_max", Known::Value),
            ("ready", Known::Value),
            ("start_timeout", Known::Value),
            ("grace", Known::Value),
            ("job_timeout", Known::Value),
            ("environment", Known::Free),
            ("working_directory", Known::Value),
            ("log_max_size", Known::Value),
            ("memory_soft", Known::Value),
            ("memory_max", Known::Value),
            ("tasks_max", Known::Value),
            ("cpu_weight", Known::Value),
            ("open_files", Known::Value),
            ("readable", Known::Value),
            ("writable", Known::Value),
        ])),
    ),
    (
        "auth",
        Known::Section(&[
            ("session_ttl", Known::Value),
            ("failed_logins", Known::Value),
            ("failed_login_window", Known::Value),
            (
                "jwt",
                Known::Section(&[
                    ("algorithms", Known::Value),
                    ("secret_file", Known::Value),
                    ("public_key_file", Known::Value),
                    ("jwks_file", Known::Value),
                    ("jwks_url", Known::Value),
                    ("jwks_ca_file", Known::Value),
                    ("jwks_refresh", Known::Value),
                    ("issuer", Known::Value),
                    ("audience", Known::Value),
                    ("leeway", Known::Value),
                    ("tenant_claim", Known::Value),
                    ("role_claim", Known::Value),
                    ("admin_claim", Known::Value),
                ]),
            ),
            ("roles", Known::Section(&[("admin", Known::Value), ("operator", Known::Value), ("viewer", Known::Value)])),
        ]),
    ),
]);

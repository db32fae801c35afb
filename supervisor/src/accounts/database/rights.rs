//! What each role may do with each table: the least that the worker's and the supervisor's own statements need.

/// Columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// None.
    None,
    /// Every one.
    All,
    /// Those of these that there are.
    Only(&'static [&'static str]),
    /// Every one but these.
    Except(&'static [&'static str]),
}

impl Columns {
    /// Whether the column belongs to them.
    pub(super) fn include(self, column: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(these) => these.contains(&column),
            Self::Except(these) => !these.contains(&column),
        }
    }
}

/// What somebody may do with a table. Nobody may delete from it, except where the last field says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    /// Which.
    pub(super) table: &'static str,
    /// What may be read.
    pub(super) select: Columns,
    /// What a new row may be given.
    pub(super) insert: Columns,
    /// What may be changed.
    pub(super) update: Columns,
    /// Whether rows may be deleted.
    pub(super) delete: bool,
}

/// The numbers of rows are the database's business: whoever could choose one would learn from the refusal which are taken, and could
/// take those that other tenants' rows are going to get.
const GIVEN: Columns = Columns::Except(&["id", "created_at"]);
/// Whose a row is never changes.
const CHANGED: Columns = Columns::Except(&["id", "tenant_id", "integration_id", "created_at"]);
/// What is noted at a raw row when a worker is done with it.
const OUTCOME: Columns = Columns::Only(&["status", "attempts", "error_details", "last_updated_at"]);

const fn read(table: &'static str) -> Rights {
    Rights { table, select: Columns::All, insert: Columns::None, update: Columns::None, delete: false }
}

const fn upsert(table: &'static str) -> Rights {
    Rights { table, select: Columns::All, insert: GIVEN, update: CHANGED, delete: false }
}

/// The account of a worker: a tenant's own, with row-level security on top, or one for several tenants.
pub(super) const WORKER: &[Rights] = &[
    // A worker neither makes raw rows nor changes what they hold.
    Rights { update: OUTCOME, ..read("raw_extraction_data") },
    read("wits_mappings"),
    read("statuses_mappings"),
    upsert("projects"),
    upsert("wits"),
    upsert("projects_wits"),
    upsert("statuses"),
    upsert("projects_statuses"),
    upsert("custom_fields"),
    upsert("custom_fields_mappings"),
    upsert("sprints"),
    upsert("work_items"),
    upsert("changelogs"),
    upsert("work_items_sprints"),
    upsert("work_items_prs_links"),
    upsert("repositories"),
    upsert("prs"),
    upsert("prs_commits"),
    upsert("prs_reviews"),
    upsert("prs_comments"),
    // What a second delivery of the same message finds and changes; neither bodies nor what operators decide.
    Rights {
        table: "dead_letters",
        select: Columns::Only(&[
            "tenant_id",
            "queue",
            "body_hash",
            "reason",
            "detail",
            "attempts",
            "headers",
            "exit_report",
            "replayed_at",
            "discarded_at",
        ]),
        insert: Columns::Only(&[
            "tenant_id",
            "queue",
            "body",
            "headers",
            "reason",
            "detail",
            "attempts",
            "exit_report",
        ]),
        update: Columns::Only(&["reason", "detail", "attempts", "headers", "exit_report"]),
        delete: false,
    },
];

/// The supervisor's own account.
pub(super) const SUPERVISOR: &[Rights] = &[
    read("tenants"),
    read("etl_schema_history"),
    Rights { update: OUTCOME, ..read("raw_extraction_data") },
    Rights {
        insert: Columns::Except(&["id", "body_hash"]),
        update: Columns::Only(&["replayed_at", "discarded_at"]),
        ..read("dead_letters")
    },
    Rights { insert: Columns::All, delete: true, ..read("reconciliations") },
    Rights {
        insert: Columns::All,
        update: Columns::Only(&[
            "workers",
            "workers_max",
            "memory_soft",
            "paused_until",
            "revision",
            "updated_at",
            "updated_by",
        ]),
        delete: true,
        ..read("worker_settings")
    },
    // Histories are added to and, when they are old enough, forgotten; nobody rewrites them.
    Rights { insert: Columns::All, delete: true, ..read("worker_events") },
    Rights { insert: Columns::Except(&["id"]), delete: true, ..read("audit_log") },
];

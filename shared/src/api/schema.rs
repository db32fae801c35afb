//! How the names that both programs share look in the API's description: each is one number or one word on the wire.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

use crate::{QueueType, TenantId, Verdict, WorkerName, data_types::DATA_TYPES, verdict::SIGNALS};

fn word(description: &str, pattern: &str, example: &str) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    object.pattern(Some(pattern)).examples([example]).build().into()
}

/// A data type by any of its names.
pub(super) fn data_type() -> RefOr<Schema> {
    let names = DATA_TYPES.iter().flat_map(|(name, others)| [*name].into_iter().chain(others.iter().copied()));
    let object = ObjectBuilder::new().schema_type(Type::String).description(Some("A data type, by any of its names."));
    object.enum_values(Some(names)).build().into()
}

impl PartialSchema for TenantId {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1))
            .description(Some("A tenant's number."))
            .examples([7])
            .build()
            .into()
    }
}

impl ToSchema for TenantId {
    fn name() -> Cow<'static, str> {
        "TenantId".into()
    }
}

impl PartialSchema for QueueType {
    fn schema() -> RefOr<Schema> {
        word("What kind of work a queue carries.", "^[a-z][a-z0-9_]*$", "transform")
    }
}

impl ToSchema for QueueType {
    fn name() -> Cow<'static, str> {
        "QueueType".into()
    }
}

impl PartialSchema for WorkerName {
    fn schema() -> RefOr<Schema> {
        word(
            "Queue type, tenant and slot of a worker.",
            "^[a-z][a-z0-9_]*-[1-9][0-9]{0,17}-[1-9][0-9]{0,3}$",
            "transform-7-1",
        )
    }
}

impl ToSchema for WorkerName {
    fn name() -> Cow<'static, str> {
        "WorkerName".into()
    }
}

impl PartialSchema for Verdict {
    fn schema() -> RefOr<Schema> {
        let signals = SIGNALS.map(|(_, name)| name.replace('+', "\\+")).join("|");
        word(
            "How a process ended, in one word: OPERATOR, SCALE_DOWN, RECYCLE, DRAINED, EXIT(n), CRASH(SIGxxx), OOM, HUNG, \
             DEPENDENCY, SPAWN_FAILED or LOST.",
            &format!(
                "^(OPERATOR|SCALE_DOWN|RECYCLE|DRAINED|EXIT\\(-?[0-9]{{1,9}}\\)|CRASH\\(({signals}|SIG[0-9]{{1,9}})\\)|OOM|HUNG|\
                 DEPENDENCY|SPAWN_FAILED|LOST)$"
            ),
            "CRASH(SIGSEGV)",
        )
    }
}

impl ToSchema for Verdict {
    fn name() -> Cow<'static, str> {
        "Verdict".into()
    }
}

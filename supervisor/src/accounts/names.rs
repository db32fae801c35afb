//! What accounts are called.

use etl_shared::TenantId;

use crate::settings::CredentialsSection;

/// The names of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
    roles_prefix: String,
}

impl Names {
    /// As configured.
    pub fn of(section: &CredentialsSection) -> Self {
        Self { prefix: section.prefix.clone(), roles_prefix: section.roles_prefix.clone() }
    }

    /// A tenant's account, at the broker as in the database: `tenant_7`, later `tenant_7_g2`.
    pub fn account(&self, tenant: TenantId, generation: u32) -> String {
        match generation {
            0 | 1 => format!("{}{tenant}", self.prefix),
            later => format!("{}{tenant}_g{later}", self.prefix),
        }
    }

    /// Whose account this is; `None` where it is none of ours.
    pub fn parse(&self, name: &str) -> Option<(TenantId, u32)> {
        let rest = name.strip_prefix(&self.prefix)?;
        let (tenant, generation) =
            rest.split_once("_g").map_or((rest, Some(1)), |(tenant, generation)| (tenant, generation.parse().ok()));
        let found = (tenant.parse().ok()?, generation?);
        // `tenant_07` and `tenant_7_g1` are somebody else's.
        (self.account(found.0, found.1) == name).then_some(found)
    }

    /// The role whose rights every tenant's account has, under row-level security.
    pub fn tenant_role(&self) -> String {
        format!("{}tenant", self.roles_prefix)
    }

    /// The role whose rights the account of a worker for several tenants has.
    pub fn worker_role(&self) -> String {
        format!("{}worker", self.roles_prefix)
    }

    /// The role whose rights the supervisor's own account has.
    pub fn supervisor_role(&self) -> String {
        format!("{}supervisor", self.roles_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_tenant_and_generation_and_nobody_elses_name_does() {
        let names = Names::of(&CredentialsSection::default());
        let tenant = |id: i64| TenantId::try_from(id).unwrap();
        for (id, generation, name) in [(7, 1, "tenant_7"), (7, 2, "tenant_7_g2"), (71, 10, "tenant_71_g10")] {
            assert_eq!(names.account(tenant(id), generation), name);
            assert_eq!(names.parse(name), Some((tenant(id), generation)));
        }
        for foreign in
            ["tenant_", "tenant_07", "tenant_7_g1", "tenant_7_g0", "tenant_7_g02", "tenant_7_gx", "guest", "tenant_-7"]
        {
            assert_eq!(names.parse(foreign), None, "{foreign}");
        }
    }
}

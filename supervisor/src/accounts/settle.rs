//! Makes one tenant's accounts what they should be: reads what is recorded, compares, and writes what differs.

use std::collections::{BTreeMap, HashMap};

use etl_shared::TenantId;
use tokio::sync::watch;
use tokio_postgres::Client;

use super::{
    AccountOrder, Crews, Kind, MasterKey, Names,
    broker::{self, UserFacts},
    database::{Account, Claim, Ledger, RoleFacts, Roles, State, verifier},
};
use crate::{
    broker::{Management, ManagementError},
    causes::in_one_line,
};

/// What everything is done with.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) names: Names,
    pub(super) key: MasterKey,
    pub(super) management: Management,
    pub(super) client: Client,
    pub(super) roles: Roles,
    /// Tenants with a number of workers of their own.
    pub(super) crews: watch::Receiver<Crews>,
    /// Why no account may be made: tenants would not be kept apart. Those that there are can still be put right and taken away.
    pub(super) open: Option<String>,
}

/// What broker and database had when they were looked at as a whole, which is faster than a look at each account.
#[derive(Debug, Default)]
pub(super) struct Look {
    users: BTreeMap<String, UserFacts>,
    roles: HashMap<String, RoleFacts>,
}

/// What there is to be done for a tenant.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) tenant: TenantId,
    /// Whether it should have accounts; `None`: as it is.
    pub(super) wanted: Option<bool>,
    pub(super) order: Option<AccountOrder>,
    /// A next generation could not be made: what there is of it goes.
    pub(super) abandon: bool,
}

/// How a tenant's accounts are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) current: Option<u32>,
    pub(super) next: Option<u32>,
    /// Whether there ever were any.
    pub(super) recorded: bool,
}

/// What could not be done, in words.
#[derive(Debug)]
pub(super) enum Problem {
    /// It may go better later.
    Later(String),
    /// What was asked for makes no sense.
    Never(String),
}

impl Problem {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Later(text) | Self::Never(text) => text,
        }
    }

    pub(super) fn of_database(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Later(format!("database: {}", in_one_line(error)))
    }

    fn of_broker(error: &ManagementError) -> Self {
        Self::Later(in_one_line(error))
    }
}

impl Look {
    /// At every account of the names.
    pub(super) async fn at(site: &Site, names: &[String]) -> Result<Self, Problem> {
        let (users, roles) = tokio::join!(UserFacts::all(&site.management), Roles::facts(&site.client, names));
        Ok(Self {
            users: users.map_err(|error| Problem::of_broker(&error))?,
            roles: roles.map_err(|error| Problem::of_database(&error))?,
        })
    }

    async fn at_one(site: &Site, name: &str) -> Result<(UserFacts, Option<RoleFacts>), Problem> {
        let names = [name.to_owned()];
        let (user, roles) = tokio::join!(UserFacts::of(&site.management, name), Roles::facts(&site.client, &names));
        let mut roles = roles.map_err(|error| Problem::of_database(&error))?;
        Ok((user.map_err(|error| Problem::of_broker(&error))?, roles.remove(name)))
    }
}

impl Site {
    /// A role may have as many connections as its tenant's workers need.
    fn roles_of(&self, tenant: TenantId) -> Roles {
        let workers = self.crews.borrow().get(&tenant).copied();
        workers.map_or_else(|| self.roles.clone(), |workers| self.roles.clone().with_workers(workers))
    }

    /// Does the job. With `seen`, nothing is asked again that was seen a moment ago.
    pub(super) async fn settle(&self, job: &Job, seen: Option<(&[Account], &Look)>) -> Result<Standing, Problem> {
        let tenant = job.tenant;
        let ledger = Ledger(&self.client);
        let database = |error: tokio_postgres::Error| Problem::of_database(&error);
        let mut accounts = match seen {
            Some((accounts, _)) => accounts.to_vec(),
            None => ledger.of(tenant).await.map_err(database)?,
        };
        let look = seen.map(|(_, look)| look);
        let mut anew = false;
        match &job.order {
            Some(AccountOrder::Adopt { generation, .. }) => {
                ledger.adopt(tenant, *generation).await.map_err(database)?;
                accounts = ledger.of(tenant).await.map_err(database)?;
                if generation_of(&accounts, State::Current) != Some(*generation) {
                    return Err(Problem::Never(format!(
                        "generation {generation} of the tenant's accounts is not there"
                    )));
                }
            }
            Some(AccountOrder::Discard { generation, .. }) => {
                if generation_of(&accounts, State::Next) == Some(*generation) {
                    ledger.dismiss(tenant, *generation).await.map_err(database)?;
                    accounts = ledger.of(tenant).await.map_err(database)?;
                }
            }
            Some(AccountOrder::Repair { .. }) => anew = true,
            Some(AccountOrder::Prepare { .. }) | None => {}
        }
        // Another prefix than the one that they were made with: workers would look for them under another name.
        let misnamed = |account: &Account| account.name != self.names.account(tenant, account.generation);
        let mut changed = false;
        for account in &accounts {
            let serves = matches!(account.state, State::Current | State::Next);
            if serves
                && (job.wanted == Some(false) || misnamed(account) || (job.abandon && account.state == State::Next))
            {
                ledger.dismiss(tenant, account.generation).await.map_err(database)?;
                changed = true;
            }
        }
        if changed {
            accounts = ledger.of(tenant).await.map_err(database)?;
        }
        // What leaves does not wait for what comes.
        let mut problem = None;
        for account in accounts.iter().filter(|account| account.state == State::Leaving) {
            problem = problem.or(self.remove(tenant, account).await.err());
        }
        for account in &accounts {
            if matches!(account.state, State::Current | State::Next) {
                problem = problem.or(self.ensure(tenant, account, look, anew).await.err());
            }
        }
        if let Some(problem) = problem {
            return Err(problem);
        }
        let mut missing = Vec::new();
        if job.wanted == Some(true) && generation_of(&accounts, State::Current).is_none() {
            missing.push(State::Current);
        }
        let prepares = matches!(job.order, Some(AccountOrder::Prepare { .. })) && job.wanted != Some(false);
        if prepares && generation_of(&accounts, State::Next).is_none() {
            missing.push(State::Next);
        }
        for state in missing {
            let generation = accounts.iter().map(|account| account.generation).max().unwrap_or(0) + 1;
            let name = self.names.account(tenant, generation);
            accounts.push(self.make(tenant, Account { generation, name, state, made_with: None }, look).await?);
        }
        Ok(Standing {
            current: generation_of(&accounts, State::Current),
            next: generation_of(&accounts, State::Next),
            recorded: !accounts.is_empty(),
        })
    }

    /// Makes a new account, and records it before it is there. An account of this name that nobody has recorded here is somebody else's.
    async fn make(&self, tenant: TenantId, account: Account, look: Option<&Look>) -> Result<Account, Problem> {
        self.may_make()?;
        let foreign = |where_: &str| {
            Problem::Later(format!(
                "the {where_} has an account {} that this database does not know: it belongs to another installation, \
                 which must have another credentials.prefix, or is a left-over, which you can delete",
                account.name
            ))
        };
        let taken = match look {
            Some(look) => look.users.contains_key(&account.name),
            None => Look::at_one(self, &account.name).await?.0.exists(),
        };
        if taken {
            return Err(foreign("broker"));
        }
        let verifier = verifier(self.key.password(Kind::Database, tenant, account.generation)).await;
        let creation = self.roles_of(tenant).creation(&account.name, &verifier);
        match Ledger(&self.client).claim(tenant, &account, &creation).await {
            Ok(Claim::Made) => {}
            Ok(Claim::Foreign) => return Err(foreign("database server")),
            Ok(Claim::TooLate) => {
                return Err(Problem::Later("another supervisor is at work on the tenant's accounts".to_owned()));
            }
            Err(error) => return Err(Problem::of_database(&error)),
        }
        let password = self.key.password(Kind::Broker, tenant, account.generation);
        broker::ensure(&self.management, (&account.name, tenant), &UserFacts::default(), &password, true)
            .await
            .map_err(|error| Problem::of_broker(&error))?;
        let made = Ledger(&self.client).made(tenant, account.generation, &self.key.fingerprint()).await;
        made.map_err(|error| Problem::of_database(&error))?;
        Ok(account)
    }

    fn may_make(&self) -> Result<(), Problem> {
        self.open.clone().map_or(Ok(()), |why| Err(Problem::Later(why)))
    }

    async fn ensure(
        &self,
        tenant: TenantId,
        account: &Account,
        look: Option<&Look>,
        anew: bool,
    ) -> Result<(), Problem> {
        let name = &account.name;
        let database = |error: tokio_postgres::Error| Problem::of_database(&error);
        let key = self.key.fingerprint();
        let made = account.made_with.as_deref() == Some(&key);
        let (user, role) = match look {
            Some(look) if made => (look.users.get(name).cloned().unwrap_or_default(), look.roles.get(name).cloned()),
            _ => Look::at_one(self, name).await?,
        };
        let password = |kind| self.key.password(kind, tenant, account.generation);
        let statements = match &role {
            Some(role) if role.is_powerful() => {
                return Err(Problem::Later(format!(
                    "the role {name} may more than a tenant may (superuser, CREATEROLE, BYPASSRLS, …): drop it"
                )));
            }
            Some(role) if made && !anew => self.roles_of(tenant).repair(name, role, None),
            Some(role) => self.roles_of(tenant).repair(name, role, Some(&verifier(password(Kind::Database)).await)),
            None => {
                self.may_make()?;
                self.roles_of(tenant).creation(name, &verifier(password(Kind::Database)).await)
            }
        };
        if !statements.is_empty() {
            self.client.batch_execute(&statements).await.map_err(database)?;
        }
        broker::ensure(&self.management, (name, tenant), &user, &password(Kind::Broker), anew)
            .await
            .map_err(|error| Problem::of_broker(&error))?;
        if !made {
            Ledger(&self.client).made(tenant, account.generation, &key).await.map_err(database)?;
        }
        Ok(())
    }

    /// First both sides, whatever the other one says; then the record.
    async fn remove(&self, tenant: TenantId, account: &Account) -> Result<(), Problem> {
        let (user, role) =
            tokio::join!(self.management.delete_user(&account.name), self.roles.remove(&self.client, &account.name));
        role.map_err(|error| Problem::of_database(&error))?;
        user.map_err(|error| Problem::of_broker(&error))?;
        let retired = Ledger(&self.client).retire(tenant, account.generation).await;
        retired.map_err(|error| Problem::of_database(&error))
    }
}

pub(super) fn generation_of(accounts: &[Account], state: State) -> Option<u32> {
    accounts.iter().find(|account| account.state == state).map(|account| account.generation)
}

//! The API's tokens.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use etl_shared::{
    TenantId,
    api::{CreateToken, CreatedToken, Role, TokenDescription},
};
use miette::{IntoDiagnostic, Report, miette};

use super::{Place, output};

const PATH: &str = "/api/v1/admin/tokens";

/// `token`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token; it is shown this once
    Create {
        /// A name for people
        #[arg(long)]
        name: String,
        /// What its bearer may do
        #[arg(long)]
        role: RoleName,
        /// For which tenant; every role but admin needs one
        #[arg(long, value_name = "NUMBER")]
        tenant: Option<TenantId>,
    },
    /// Show all tokens, without their secrets
    List,
    /// Make a token useless from now on
    Revoke {
        /// The token's id, as `list` shows it
        id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Everything, for every tenant
    Admin,
    /// Reads and controls its own tenant
    Operator,
    /// Reads its own tenant
    Viewer,
}

/// Carries out what was asked for.
pub(super) async fn token(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let client = place.client()?;
    match &arguments.what {
        What::Create { name, role, tenant } => {
            let role = match role {
                RoleName::Admin => Role::Admin,
                RoleName::Operator => Role::Operator,
                RoleName::Viewer => Role::Viewer,
            };
            let request = CreateToken { name: name.clone(), role, tenant_id: *tenant };
            let created: CreatedToken = client.post(PATH, &request).await.into_diagnostic()?;
            output::remark(&format!("Token {} is made. This is the only time it is shown:", created.description.id));
            output::line(&created.token)?;
        }
        What::List => {
            let tokens: Vec<TokenDescription> = client.get(PATH).await.into_diagnostic()?;
            for token in &tokens {
                output::line(&line(token))?;
            }
            if tokens.is_empty() {
                output::remark("There are no tokens; `etl-supervisor token create` makes one.");
            }
        }
        What::Revoke { id } => {
            // Anything else would be another path.
            if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(miette!("{id:?} is not a token's id: `etl-supervisor token list` shows them"));
            }
            client.delete(&format!("{PATH}/{id}")).await.into_diagnostic()?;
            output::line(&format!("token {id} revoked"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(token: &TokenDescription) -> String {
    let role = match token.role {
        Role::Admin => "admin",
        Role::Operator => "operator",
        Role::Viewer => "viewer",
    };
    let tenant = token.tenant_id.map_or_else(|| "all tenants".to_owned(), |tenant| format!("tenant {tenant}"));
    format!("{}  {role:<8}  {tenant:<12}  {}  {}", token.id, token.created_at, token.name)
}

//! `carillon key new`: a key for the server API, shown once, and what the configuration keeps of it.

use super::{Exit, Failure, print};
use crate::{auth::NewApiKey, config::Scope, protocol::Tenant};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a new key, its hash, and the lines for the configuration. The key is kept nowhere.
    New(New),
}

#[derive(Args, Debug)]
pub(super) struct New {
    /// What it may do: publish, read, admin, tickets; and two that are no tenant's: backup copies everything, cluster changes members.
    #[arg(long, value_delimiter = ',', default_value = "publish,read", value_parser = scope)]
    scopes: Vec<Scope>,
    /// Whose data it may touch.
    #[arg(long, default_value = "default", value_parser = |tenant: &str| Tenant::new(tenant))]
    tenant: Tenant,
    /// A name for logs [default: key- and the first digits of the hash].
    #[arg(long, value_parser = |id: &str| Tenant::new(id).map(|id| id.to_string()).map_err(|_| "an id is 1 to 64 characters of A-Z a-z 0-9 _ . @ + -"))]
    id: Option<String>,
}

fn scope(name: &str) -> Result<Scope, String> {
    Scope::parse(name).ok_or_else(|| "the scopes are publish, read, admin, tickets, backup and cluster".to_owned())
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::New(New { scopes, tenant, id }) = command;
    let key = NewApiKey::generate()
        .ok_or_else(|| Failure::new(Exit::Internal, "the system has no random bytes to give; try again"))?;
    let hash = key.hash_hex();
    let id = id.clone().unwrap_or_else(|| format!("key-{}", hash.get(..8).unwrap_or_default()));
    let mut scopes = scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let scopes = scopes.iter().map(|scope| format!("{:?}", scope.as_str())).collect::<Vec<_>>().join(", ");
    print(&format!(
        "key:  {}\nhash: {hash}\n\n\
         # The key is shown this once; the configuration needs only its hash:\n\
         [[auth.api_keys]]\nid = \"{id}\"\nhash = \"{hash}\"\nscopes = [{scopes}]\ntenant = \"{tenant}\"",
        key.secret()
    ));
    Ok(())
}

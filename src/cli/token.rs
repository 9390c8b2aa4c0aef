//! `carillon token`: signs a token with the key that the server would verify it with.

use super::{Exit, Failure, duration::parse_seconds, print, serve};
use crate::{
    auth::{Grant, can_sign, keys_in_force, sign},
    config::{Config, JwtKey, limits::NAME_CHARS_MAX},
    protocol::{Tenant, Timestamp, UserId},
};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Who: the id that the app knows the user by.
    #[arg(long, value_name = "ID", value_parser = |id: &str| UserId::new(id))]
    user: UserId,
    /// Shown to others in presence.
    #[arg(long, default_value = "", value_parser = name)]
    username: String,
    /// Shown to others in presence.
    #[arg(long, default_value = "", value_parser = name)]
    first_name: String,
    /// Shown to others in presence.
    #[arg(long, default_value = "", value_parser = name)]
    last_name: String,
    /// May open the admin endpoints.
    #[arg(long)]
    staff: bool,
    /// Whose user it is [default: the key's only tenant, else "default"].
    #[arg(long, value_parser = |tenant: &str| Tenant::new(tenant))]
    tenant: Option<Tenant>,
    /// How long it is good for: 90s, 15m, 1h, 7d.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_seconds)]
    ttl: u64,
    /// The id of the key to sign with [default: the first with a secret that may sign for the tenant].
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// The server's settings, a TOML file; the environment counts too.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For a server that runs with --dev.
    #[arg(long)]
    dev: bool,
}

fn name(text: &str) -> Result<String, String> {
    if text.chars().count() <= NAME_CHARS_MAX {
        Ok(text.to_owned())
    } else {
        Err(format!("a name has at most {NAME_CHARS_MAX} characters"))
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = serve::Arguments { config: arguments.config.clone(), dev: arguments.dev, ..Default::default() };
    let config = settings.load()?;
    let key = choose_key(arguments, &config)?;
    let token = sign(&key, &grant(arguments, &key)?).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    print(&token);
    Ok(())
}

fn choose_key(arguments: &Arguments, config: &Config) -> Result<JwtKey, Failure> {
    let keys = keys_in_force(&config.auth, config.server.dev);
    let ids = keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>().join(", ");
    let fits = |key: &JwtKey| match (&arguments.key, &arguments.tenant) {
        (Some(id), _) => key.id == *id,
        (None, Some(tenant)) => can_sign(key) && key.tenants.contains(tenant),
        (None, None) => can_sign(key),
    };
    if arguments.key.is_none() && !keys.iter().any(can_sign) {
        let message = format!(
            "auth.jwt has only public keys and key sets ({ids}), which verify and cannot sign: the private key is with \
             the app or identity provider that signs. Have the token made there; or, to try things out, add an entry \
             with a secret"
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    keys.into_iter().find(fits).ok_or_else(|| {
        let wanted = match (&arguments.key, &arguments.tenant) {
            (Some(id), _) => format!("has the id {id:?}"),
            (None, Some(tenant)) => format!("may sign for tenant {tenant}"),
            (None, None) => "has a secret".into(),
        };
        Failure::new(Exit::Usage, format!("no key in auth.jwt {wanted}; there are: {ids}"))
    })
}

fn grant(arguments: &Arguments, key: &JwtKey) -> Result<Grant, Failure> {
    let tenant = match (&arguments.tenant, key.tenants.as_slice()) {
        (Some(tenant), _) => tenant.clone(),
        (None, [only]) => only.clone(),
        (None, _) => Tenant::default(),
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|_| Failure::new(Exit::Internal, "the clock stands before 1970: set it"))?;
    Ok(Grant {
        user: arguments.user.clone(),
        tenant,
        username: arguments.username.clone(),
        first_name: arguments.first_name.clone(),
        last_name: arguments.last_name.clone(),
        is_staff: arguments.staff,
        issuer: key.issuer.clone(),
        audience: key.audience.clone(),
        issued_at: Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX)),
        ttl_seconds: arguments.ttl,
    })
}

//! Who calls, and what they may do.

pub mod permission;

use aws_lc_rs::digest;

use super::ids::{CallerName, TenantId};

/// A set of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A back end that serves the customer: everything about verifications.
    Frontend,
    /// An agent's desktop: everything but checking a code.
    Agent,
    /// The customer's own session: reading, checking, "not me".
    Customer,
    /// A service that executes what was approved; later versions have calls for it.
    Executor,
    /// A supervisor's desktop: what an agent may do.
    Supervisor,
    /// Reads reports and events; later versions have calls for it.
    Auditor,
    /// Administers subjects; later versions have calls for it.
    Admin,
}

impl Role {
    /// All roles, in the order of the settings' documentation.
    pub const ALL: [Self; 7] = [
        Self::Frontend,
        Self::Agent,
        Self::Customer,
        Self::Executor,
        Self::Supervisor,
        Self::Auditor,
        Self::Admin,
    ];

    /// The name used in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Agent => "agent",
            Self::Customer => "customer",
            Self::Executor => "executor",
            Self::Supervisor => "supervisor",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// The role with this name in the settings.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// The roles of a caller. Its permissions are those of all its roles together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// A caller's roles, as the settings list them.
    #[must_use]
    pub fn new(roles: Vec<Role>) -> Self {
        Self(roles)
    }

    /// Each role, in the order of the settings.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.0.iter()
    }

    /// Does the caller have this role?
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Does the caller have at least one of these roles?
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }
}

/// An authenticated caller: a back end or front end that proved itself by its API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name in the settings: `[callers.NAME]`.
    pub name: CallerName,
    /// Its tenant, from the settings and never from a request.
    pub tenant: TenantId,
    /// Its roles, which say what it may do.
    pub roles: Roles,
}

/// SHA-256 of an API key: all that is known of it here. Keys are long and random, so a plain hash is enough.
#[must_use]
pub fn api_key_hash(key: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    hash
}

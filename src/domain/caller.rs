//! Callers and their roles.

pub mod permission;

use aws_lc_rs::digest;

use super::ids::{CallerName, TenantId};

/// A named set of permissions; the permission table says which methods each role may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A back end that serves the customer: may call everything about verifications.
    Frontend,
    /// An agent's desktop: may call everything but `CheckCode`.
    Agent,
    /// The customer's own session: may read, check and cancel, but not start or resend.
    Customer,
    /// A service that executes what was approved. This version has no method for it.
    Executor,
    /// A supervisor's desktop: may call what an agent may call.
    Supervisor,
    /// Reads reports and events. This version has no method for it.
    Auditor,
    /// The operator's staff: reads and unlocks subjects, and starts nothing.
    Admin,
}

impl Role {
    /// All roles, in the order in which the settings document them.
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

    /// Whether the caller has this role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether the caller has at least one of these roles.
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

impl Caller {
    /// Whether it is an agent, who vouches for the customers of his starts. A front end, even if it is an agent's too,
    /// does not.
    #[must_use]
    pub fn is_agent(&self) -> bool {
        self.roles.has(Role::Agent) && !self.roles.has(Role::Frontend)
    }
}

/// SHA-256 of an API key, the only form in which the service keeps it. Keys are long and random, so
/// a plain hash is enough.
#[must_use]
pub fn api_key_hash(key: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    hash
}

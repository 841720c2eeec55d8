//! Who calls, and what they may do.

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
    /// A service that executes what was approved.
    Executor,
    /// A supervisor's desktop.
    Supervisor,
    /// Reads reports.
    Auditor,
    /// Administers.
    Admin,
}

impl Role {
    /// All of them.
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

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// The roles of a caller; its permissions are the union.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// These roles.
    #[must_use]
    pub fn new(roles: Vec<Role>) -> Self {
        Self(roles)
    }

    /// Is this role among them?
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Is one of these among them?
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name in the settings.
    pub name: CallerName,
    /// Its tenant; never taken from a request.
    pub tenant: TenantId,
    /// What it may do.
    pub roles: Roles,
}

/// SHA-256 of an API key: all that is known of it here. Keys are long and random, so a plain hash is enough.
#[must_use]
pub fn api_key_hash(key: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    hash
}

//! The permission table: every method that this version serves, and who may call it.

use super::{Role, Roles};

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A caller that has at least one of these roles.
    Roles(&'static [Role]),
    /// Everybody, without a credential, in the development profile; nobody in production.
    Development,
}

/// One row of the permission table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Service and method as gRPC spells them, which is also the name in metrics and logs.
    pub name: &'static str,
    /// The callers that may call it; everybody else is denied.
    pub access: Access,
}

impl Method {
    const fn by(roles: &'static [Role], name: &'static str) -> Self {
        let access = Access::Roles(roles);
        Self { name, access }
    }

    const fn development(name: &'static str) -> Self {
        let access = Access::Development;
        Self { name, access }
    }

    /// A caller needs one of these roles. Empty for a method that is open in development only.
    #[must_use]
    pub const fn roles(&self) -> &'static [Role] {
        match self.access {
            Access::Roles(roles) => roles,
            Access::Development => &[],
        }
    }
}

const STARTS: &[Role] = &[Role::Frontend, Role::Agent, Role::Supervisor];
const READS: &[Role] = &[
    Role::Frontend,
    Role::Agent,
    Role::Supervisor,
    Role::Customer,
];
/// No agent role: whoever talks to the customer must not be able to approve
/// in the customer's place.
const CHECKS: &[Role] = &[Role::Frontend, Role::Customer];
const ADMINISTERS: &[Role] = &[Role::Admin];
const AUDITS: &[Role] = &[Role::Auditor, Role::Admin];

/// The permission table. A method without a row is denied to everybody, on every listener that
/// asks for a credential.
pub const METHODS: &[Method] = &[
    Method::by(
        STARTS,
        "countersign.v1.VerificationService/StartVerification",
    ),
    Method::by(READS, "countersign.v1.VerificationService/GetVerification"),
    Method::by(
        READS,
        "countersign.v1.VerificationService/WatchVerification",
    ),
    Method::by(STARTS, "countersign.v1.VerificationService/ResendCode"),
    Method::by(CHECKS, "countersign.v1.VerificationService/CheckCode"),
    Method::by(
        READS,
        "countersign.v1.VerificationService/CancelVerification",
    ),
    Method::by(ADMINISTERS, "countersign.v1.AdminService/GetSubject"),
    Method::by(ADMINISTERS, "countersign.v1.AdminService/UnlockSubject"),
    Method::by(AUDITS, "countersign.v1.AdminService/ListEvents"),
    Method::development("grpc.health.v1.Health/Check"),
    Method::development("grpc.health.v1.Health/Watch"),
    Method::development("grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
    Method::development("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
];

/// Services of our protos that external processes serve: we are their client, so they have no rows.
pub const SERVED_ELSEWHERE: &[&str] = &[
    "countersign.v1.SenderService",
    "countersign.v1.SendHookService",
];

/// The place in [`METHODS`] of a request's path, `/service/method`; `None` for a method without a row.
#[must_use]
pub fn place(path: &str) -> Option<usize> {
    let name = path.strip_prefix('/')?;
    METHODS.iter().position(|method| method.name == name)
}

/// Whether a caller with these roles may call this method, given as `service/method`.
#[must_use]
pub fn allows(roles: &Roles, name: &str) -> bool {
    METHODS
        .iter()
        .any(|method| method.name == name && roles.has_any(method.roles()))
}

/// Whether a caller with these roles may call any method of this version.
#[must_use]
pub fn allows_any(roles: &Roles) -> bool {
    METHODS.iter().any(|method| roles.has_any(method.roles()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_row_has_no_place() {
        for path in [
            "",
            "/",
            "countersign.v1.VerificationService/CheckCode",
            "//countersign.v1.VerificationService/CheckCode",
            "/countersign.v1.VerificationService/CheckCode/",
            "/countersign.v1.VerificationService/checkcode",
            "/countersign.v1.SenderService/SendMessage",
        ] {
            assert_eq!(place(path), None, "{path:?}");
        }
        let path = "/countersign.v1.VerificationService/CheckCode";
        let found = place(path).map(|at| METHODS[at].name);
        assert_eq!(found, path.strip_prefix('/'));
    }

    #[test]
    fn no_method_has_two_rows_or_a_row_that_no_role_fits() {
        for (at, method) in METHODS.iter().enumerate() {
            assert!(
                METHODS[..at].iter().all(|other| other.name != method.name),
                "{}",
                method.name
            );
            assert_ne!(method.access, Access::Roles(&[]), "{}", method.name);
        }
    }

    #[test]
    fn desk_02_no_role_of_a_desk_checks_a_code() {
        let check = METHODS[place("/countersign.v1.VerificationService/CheckCode").unwrap()];
        for role in [Role::Agent, Role::Supervisor] {
            assert!(!check.roles().contains(&role));
        }
    }

    #[test]
    fn roles_of_later_versions_allow_nothing_yet() {
        let allows = |role| allows_any(&Roles::new(vec![role]));
        let idle: Vec<Role> = Role::ALL
            .into_iter()
            .filter(|role| !allows(*role))
            .collect();
        assert_eq!(idle, [Role::Executor]);
    }
}

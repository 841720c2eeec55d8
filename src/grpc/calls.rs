//! Every call that there is, and the roles that may make it.

use crate::domain::caller::Role;

/// Every call that there is, with the roles that may make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `StartVerification`.
    Start,
    /// `GetVerification`.
    Get,
    /// `WatchVerification`.
    Watch,
    /// `ResendCode`.
    Resend,
    /// `CheckCode`.
    Check,
    /// `CancelVerification`.
    Cancel,
}

impl Call {
    /// The call of a path; `None` for what this service does not have.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/countersign.v1.VerificationService/")? {
            "StartVerification" => Some(Self::Start),
            "GetVerification" => Some(Self::Get),
            "WatchVerification" => Some(Self::Watch),
            "ResendCode" => Some(Self::Resend),
            "CheckCode" => Some(Self::Check),
            "CancelVerification" => Some(Self::Cancel),
            _ => None,
        }
    }

    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Get => "get",
            Self::Watch => "watch",
            Self::Resend => "resend",
            Self::Check => "check",
            Self::Cancel => "cancel",
        }
    }

    /// The roles that may make it. An agent never checks a code.
    #[must_use]
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Start | Self::Resend => &[Role::Frontend, Role::Agent, Role::Supervisor],
            Self::Get | Self::Watch | Self::Cancel => &[
                Role::Frontend,
                Role::Agent,
                Role::Supervisor,
                Role::Customer,
            ],
            Self::Check => &[Role::Frontend, Role::Customer],
        }
    }
}

//! Which life of the store a record belongs to.

/// Changes whenever the store may have lost or repeated commits; a live verification belongs to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(pub [u8; 16]);

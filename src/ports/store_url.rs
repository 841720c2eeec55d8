//! The setting that names a store.

use std::path::PathBuf;

use crate::domain::ids::Invalid;

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `embedded:`, in the memory of this process; nothing outlives it.
    Memory,
    /// `embedded:PATH`, in one file, for one process.
    File(PathBuf),
}

impl StoreUrl {
    /// Reads the setting.
    ///
    /// # Errors
    /// Says which forms there are.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const REDIS: [&str; 6] = ["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];
        match text.split_once(':') {
            Some(("embedded", "")) => Ok(Self::Memory),
            Some(("embedded", path)) => Ok(Self::File(path.into())),
            Some((scheme, _)) if REDIS.contains(&scheme) => {
                Err(Invalid("must be embedded: or embedded:PATH; Redis is not built yet"))
            }
            Some(_) | None => Err(Invalid("must be embedded: (memory) or embedded:PATH (one file)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_memory_or_a_file() {
        assert_eq!(StoreUrl::parse("embedded:"), Ok(StoreUrl::Memory));
        assert_eq!(StoreUrl::parse("embedded:a/b:c.redb"), Ok(StoreUrl::File("a/b:c.redb".into())));
    }

    #[test]
    fn other_stores_are_refused_by_name() {
        for bad in ["", "embedded", "Embedded:", "postgres://host", "/var/lib/store"] {
            assert!(StoreUrl::parse(bad).is_err(), "{bad:?}");
        }
        let refused = StoreUrl::parse("rediss-cluster://host").unwrap_err();
        assert!(refused.0.ends_with("Redis is not built yet"), "{refused}");
    }
}

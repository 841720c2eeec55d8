//! The same rooms in every layer: names of folders and of files, and how many rooms the domain has.

use std::collections::BTreeMap;

use super::source::Source;

/// Files of the domain that every room uses.
const SHARED: &[&str] = &["ids", "time", "refusal"];
/// With more rooms than this, nobody finds the right one without searching.
const ROOMS_MAX: usize = 14;
/// Places whose folders have the names of the domain's rooms.
const PLACES: &[&str] = &["src/domain/decide", "src/service", "src/grpc", "tests/it"];
/// Folders of these places that are not rooms of the domain, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "src/grpc/entrance",
        "counts, authenticates and admits a call before any room sees it",
    ),
    (
        "tests/it/harness",
        "starts the service for all tests, and stands in for its neighbours",
    ),
    (
        "tests/it/pages",
        "the pages are tested as customers see them; a page serves several rooms",
    ),
];

/// The rooms of the domain: its files and folders, but not the shared files and not the commands.
pub fn rooms(all: &[Source]) -> Vec<&str> {
    let mut names: Vec<_> = all
        .iter()
        .filter_map(|source| source.path.strip_prefix("src/domain/"))
        .map(|inner| inner.split(['/', '.']).next().unwrap_or_default())
        .filter(|name| !SHARED.contains(name) && *name != "decide")
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The domain has few enough rooms to remember them all.
pub fn few_rooms(all: &[Source]) -> Vec<String> {
    let rooms = rooms(all);
    if rooms.len() <= ROOMS_MAX {
        return Vec::new();
    }
    vec![format!(
        "src/domain: {} rooms, and {ROOMS_MAX} are the most: {}; place the new file in one of them",
        rooms.len(),
        rooms.join(", ")
    )]
}

/// Every folder of these places has the name of a room of the domain.
pub fn folder_names(all: &[Source]) -> Vec<String> {
    let rooms = rooms(all);
    let mut wrong: Vec<_> = all
        .iter()
        .filter_map(|source| folder_of_a_place(&source.path))
        .filter(|(folder, name)| {
            let excepted = EXCEPTIONS.iter().any(|(exception, _)| exception == folder);
            !excepted && !rooms.contains(name)
        })
        .map(|(folder, name)| {
            format!(
                "{folder}: the domain has no room `{name}`; name it after one of {}, \
                 or add it to the exceptions of tests/tidy/rooms.rs with its reason",
                rooms.join(", ")
            )
        })
        .collect();
    wrong.dedup();
    wrong
}

/// The folder directly in one of the places, and its name; `None` for a file directly in the place.
fn folder_of_a_place(path: &str) -> Option<(&str, &str)> {
    let within = |place: &&str| {
        path.strip_prefix(*place)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let place = PLACES.iter().find(|place| within(place))?;
    let (name, _) = path[place.len() + 1..].split_once('/')?;
    Some((&path[..place.len() + 1 + name.len()], name))
}

/// The room of a file: the folder in its layer. The commands of a room count as a separate room (`decide/X/y` may
/// repeat `X/y`), and so does each engine of the store (the engines may repeat each other).
fn room_of(path: &str) -> Option<String> {
    let depth = if path.starts_with("src/domain/decide/") {
        4
    } else {
        3
    };
    let path = path.strip_suffix(".rs")?;
    let parts: Vec<_> = path.split('/').collect();
    (parts.len() >= depth).then(|| parts[..depth].join("/"))
}

/// No two files of one room have the same base name, so that a file is found by its name in whatever folder of the room
/// it is.
pub fn base_names(sources: &[Source]) -> Vec<String> {
    let mut seen: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for source in sources {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        if let Some(room) = room_of(&source.path) {
            seen.entry((room, name)).or_default().push(&source.path);
        }
    }
    seen.values()
        .filter(|paths| paths.len() > 1)
        .map(|paths| {
            format!(
                "{}: one name for two things in one room; name each after what it is",
                paths.join(", ")
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<Source> {
        paths.iter().map(|path| Source::new(path, "")).collect()
    }

    #[test]
    fn a_fifteenth_room_of_the_domain_is_refused() {
        let mut paths: Vec<_> = (0..14)
            .map(|n| format!("src/domain/room{n}.rs"))
            .chain(
                ["ids", "time", "refusal", "decide", "decide/room1/start"]
                    .map(|name| format!("src/domain/{name}.rs")),
            )
            .collect();
        let check = |paths: &[String]| {
            few_rooms(&files(
                &paths.iter().map(String::as_str).collect::<Vec<_>>(),
            ))
        };
        assert_eq!(check(&paths), Vec::<String>::new());
        paths.push("src/domain/util/text.rs".to_owned());
        assert_eq!(check(&paths).len(), 1);
    }

    #[test]
    fn a_folder_that_bears_no_name_of_a_room_is_refused() {
        let domain = ["src/domain/delivery.rs", "src/domain/record/side.rs"];
        let with = |path| folder_names(&files(&[domain[0], domain[1], path]));
        for path in [
            "src/service/helpers/x.rs",
            "src/grpc/verify.rs/x.rs",
            "src/domain/decide/plan/x.rs",
            "tests/it/misc/x.rs",
        ] {
            assert_eq!(with(path).len(), 1, "{path}");
        }
        for path in [
            "src/service/delivery/x.rs",
            "src/service/record/vault/x.rs",
            "src/service/failure.rs",
            "src/grpc/entrance/x.rs",
            "src/sender/smtp/x.rs",
            "src/domain/decide/delivery/x.rs",
            "tests/it/harness/x.rs",
        ] {
            assert_eq!(with(path), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn one_base_name_twice_in_a_room_is_refused() {
        for pair in [
            [
                "src/service/record/side.rs",
                "src/service/record/vault/side.rs",
            ],
            ["src/service/record.rs", "src/service/record/old/record.rs"],
            [
                "src/domain/decide/delivery/tick.rs",
                "src/domain/decide/delivery/x/tick.rs",
            ],
            ["tests/it/record/kills.rs", "tests/it/record/redis/kills.rs"],
        ] {
            assert_eq!(base_names(&files(&pair)).len(), 1, "{pair:?}");
        }
        for pair in [
            [
                "src/domain/delivery/plan.rs",
                "src/domain/decide/delivery/plan.rs",
            ],
            ["src/store/embedded/quotas.rs", "src/store/redis/quotas.rs"],
            [
                "src/domain/delivery/receipt.rs",
                "src/service/delivery/receipt.rs",
            ],
            [
                "src/domain/verification/rules.rs",
                "src/domain/recipient/rules.rs",
            ],
        ] {
            assert_eq!(base_names(&files(&pair)), Vec::<String>::new(), "{pair:?}");
        }
    }
}

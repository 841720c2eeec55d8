//! No cycle between files.
//!
//! An approximation: a file points to the files that its paths name, before its tests. A file and the files below
//! it may name each other, because a parent declares its children and hands their items on.

use std::collections::BTreeMap;

use super::source::{Source, code, module, paths, production};

type Graph = BTreeMap<String, Vec<String>>;

/// The files that a file names, as module paths.
fn named(source: &Source, modules: &[String]) -> Vec<String> {
    let here = module(&source.path);
    let absolute = |path: Vec<String>| -> Option<Vec<String>> {
        let climbs = path.iter().take_while(|name| *name == "super").count();
        match path[0].as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some(
                here.iter()
                    .map(|name| (*name).to_owned())
                    .chain(path[1..].iter().cloned())
                    .collect(),
            ),
            "super" if climbs <= here.len() => {
                let base = here[..here.len() - climbs]
                    .iter()
                    .map(|name| (*name).to_owned());
                Some(base.chain(path[climbs..].iter().cloned()).collect())
            }
            _ => None,
        }
    };
    let longest = |path: Vec<String>| {
        (1..=path.len())
            .rev()
            .map(|len| path[..len].join("::"))
            .find(|name| modules.contains(name))
    };
    let here = here.join("::");
    let related = |other: &String| below(&here, other) || below(other, &here);
    let mut found: Vec<_> = paths(&code(&production(&source.text)))
        .into_iter()
        .filter_map(absolute)
        .filter_map(longest)
        .collect();
    found.retain(|other| !related(other));
    found.sort();
    found.dedup();
    found
}

/// Is `inner` the same as `outer`, or below it?
fn below(outer: &str, inner: &str) -> bool {
    inner == outer
        || inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with("::"))
}

/// The first cycle that is found, as a chain of modules.
pub fn cycles(sources: &[Source]) -> Vec<String> {
    let name = |source: &Source| module(&source.path).join("::");
    let modules: Vec<_> = sources
        .iter()
        .map(name)
        .filter(|name| !name.is_empty())
        .collect();
    let graph: Graph = sources
        .iter()
        .map(|source| (name(source), named(source, &modules)))
        .collect();
    let mut done = Vec::new();
    graph
        .keys()
        .filter_map(|start| walk(start, &graph, &mut Vec::new(), &mut done))
        .take(1)
        .collect()
}

fn walk(
    node: &str,
    graph: &Graph,
    road: &mut Vec<String>,
    done: &mut Vec<String>,
) -> Option<String> {
    if let Some(at) = road.iter().position(|seen| seen == node) {
        let chain = road[at..].join(" -> ");
        return Some(format!(
            "{chain} -> {node}: move what both need into a file of its own"
        ));
    }
    if done.iter().any(|seen| seen == node) {
        return None;
    }
    road.push(node.to_owned());
    let found = graph
        .get(node)
        .into_iter()
        .flatten()
        .find_map(|next| walk(next, graph, road, done));
    road.pop();
    done.push(node.to_owned());
    found
}

#[test]
fn two_files_that_name_each_other_are_refused() {
    let one = Source::new("src/domain/a.rs", "use super::b::B;");
    let other = |text| Source::new("src/domain/b.rs", text);
    assert_eq!(
        cycles(&[one.clone(), other("use crate::domain::{a::A, c};")]).len(),
        1
    );
    assert_eq!(
        cycles(&[one.clone(), other("use std::fmt;")]),
        Vec::<String>::new()
    );
    assert_eq!(
        cycles(&[
            one,
            other("#[cfg(test)]\nmod tests {\nuse super::super::a::A;\n}")
        ]),
        Vec::<String>::new()
    );
}

#[test]
fn a_longer_cycle_is_refused_and_a_parent_with_its_child_is_not() {
    let file = |path, text| Source::new(path, text);
    let ring = [
        file("src/domain/a.rs", "fn f(x: super::b::B) {}"),
        file("src/domain/b.rs", "use super::c::C;"),
        file("src/domain/c.rs", "use crate::domain::a;"),
    ];
    assert_eq!(cycles(&ring).len(), 1);
    let family = [
        file("src/domain/a.rs", "mod b;\npub use b::B;\nuse self::b::C;"),
        file("src/domain/a/b.rs", "use super::A;"),
    ];
    assert_eq!(cycles(&family), Vec::<String>::new());
}

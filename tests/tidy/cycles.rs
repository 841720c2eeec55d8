//! Finds cycles between files and between folders.
//!
//! An approximation: a file refers to the files that its paths name outside of its tests. A file and the files below it
//! may refer to each other, because a parent declares its children and re-exports their items.

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

/// Whether `inner` is the same module as `outer`, or below it.
fn below(outer: &str, inner: &str) -> bool {
    inner == outer
        || inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with("::"))
}

/// The first cycle of files that is found, as a chain of modules.
pub fn cycles(sources: &[Source]) -> Vec<String> {
    let modules = names(sources);
    let graph: Graph = sources
        .iter()
        .map(|source| (name(source), named(source, &modules)))
        .collect();
    first_circle(&graph)
        .map(|circle| {
            format!(
                "{}: move what both need into a file of its own",
                circle.join(" -> ")
            )
        })
        .into_iter()
        .collect()
}

/// The first cycle of each folder: its children, each with everything below it, refer to each other in a ring.
pub fn folders(sources: &[Source]) -> Vec<String> {
    let modules = names(sources);
    let mut levels: BTreeMap<String, Level> = BTreeMap::new();
    for source in sources {
        let here = name(source);
        for other in named(source, &modules) {
            let (level, from, to) = part(&here, &other);
            let edges = levels.entry(level).or_default();
            edges
                .entry((from, to))
                .or_insert_with(|| format!("{here} names {other}"));
        }
    }
    let told = levels
        .iter()
        .filter_map(|(level, edges)| ring(edges).map(|ring| (level, ring)));
    told.map(|(level, ring)| {
        format!("{level}: folders in a circle: {ring}; move what both need below both")
    })
    .collect()
}

/// Which child of a folder refers to which, with the first file that does.
type Level = BTreeMap<(String, String), String>;

/// The folder where the paths of two modules part, and the child of it that contains each.
fn part(one: &str, other: &str) -> (String, String, String) {
    let (one, other): (Vec<_>, Vec<_>) = (one.split("::").collect(), other.split("::").collect());
    let common = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let level = ["src"].iter().chain(&one[..common]).copied();
    (
        level.collect::<Vec<_>>().join("/"),
        one[common].to_owned(),
        other[common].to_owned(),
    )
}

fn ring(edges: &Level) -> Option<String> {
    let mut graph = Graph::new();
    for (from, to) in edges.keys() {
        graph.entry(from.clone()).or_default().push(to.clone());
    }
    let circle = first_circle(&graph)?;
    let steps = circle.windows(2);
    let why = steps.map(|pair| edges[&(pair[0].clone(), pair[1].clone())].as_str());
    Some(why.collect::<Vec<_>>().join(", "))
}

fn name(source: &Source) -> String {
    module(&source.path).join("::")
}

fn names(sources: &[Source]) -> Vec<String> {
    let names = sources.iter().map(name);
    names.filter(|name| !name.is_empty()).collect()
}

fn first_circle(graph: &Graph) -> Option<Vec<String>> {
    let mut done = Vec::new();
    graph
        .keys()
        .find_map(|start| walk(start, graph, &mut Vec::new(), &mut done))
}

fn walk(
    node: &str,
    graph: &Graph,
    chain: &mut Vec<String>,
    done: &mut Vec<String>,
) -> Option<Vec<String>> {
    if let Some(at) = chain.iter().position(|seen| seen == node) {
        let mut circle = chain[at..].to_vec();
        circle.push(node.to_owned());
        return Some(circle);
    }
    if done.iter().any(|seen| seen == node) {
        return None;
    }
    chain.push(node.to_owned());
    let found = graph
        .get(node)
        .into_iter()
        .flatten()
        .find_map(|next| walk(next, graph, chain, done));
    chain.pop();
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

#[test]
fn folders_that_name_each_other_are_refused() {
    let file = |path, text| Source::new(path, text);
    let ring = [
        file(
            "src/service/record/vault.rs",
            "use crate::service::limit::Draw;",
        ),
        file(
            "src/service/limit/charges.rs",
            "use super::super::record::side;",
        ),
        file("src/service/record/side.rs", ""),
        file("src/service/limit.rs", ""),
    ];
    assert_eq!(cycles(&ring), Vec::<String>::new(), "no file is in a ring");
    let told = folders(&ring);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("src/service: "), "{told:?}");
    assert_eq!(folders(&ring[1..]), Vec::<String>::new());
}

#[test]
fn layers_that_name_each_other_are_refused_and_a_folder_may_name_its_parent() {
    let file = |path, text| Source::new(path, text);
    let ring = [
        file("src/keys.rs", "use crate::config::Settings;"),
        file("src/config/keys.rs", "use crate::keys::Keyring;"),
        file("src/config.rs", ""),
    ];
    assert_eq!(folders(&ring).len(), 1);
    let family = [
        file("src/service.rs", "pub mod limit;\nuse limit::ReturnSender;"),
        file("src/service/limit.rs", "use super::Service;"),
        file("src/service/record.rs", "use super::{Service, limit};"),
    ];
    assert_eq!(folders(&family), Vec::<String>::new());
}

//! The permission table: every RPC of the public protos that this service serves has a row, and every row of ours has
//! an RPC.

/// `package.Service/Method` of every RPC of a proto file.
pub fn rpcs(proto: &str) -> Vec<String> {
    let (mut package, mut service, mut all) = ("", "", Vec::new());
    for line in proto.lines().map(str::trim) {
        let word = |keyword: &str| {
            let rest = line.strip_prefix(keyword)?;
            rest.split(|c: char| !c.is_ascii_alphanumeric() && !"._".contains(c))
                .next()
        };
        package = word("package ").unwrap_or(package);
        service = word("service ").unwrap_or(service);
        all.extend(word("rpc ").map(|method| format!("{package}.{service}/{method}")));
    }
    all
}

/// The texts in a constant's list of texts, or in the rows of the table.
fn texts<'a>(source: &'a str, constant: &str) -> Vec<&'a str> {
    let list = source.split(constant).nth(1).unwrap_or_default();
    let list = list.split("];").next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).collect()
}

/// The differences between protos and table.
pub fn differences(protos: &[&str], table: &str) -> Vec<String> {
    let rows = texts(table, "pub const METHODS");
    let elsewhere = texts(table, "pub const SERVED_ELSEWHERE");
    let is_ours = |rpc: &String| !elsewhere.contains(&rpc.split('/').next().unwrap_or_default());
    let rpcs: Vec<String> = protos.iter().flat_map(|proto| rpcs(proto)).collect();
    let mut wrong = Vec::new();
    for rpc in rpcs.iter().filter(|rpc| is_ours(rpc)) {
        if !rows.contains(&rpc.as_str()) {
            wrong.push(format!(
                "{rpc}: no row in src/domain/caller/permission.rs, so nobody may call it; add one, or the service to SERVED_ELSEWHERE"
            ));
        }
    }
    for row in rows.iter().filter(|row| row.starts_with("countersign.")) {
        if !rpcs.iter().any(|rpc| rpc == row) {
            wrong.push(format!("{row}: a row, but no RPC of the protos"));
        }
    }
    wrong
}

#[test]
fn an_rpc_without_a_row_and_a_row_without_an_rpc_are_refused() {
    let proto = "package a.v1;\nservice S {\n  // x\n  rpc One(OneRequest) returns (OneResponse);\n  rpc Two(TwoRequest) returns (stream TwoResponse);\n}\nservice T {\n  rpc Three(X) returns (Y);\n}\n";
    assert_eq!(rpcs(proto), ["a.v1.S/One", "a.v1.S/Two", "a.v1.T/Three"]);
    let table = "pub const METHODS: &[Method] = &[\n  Method::by(X, \"a.v1.S/One\"),\n  Method::by(X, \"countersign.v1.Z/Gone\"),\n];\npub const SERVED_ELSEWHERE: &[&str] = &[\"a.v1.T\"];\n";
    let wrong = differences(&[proto], table);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].starts_with("a.v1.S/Two") && wrong[1].starts_with("countersign.v1.Z/Gone"));
}

//! The permission table: every method of every descriptor, for every role, in two tenants, through the real server.

use std::collections::BTreeSet;

use bytes_codec::Raw;
use countersign::{
    domain::caller::{
        Role, api_key_hash,
        permission::{Access, METHODS, SERVED_ELSEWHERE},
    },
    pb::{self, v1},
};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Code, Request, Status, client::Grpc, transport::Channel};

use crate::harness::{
    Harness, Setup, check_request, connect_channel, login, shape, unique, with_key,
};

/// A codec that leaves requests and answers as bytes, so that any method can be called by its path.
mod bytes_codec {
    use prost::bytes::{Buf, BufMut};
    use tonic::{
        Status,
        codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    };

    #[derive(Default)]
    pub struct Raw;

    impl Codec for Raw {
        type Encode = Vec<u8>;
        type Decode = Vec<u8>;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self {
            Self
        }

        fn decoder(&mut self) -> Self {
            Self
        }
    }

    impl Encoder for Raw {
        type Item = Vec<u8>;
        type Error = Status;

        fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
            buffer.put_slice(&item);
            Ok(())
        }
    }

    impl Decoder for Raw {
        type Item = Vec<u8>;
        type Error = Status;

        fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
            Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
        }
    }
}

/// `service/method` of every method of these descriptors.
fn methods_of(descriptors: &[u8]) -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(descriptors).expect("they are descriptors");
    let mut methods = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            let full = format!("{}.{}", file.package(), service.name());
            let names = service.method.iter();
            methods.extend(names.map(|method| format!("{full}/{}", method.name())));
        }
    }
    methods
}

/// The methods of these descriptors, without the services that other processes serve.
fn served(descriptors: &[u8]) -> BTreeSet<String> {
    let elsewhere = |method: &String| {
        let service = method.split('/').next().unwrap_or_default();
        SERVED_ELSEWHERE.contains(&service)
    };
    let all = methods_of(descriptors).into_iter();
    all.filter(|method| !elsewhere(method)).collect()
}

/// The differences between the table and the descriptors.
fn differences(table: &BTreeSet<String>, descriptors: &BTreeSet<String>) -> Vec<String> {
    let no_row = descriptors.difference(table);
    let no_method = table.difference(descriptors);
    no_row
        .map(|name| format!("{name} has no row in domain/caller/permission.rs"))
        .chain(no_method.map(|name| format!("{name} has a row and is no method")))
        .collect()
}

fn rows(wanted: impl Fn(&Access) -> bool) -> BTreeSet<String> {
    let rows = METHODS.iter().filter(|method| wanted(&method.access));
    rows.map(|method| method.name.to_owned()).collect()
}

#[test]
fn every_method_of_our_descriptors_has_a_row_and_every_row_a_method() {
    let ours = served(pb::DESCRIPTORS);
    assert!(ours.len() >= 6, "the descriptors were read: {ours:?}");
    let table = rows(|access| matches!(access, Access::Roles(_)));
    assert_eq!(differences(&table, &ours), Vec::<String>::new());
    let mut of_others = methods_of(tonic_health::pb::FILE_DESCRIPTOR_SET);
    of_others.extend(methods_of(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
    of_others.extend(methods_of(
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ));
    let table = rows(|access| *access == Access::Development);
    assert_eq!(differences(&table, &of_others), Vec::<String>::new());
}

#[test]
fn a_planted_method_without_a_row_and_a_planted_row_are_found() {
    let mut set = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
    let planted = prost_types::MethodDescriptorProto {
        name: Some("EraseEverything".to_owned()),
        ..Default::default()
    };
    let services = set.file.iter_mut().flat_map(|file| &mut file.service);
    let mut ours = services.filter(|service| service.name() == "VerificationService");
    ours.next().unwrap().method.push(planted);
    let ours = served(&set.encode_to_vec());
    let mut table = rows(|access| matches!(access, Access::Roles(_)));
    assert_eq!(
        differences(&table, &ours),
        [
            "countersign.v1.VerificationService/EraseEverything has no row in domain/caller/permission.rs"
        ]
    );
    table.insert("countersign.v1.VerificationService/EraseEverything".to_owned());
    table.insert("countersign.v1.GhostService/Haunt".to_owned());
    assert_eq!(
        differences(&table, &ours),
        ["countersign.v1.GhostService/Haunt has a row and is no method"]
    );
}

/// A caller of each role in two tenants; its key is `ROLE@TENANT`.
fn callers() -> String {
    let mut text = String::new();
    for tenant in ["default", "other"] {
        for role in Role::ALL {
            let role = role.as_str();
            let hash = hex::encode(api_key_hash(&key(role, tenant)));
            text += &format!(
                "[callers.{role}-{tenant}]\ntenant = \"{tenant}\"\nroles = [\"{role}\"]\napi_key_sha256 = \"{hash}\"\n"
            );
        }
    }
    text
}

fn key(role: &str, tenant: &str) -> String {
    format!("{role}@{tenant}")
}

/// A valid request, about a verification of another caller. Fails for a new method until a request is added here.
fn request(method: &str, id: &str, subject: &str) -> Vec<u8> {
    let verification_id = id.to_owned();
    match method.rsplit('/').next().unwrap() {
        "StartVerification" => login(&unique("subject")).encode_to_vec(),
        "GetVerification" => v1::GetVerificationRequest { verification_id }.encode_to_vec(),
        "WatchVerification" => v1::WatchVerificationRequest { verification_id }.encode_to_vec(),
        "ResendCode" => v1::ResendCodeRequest {
            verification_id,
            request_id: unique("resend"),
            channel: 0,
        }
        .encode_to_vec(),
        "CheckCode" => check_request(id, "271828", &unique("attempt")).encode_to_vec(),
        "CancelVerification" => v1::CancelVerificationRequest {
            verification_id,
            reason: v1::CancelReason::NotMe.into(),
        }
        .encode_to_vec(),
        "GetSubject" => v1::GetSubjectRequest {
            subject: subject.to_owned(),
        }
        .encode_to_vec(),
        "UnlockSubject" => v1::UnlockSubjectRequest {
            subject: subject.to_owned(),
            reason: "identified at the counter".to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        "ListEvents" => v1::ListEventsRequest {
            subject: subject.to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        other => panic!("{other} is new: give this test a request for it"),
    }
}

/// Calls a method by its path; fails with the status of the answer.
async fn call(channel: &Channel, path: &str, request: Request<Vec<u8>>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("the service accepts");
    let path = path.parse().expect("it is a path");
    // The body is ignored: only there a single message differs from a stream.
    let answer = grpc.server_streaming(request, path, Raw).await?;
    answer.into_inner().message().await.map(drop)
}

#[tokio::test]
async fn role_02_every_method_obeys_the_table_for_every_role_and_tenant() {
    let service = Setup::default().file(&callers()).start().await;
    let channel = connect_channel(&service.reach).await;
    let ours = served(pb::DESCRIPTORS);
    for method in METHODS.iter().filter(|method| ours.contains(method.name)) {
        let path = format!("/{}", method.name);
        for tenant in ["default", "other"] {
            for role in Role::ALL {
                let subject = unique("s");
                let id = service.start(login(&subject)).await.unwrap();
                let request = request(method.name, &id.verification_id, &subject);
                let key = key(role.as_str(), tenant);
                let got = shape(call(&channel, &path, with_key(&key, request)).await);
                // A list of another tenant's subject is empty: nothing tells whether it exists.
                let starts = ["StartVerification", "ListEvents"]
                    .iter()
                    .any(|name| method.name.ends_with(name));
                let expected = if !method.roles().contains(&role) {
                    &[(Code::PermissionDenied, "ROLE_MISSING")][..]
                } else if tenant == "default" || starts {
                    // The resend comes too early, an error that only the verification's caller gets.
                    &[
                        (Code::Ok, ""),
                        (Code::ResourceExhausted, "RESEND_TOO_EARLY"),
                    ][..]
                } else if method.name.contains(".AdminService/") {
                    &[(Code::NotFound, "SUBJECT_NOT_FOUND")][..]
                } else {
                    &[(Code::NotFound, "VERIFICATION_NOT_FOUND")][..]
                };
                let fits = |(code, reason): &(Code, &str)| *code == got.0 && *reason == got.1;
                assert!(
                    expected.iter().any(fits),
                    "{path} by {key}: {got:?}, not one of {expected:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn net_07_a_method_without_a_row_is_unauthenticated_or_denied_and_never_unknown() {
    let service = Setup::default().file(&callers()).start().await;
    let channel = connect_channel(&service.reach).await;
    for path in [
        "/countersign.v1.VerificationService/EraseEverything",
        "/countersign.v1.VerificationService/startVerification",
        "/countersign.v1.AdminService/EraseSubject",
        "/countersign.v1.SenderService/SendMessage",
        "/countersign.v1.SendHookService/JudgeSend",
        "/grpc.health.v1.Health/Nothing",
        "/",
        "/metrics",
    ] {
        for key in [None, Some(""), Some("nobody's")] {
            let request =
                key.map_or_else(|| Request::new(Vec::new()), |key| with_key(key, Vec::new()));
            let got = shape(call(&channel, path, request).await);
            let unknown = (Code::Unauthenticated, "CALLER_UNKNOWN".to_owned());
            assert_eq!(got, unknown, "{path} with {key:?}");
        }
        let keys = Role::ALL.map(|role| key(role.as_str(), "default"));
        for key in keys.iter().chain([&service.key]) {
            let got = shape(call(&channel, path, with_key(key, Vec::new())).await);
            let denied = (Code::PermissionDenied, "ROLE_MISSING".to_owned());
            assert_eq!(got, denied, "{path} by {key}");
        }
    }
}

#[tokio::test]
async fn in_development_health_and_reflection_need_no_credential() {
    let service = Harness::new().await;
    let channel = connect_channel(&service.reach).await;
    let check = tonic_health::pb::HealthCheckRequest::default();
    tonic_health::pb::health_client::HealthClient::new(channel.clone())
        .check(check)
        .await
        .expect("health is open");
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(channel);
    let list = tonic_reflection::pb::v1::ServerReflectionRequest {
        message_request: Some(
            tonic_reflection::pb::v1::server_reflection_request::MessageRequest::ListServices(
                String::new(),
            ),
        ),
        ..Default::default()
    };
    let mut answers = reflection
        .server_reflection_info(tokio_stream::iter([list]))
        .await
        .expect("reflection is open")
        .into_inner();
    assert!(answers.message().await.unwrap().is_some());
}

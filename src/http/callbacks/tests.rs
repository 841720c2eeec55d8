//! Tests of callbacks that need no service.

use axum::body::to_bytes;

use super::*;

#[test]
fn a_signed_url_begins_with_ours_with_its_port_or_without() {
    assert_eq!(
        urls("https://otp.bank.example", "/x?y"),
        ["https://otp.bank.example/x?y"]
    );
    assert_eq!(
        urls("https://otp.bank.example/a", "/x"),
        ["https://otp.bank.example/a/x"]
    );
    assert_eq!(
        urls("https://[2001:db8::1]", "/x"),
        ["https://[2001:db8::1]/x"]
    );
    assert_eq!(
        urls("https://h.example:8443/a", "/x"),
        ["https://h.example:8443/a/x", "https://h.example/a/x"]
    );
}

#[tokio::test]
async fn hook_02_a_challenge_is_answered_to_who_knows_the_token() {
    let answer = |mode: &str, token: &str, challenge: &str| {
        let challenge = Challenge {
            mode: mode.to_owned(),
            token: token.to_owned(),
            number: challenge.to_owned(),
        };
        challenge.answer(&SharedText::new("s3cret-word"))
    };
    let right = answer("subscribe", "s3cret-word", "1158201444");
    assert_eq!(right.status(), StatusCode::OK);
    assert_eq!(
        to_bytes(right.into_body(), 100).await.unwrap(),
        "1158201444"
    );
    for (mode, token, challenge) in [
        ("subscribe", "s3cret-wor", "1"),
        ("subscribe", "", "1"),
        ("unsubscribe", "s3cret-word", "1"),
        ("subscribe", "s3cret-word", "<script>"),
        ("subscribe", "s3cret-word", ""),
    ] {
        let refused = answer(mode, token, challenge);
        assert_eq!(
            refused.status(),
            StatusCode::FORBIDDEN,
            "{mode} {token} {challenge}"
        );
        assert!(to_bytes(refused.into_body(), 100).await.unwrap().is_empty());
    }
}

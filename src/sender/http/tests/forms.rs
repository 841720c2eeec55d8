//! Requests by query, XML and text, and answers in text, in XML, in batches, with a mark before them, or of a megabyte.

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    pairs.iter().map(owned).collect()
}

/// The request that a provider gets.
async fn got(change: impl FnOnce(&mut HttpSettings), message: &Message) -> wiremock::Request {
    let server = provider(status(200)).await;
    let mut settings = settings(&server.uri(), json_body());
    change(&mut settings);
    made(&settings).unwrap().send(message).await.unwrap();
    server.received_requests().await.unwrap().remove(0)
}

#[tokio::test]
async fn send_20_a_get_request_carries_the_message_in_its_query() {
    let mut message = message();
    Arc::make_mut(&mut message.content).text = "1+1 & é{{ code }}\n#".to_owned();
    let get = |settings: &mut HttpSettings| {
        let request = request(settings);
        request.method = Method::Get;
        request.body = Body::None;
        request.query = pairs(&[
            ("to", "{{ address_digits }}"),
            ("text", "{{ text }}"),
            ("user name", "{{ from }}"),
            ("key", "{{ key }}"),
            ("subject", "{{ greeting }}"),
        ]);
        let what = settings.warnings();
        assert_eq!(what.len(), 1, "URLs are logged");
        assert_eq!(what[0].key, "query");
    };
    let request = got(get, &message).await;
    assert_eq!(request.method.as_str(), "GET");
    assert!(request.body.is_empty());
    assert!(!request.headers.contains_key("content-type"));
    let query: Vec<_> = request.url.query_pairs().into_owned().collect();
    let expected = [
        ("to", "31612345678"),
        ("text", message.content.text.as_str()),
        ("user name", "Bank \"A\""),
        ("key", "s&3 ç\""),
    ];
    assert_eq!(
        query,
        pairs(&expected),
        "and without the field that is empty"
    );
    assert!(!request.url.as_str().contains('+'), "{}", request.url);
}

#[tokio::test]
async fn send_20_xml_and_text_carry_the_message_and_nothing_gets_out_of_its_place() {
    let mut message = message();
    Arc::make_mut(&mut message.content).text = "<1> & \"2\" ]]> é\u{1}".to_owned();
    let xml = "<?xml version=\"1.0\"?><sms key=\"{{ key }}\"><to>{{ address }}</to><text>{{ text }}</text></sms>";
    let as_xml = |settings: &mut HttpSettings| request(settings).body = Body::Xml(xml.to_owned());
    let got_xml = got(as_xml, &message).await;
    assert_eq!(got_xml.headers["content-type"], "text/xml; charset=utf-8");
    assert_eq!(
        String::from_utf8(got_xml.body).unwrap(),
        "<?xml version=\"1.0\"?><sms key=\"s&amp;3 ç&quot;\"><to>+31612345678</to>\
         <text>&lt;1&gt; &amp; &quot;2&quot; ]]&gt; é </text></sms>"
    );
    let as_text = |settings: &mut HttpSettings| {
        let request = request(settings);
        request.body = Body::Text("{{ text }}".to_owned());
        request.content_type = Some("text/plain; charset=UTF-8".to_owned());
        request.headers = pairs(&[("X-To", "{{ address }}"), ("X-Report", "{{ callback }}")]);
        settings.addresses = Some(Addresses {
            login: Some(SecretText::new("kannel:p%40ss".to_owned())),
            ..addresses()
        });
        let made = made(settings).unwrap();
        assert_eq!(made.capabilities().receipts, ReceiptPath::ByToken);
    };
    let got_text = got(as_text, &message).await;
    assert_eq!(
        got_text.headers["content-type"],
        "text/plain; charset=UTF-8"
    );
    assert_eq!(got_text.headers["x-to"], "+31612345678");
    let report = format!(
        "https://kannel:p%40ss@otp.bank.example/callbacks/p/{}",
        message.receipt.as_str()
    );
    assert_eq!(got_text.headers["x-report"], report.as_str());
    assert_eq!(got_text.body, message.content.text.as_bytes());
}

#[test]
fn send_20_what_cannot_be_a_request_is_refused_with_its_key() {
    let refused = |change: Break| {
        let mut settings = settings("https://api.example.org", json_body());
        change(&mut settings);
        made(&settings).map(drop).unwrap_err().to_string()
    };
    let cases: [(&str, Break); 4] = [
        ("xml is not XML", |s| {
            request(s).body = Body::Xml("<a>{{ text }}".to_owned());
        }),
        ("query.a contains {{ pin }}", |s| {
            request(s).query = pairs(&[("a", "{{ pin }}")]);
        }),
        ("content_type holds characters", |s| {
            request(s).content_type = Some("a\nb".to_owned());
        }),
        ("headers.x must be printable", |s| {
            let key = SecretText::new("line\nbreak".to_owned());
            s.secrets = BTreeMap::from([("key".to_owned(), key)]);
            request(s).headers = pairs(&[("x", "{{ key }}")]);
        }),
    ];
    for (begin, change) in cases {
        let error = refused(change);
        assert!(error.starts_with(begin), "{begin}: {error}");
        assert!(!error.contains("break"), "the secret is not shown");
    }
    let secret = settings("https://api.example.org/{{ key }}/", json_body());
    assert!(!format!("{secret:?}").contains("s&3"));
    let mut secret = secret;
    request(&mut secret).url = "https://api.example.org/{{ key }}".to_owned();
    assert!(!format!("{:?}", made(&secret).unwrap()).contains("s&3"));
}

#[tokio::test]
async fn send_20_a_gateway_that_knows_only_latin_1_gets_it() {
    let mut message = message();
    let with = |message: &mut Message, text: &str| {
        Arc::make_mut(&mut message.content).text = text.to_owned();
    };
    let to = |method, body, query: &[(&str, &str)]| {
        let query = pairs(query);
        move |settings: &mut HttpSettings| {
            let request = request(settings);
            (request.method, request.body, request.query) = (method, body, query);
            request.charset = Charset::Latin1;
        }
    };
    with(&mut message, "Größe é +1");
    let in_query = to(Method::Get, Body::None, &[("text", "{{ text }}")]);
    let request_by_get = got(in_query, &message).await;
    assert_eq!(
        request_by_get.url.query(),
        Some("text=Gr%F6%DFe%20%E9%20%2B1")
    );
    let form = || Body::Form(pairs(&[("text", "{{ text }}")]));
    let by_form = got(to(Method::Post, form(), &[]), &message).await;
    assert_eq!(by_form.body, b"text=Gr%F6%DFe+%E9+%2B1");
    let by_text = to(Method::Post, Body::Text("{{ text }}".to_owned()), &[]);
    let by_text = got(by_text, &message).await;
    assert_eq!(by_text.body, b"Gr\xf6\xdfe \xe9 +1");
    assert_eq!(
        by_text.headers["content-type"],
        "text/plain; charset=iso-8859-1"
    );
    with(&mut message, "é 5 € & Ż");
    let by_xml = to(Method::Post, Body::Xml("<a>{{ text }}</a>".to_owned()), &[]);
    let by_xml = got(by_xml, &message).await;
    assert_eq!(by_xml.body, b"<a>\xe9 5 &#8364; &amp; &#379;</a>");
    assert_eq!(
        by_xml.headers["content-type"],
        "text/xml; charset=iso-8859-1"
    );
    let lacking = [
        to(Method::Post, form(), &[]),
        to(Method::Get, Body::None, &[("text", "{{ text }}")]),
    ];
    for change in lacking {
        let mut settings = settings("https://api.example.org", json_body());
        change(&mut settings);
        let refused = made(&settings).unwrap().send(&message).await;
        assert_eq!(refused, Err(ours(Reason::BadMessage)));
    }
}

fn text_rules() -> AnswerRules {
    AnswerRules {
        form: AnswerForm::Text,
        success_codes: codes(&["OK: *"]),
        retry_codes: codes(&["ERR: 1*"]),
        give_up_codes: codes(&["ERR: 3"]),
        login_codes: codes(&["ERR: 9 *"]),
        reference_pattern: Pattern::with_id("OK: *"),
        ..AnswerRules::default()
    }
}

#[tokio::test]
async fn send_20_an_answer_in_text_is_judged_by_its_lines() {
    for (body, expected) in [
        ("OK: 123", Ok(sent("123"))),
        ("\u{feff}OK: 123\r\n", Ok(sent("123"))),
        ("ERR: 3", Err(give_up(Reason::Refused))),
        ("ERR: 17", Err(later(Reason::Busy, None))),
        ("ERR: 9 bad user", Err(login_refused())),
        ("ERR: 4", Err(unfit(Reason::SenderRefused))),
        ("OK: 1\nERR: 3", Err(give_up(Reason::Refused))),
        ("OK: 1\nsomething else", Err(unfit(Reason::SenderRefused))),
        ("<html>log in</html>", Err(unfit(Reason::SenderRefused))),
        ("OK: ", Err(unfit(Reason::SenderRefused))),
        ("", Err(next_sender(Reason::MalformedReply))),
    ] {
        let answer = status(200).set_body_string(body);
        assert_eq!(outcome(answer, text_rules()).await, expected, "{body:?}");
    }
    let two = outcome(status(200).set_body_string("OK: 1\nOK: 2"), text_rules());
    let aliases = vec![ProviderReference::parse("2").unwrap()];
    assert_eq!(
        two.await,
        Ok(Sent {
            aliases,
            ..sent("1")
        })
    );
    let unavailable = status(503).set_body_string("OK: 1");
    assert!(outcome(unavailable, text_rules()).await.is_err());
}

#[tokio::test]
async fn send_20_an_answer_in_xml_is_judged_by_its_elements() {
    let rules = || AnswerRules {
        form: AnswerForm::Xml,
        code_pointer: Some("/response/message/*/status".to_owned()),
        success_codes: codes(&["accepted"]),
        give_up_codes: codes(&["unknown subscriber"]),
        reference_pointer: Some("/response/message/*/@id".to_owned()),
        ..AnswerRules::default()
    };
    let message =
        |id: &str, status: &str| format!("<message id='{id}'><status>{status}</status></message>");
    let both =
        |first: &str, second: &str| format!("{}{}", message("1", first), message("2", second));
    let alias = ProviderReference::parse("2").unwrap();
    for (body, expected) in [
        (message("1", "accepted"), Ok(sent("1"))),
        (
            both("accepted", "accepted"),
            Ok(Sent {
                aliases: vec![alias],
                ..sent("1")
            }),
        ),
        (
            both("accepted", "unknown subscriber"),
            Err(give_up(Reason::Refused)),
        ),
        (both("accepted", "other"), Err(unfit(Reason::SenderRefused))),
        (
            "<message id='1'/>".to_owned(),
            Err(next_sender(Reason::MalformedReply)),
        ),
        (String::new(), Err(next_sender(Reason::MalformedReply))),
    ] {
        let answer = format!("\u{feff}<?xml version='1.0'?><response>{body}</response>");
        let answer = status(200).set_body_string(answer);
        assert_eq!(outcome(answer, rules()).await, expected, "{body}");
    }
    let page = status(200).set_body_string("<html><br></html>");
    let expected = Err(next_sender(Reason::MalformedReply));
    assert_eq!(outcome(page, rules()).await, expected);
}

#[tokio::test]
async fn send_20_every_item_of_a_batch_must_be_accepted() {
    let rules = || AnswerRules {
        code_pointer: Some("/messages/*/status".to_owned()),
        success_codes: codes(&["0"]),
        retry_codes: codes(&["1"]),
        give_up_codes: codes(&["6"]),
        reference_pointer: Some("/messages/*/id".to_owned()),
        ..AnswerRules::default()
    };
    let alias = ProviderReference::parse("b").unwrap();
    for (items, expected) in [
        (json!([{"status": 0, "id": "a"}]), Ok(sent("a"))),
        (
            json!([{"status": 0, "id": "a"}, {"status": "0", "id": "b"}]),
            Ok(Sent {
                aliases: vec![alias],
                ..sent("a")
            }),
        ),
        (
            json!([{"status": 0, "id": "a"}, {"status": 6}]),
            Err(give_up(Reason::Refused)),
        ),
        (
            json!([{"status": 0, "id": "a"}, {"status": 1}]),
            Err(later(Reason::Busy, None)),
        ),
        (
            json!([{"status": 0, "id": "a"}, {"status": 5}]),
            Err(unfit(Reason::SenderRefused)),
        ),
        (
            json!([{"status": 0, "id": "a"}, {"id": "b"}]),
            Err(unfit(Reason::SenderRefused)),
        ),
        (json!([]), Err(next_sender(Reason::MalformedReply))),
        (json!({"status": 0, "id": "a"}), Ok(sent("a"))),
    ] {
        let answer = status(200).set_body_json(json!({"messages": items}));
        assert_eq!(outcome(answer, rules()).await, expected, "{items}");
    }
}

#[tokio::test]
async fn send_20_a_mark_before_an_answer_and_a_megabyte_behind_it_do_no_harm() {
    let rules = AnswerRules {
        reference_pointer: Some("/id".to_owned()),
        ..AnswerRules::default()
    };
    let padding = "x".repeat(1024 * 1024);
    for body in [
        "\u{feff}{\"id\": \"m1\"}".to_owned(),
        format!("\u{feff}  {{\"id\": \"m1\", \"account\": \"{padding}\"}}"),
    ] {
        let answer = status(200).set_body_string(body);
        assert_eq!(outcome(answer, rules.clone()).await, Ok(sent("m1")));
    }
}

#[test]
fn send_20_receipts_of_each_channel_find_their_delivery() {
    // One channel brings its token back, the other only the provider's own id.
    let mut both = settings("https://api.example.org", json_body());
    let telling = Body::Json(
        r#"{"to": "{{ address }}", "t": "{{ text }}", "url": "{{ callback }}"}"#.to_owned(),
    );
    let sms = request(&mut both).clone();
    let whatsapp = RequestSettings {
        body: telling,
        ..sms
    };
    both.requests.insert(Channel::Whatsapp, whatsapp);
    both.addresses = Some(addresses());
    let path = |settings: &HttpSettings| made(settings).unwrap().capabilities().receipts;
    assert_eq!(path(&both), ReceiptPath::ByReference);
    both.requests.remove(&Channel::Sms);
    assert_eq!(path(&both), ReceiptPath::ByToken);
}

//! Loading of folders and settings: languages that operators add, titles, labels, and every mistake.

use std::fs;

use super::*;
use crate::{
    domain::{
        code::guess::Digits, ids::Locale, recipient::Channel, verification::binding::Binding,
    },
    message::{Facts, Reader, built_in, form::Form},
};

fn load_from(
    dir: &Path,
    default_language: &str,
    brand: &str,
) -> Result<Messages, Vec<TemplateMistake>> {
    Messages::load(&Wording {
        templates_dir: Some(dir),
        default_language,
        brand,
        actions: vec![ActionName::parse("login").unwrap()],
        ..Wording::default()
    })
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The mistakes, with the names of files relative to the folder.
fn shown(dir: &Path, mistakes: &[TemplateMistake]) -> Vec<String> {
    let dir = dir.display().to_string();
    mistakes
        .iter()
        .map(|mistake| mistake.to_string().replace(&dir, ""))
        .collect()
}

#[test]
fn all_mistakes_of_all_files_are_reported_together() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(
        dir,
        "nl/sms.txt",
        "{{ brand }} {{ code }} {{ action }}\n{{ details }} {{7*7}}\n{{ never_share }}",
    );
    write(dir, "nl/email.subject.txt", "{{ code }}");
    write(dir, "nl/emial.txt", "x");
    write(
        dir,
        "nl/words.txt",
        "never_share: Deel hem nooit.\nnever: x\nno colon\n",
    );
    write(
        dir,
        "de/payment.voice.txt",
        "{{ brand }} {{ code }} {{ code }}\n{{ details }}",
    );
    fs::create_dir_all(dir.join("es")).unwrap();
    fs::write(
        dir.join("es/labels.txt"),
        b"amount: importe\npayee: se\xf1or\n",
    )
    .unwrap();
    let french = built_in::template("fr", Form::Sms).unwrap();
    // A mistake elsewhere does not keep the length of an SMS back.
    write(dir, "fr/page.txt", "page: x\n");
    write(dir, "fr/sms.txt", &(french.to_owned() + &"x".repeat(160)));
    write(dir, "not a language/sms.txt", "x");
    write(dir, "README.md", "x");
    write(dir, ".hidden/sms.txt", "x");
    let shown = shown(dir, &load_from(dir, "xx", "Bank").unwrap_err());
    for (mistake, begin) in shown.iter().zip([
        "/README.md: is not a folder named by the tag of a language",
        "/de/payment.voice.txt: lacks {{ never_share }}",
        "/es/labels.txt:2: has the byte 0xF1, which is not UTF-8",
        "/fr/page.txt:1: has page, which is not one of",
        "/nl/email.subject.txt: contains {{ code }}",
        "/nl/emial.txt: is not named",
        "/nl/sms.txt:2: contains {{ 7*7 }}",
        "/nl/words.txt:2: has never, which is not one of voice, never_share",
        "/nl/words.txt:3: is not a name, a colon, a space and a text",
        "/not a language: is not a folder named by the tag of a language",
        "messages.default_language: is not one of de, en, es, fr, nl",
        "fr/sms.txt, for login: has",
    ]) {
        assert!(mistake.starts_with(begin), "{mistake}");
    }
    assert_eq!(shown.len(), 12, "{shown:#?}");
    let brand = load_from(dir, "en", "a\r\nBcc: b").unwrap_err();
    assert_eq!(
        brand.len(),
        11,
        "no SMS is judged with a brand that cannot be"
    );
    assert_eq!(
        brand.last().unwrap().to_string(),
        "messages.brand: has U+000D as character 2, which cannot be seen"
    );
}

#[test]
fn a_missing_folder_is_a_mistake() {
    let missing = tempfile::tempdir().unwrap().path().join("missing");
    let mistakes = load_from(&missing, "en", "Bank").unwrap_err();
    assert!(mistakes[0].problem.starts_with("cannot be read"));
}

/// A folder of Portuguese texts: those of the Spanish, with a few words of their own.
fn portuguese(dir: &Path) {
    for form in Form::ALL {
        if let Some(source) = built_in::template("es", form) {
            write(dir, &format!("pt/{}", form.file_name()), source);
        }
    }
    for part in Part::ALL {
        let source = built_in::part("es", part).replace("su solicitud", "o seu pedido");
        let source = source
            .replace("es-ES", "pt-PT")
            .replace("Confirmado", "Confirmado por si");
        let source = source.replace("minuto", "minutinho");
        write(dir, &format!("pt/{}", part.file_name()), &source);
    }
    let sms = built_in::template("es", Form::Sms).unwrap();
    write(
        dir,
        "pt/sms.txt",
        &sms.replace("es su clave para", "e o seu codigo para"),
    );
}

fn render(messages: &Messages, channel: Channel, locale: &str) -> crate::ports::sender::Content {
    render_bound(messages, channel, locale, &Binding::default())
}

fn render_bound(
    messages: &Messages,
    channel: Channel,
    locale: &str,
    binding: &Binding,
) -> crate::ports::sender::Content {
    messages.render(&Facts {
        tenant: &TenantId::parse("bank").unwrap(),
        channel,
        locale: Some(&Locale::parse(locale).unwrap()),
        action: &ActionName::parse("change_zq").unwrap(),
        code: &Digits::from_ascii(b"123456").unwrap(),
        binding,
        minutes: 5,
        link: None,
    })
}

#[test]
fn bind_12_a_folder_of_texts_adds_a_language() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    portuguese(dir);
    let messages = load_from(dir, "pt", "Banco").unwrap();
    for locale in ["pt", "pt-BR", "pt_PT", "sv"] {
        let sms = render(&messages, Channel::Sms, locale);
        assert!(
            sms.text
                .starts_with("Banco: 123456 e o seu codigo para o seu pedido, vale 5 minutinhos."),
            "{locale}: {}",
            sms.text
        );
        assert_eq!(&*sms.language, "pt");
    }
    assert_eq!(&*render(&messages, Channel::Sms, "nl").language, "nl");
    let call = render(&messages, Channel::Voice, "pt").speech.unwrap();
    assert_eq!(&*call.voice, "pt-PT");
    assert!(call.ssml.contains("xml:lang=\"pt-PT\""), "{}", call.ssml);
    let html = render(&messages, Channel::Email, "pt").html.unwrap();
    assert!(
        html.contains("<html lang=\"pt\" dir=\"ltr\">") && html.contains("123456"),
        "{html}"
    );
    let page = messages.page(Reader {
        accepted: "pt-BR;q=0.9, en;q=0.8",
        ..Reader::default()
    });
    assert_eq!(
        (
            &**page.language(),
            page.say(crate::message::PageSentence::Approved)
        ),
        ("pt", "Confirmado por si")
    );
    let told = messages.explain(
        &TenantId::parse("bank").unwrap(),
        Some(&Locale::parse("pt-BR").unwrap()),
        crate::message::Explanation::Approved,
    );
    assert!(
        told.contains("usted"),
        "it is the sentence of that folder: {told}"
    );
}

#[test]
fn bind_12_a_language_that_is_written_from_right_to_left_is_shown_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for form in Form::ALL {
        if let Some(source) = built_in::template("en", form) {
            write(dir, &format!("he/{}", form.file_name()), source);
        }
    }
    for part in Part::ALL {
        let source = built_in::part("en", part)
            .replace(
                "Never share this code,",
                "\u{5d0}\u{5dc} \u{2068}OTP\u{2069},",
            )
            .replace("{label}: {value}", "{value} \u{200f}- {label}");
        write(dir, &format!("he/{}", part.file_name()), &source);
    }
    let messages = load_from(dir, "en", "Bank").unwrap();
    for (locale, direction) in [("he-IL", "rtl"), ("en", "ltr")] {
        let html = render(&messages, Channel::Email, locale).html.unwrap();
        let tag = &locale[..2];
        let begin = format!("<html lang=\"{tag}\" dir=\"{direction}\">");
        assert!(html.contains(&begin), "{html}");
        let page = messages.page(Reader {
            accepted: locale,
            ..Reader::default()
        });
        assert_eq!(page.is_right_to_left(), direction == "rtl");
    }
    let values = [("amount".to_owned(), "EUR 1".to_owned())].into();
    let binding = Binding::parse(values).unwrap();
    let mail = render_bound(&messages, Channel::Email, "he", &binding);
    assert!(
        mail.text.contains("\nEUR 1 \u{200f}- amount\n"),
        "{}",
        mail.text
    );
}

#[test]
fn bind_12_a_language_that_is_not_complete_is_refused_by_the_names_of_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    portuguese(dir);
    for file in ["pt/voice.txt", "pt/page.txt", "pt/email.words.txt"] {
        fs::remove_file(dir.join(file)).unwrap();
    }
    let words = fs::read_to_string(dir.join("pt/words.txt")).unwrap();
    let kept: Vec<_> = words
        .lines()
        .filter(|line| !line.starts_with("detail"))
        .collect();
    let without = kept.join("\n");
    write(dir, "pt/words.txt", &without);
    write(dir, "pt_BR/sms.txt", "x {{ code }}");
    let found = shown(dir, &load_from(dir, "pt", "Banco").unwrap_err());
    for begin in [
        "/pt/voice.txt: is missing",
        "/pt/page.txt: is missing",
        "/pt/email.words.txt: is missing",
        "/pt/words.txt: lacks detail",
        "/pt_BR/sms.txt: lacks {{ brand }}",
        "/pt_BR/words.txt: is missing",
        "/pt_BR/email.txt: is missing",
    ] {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(begin)),
            "{begin}: {found:#?}"
        );
    }
    let of_pt = found.iter().filter(|mistake| mistake.starts_with("/pt/"));
    assert_eq!(of_pt.count(), 4, "{found:#?}");
    // A whole HTML mail needs no words of the frame.
    portuguese(dir);
    fs::remove_dir_all(dir.join("pt_BR")).unwrap();
    fs::remove_file(dir.join("pt/email.words.txt")).unwrap();
    write(
        dir,
        "pt/email.html",
        "<p>OWN {{ brand }} {{ code }} {{ action }}</p>\n<p>{{ details }}</p>\n<p>{{ never_share }}</p>",
    );
    let messages = load_from(dir, "pt", "Banco").unwrap();
    let html = render(&messages, Channel::Email, "pt").html.unwrap();
    assert!(html.contains("<p>OWN Banco 123456"), "{html}");
}

#[test]
fn bind_12_the_texts_of_an_added_language_are_judged_like_the_built_in_ones() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    portuguese(dir);
    let sms = built_in::template("es", Form::Sms).unwrap();
    write(
        dir,
        "pt/sms.txt",
        &sms.replace("es su clave", "é o seu código ção"),
    );
    write(dir, "pt/push.title.txt", "{{ code }}");
    let found = shown(dir, &load_from(dir, "pt", "Banco").unwrap_err());
    assert!(
        found[0].starts_with("/pt/push.title.txt: contains {{ code }}"),
        "{found:#?}"
    );
    write(dir, "pt/push.title.txt", "{{ action }}");
    let mut wording = Wording {
        templates_dir: Some(dir),
        default_language: "pt",
        brand: "Banco",
        actions: vec![ActionName::parse("payment").unwrap()],
        ..Wording::default()
    };
    let found = shown(dir, &Messages::load(&wording).unwrap_err());
    assert!(
        matches!(&found[..], [one] if one.starts_with("pt/sms.txt, for payment: contains 'ó'")),
        "{found:#?}"
    );
    wording.sms.ucs2 = true;
    let found = shown(dir, &Messages::load(&wording).unwrap_err());
    assert!(
        found
            .iter()
            .any(|one| one.contains("characters where 70 fit")),
        "{found:#?}"
    );
}

#[test]
fn bind_12_a_named_sentence_replaces_the_built_in_one_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(
        dir,
        "nl/words.txt",
        "never_share_sms: Geef deze code aan niemand.\n",
    );
    write(
        dir,
        "nl/titles.txt",
        "# eigen\nchange_zq: uw bijzondere wijziging\n",
    );
    write(
        dir,
        "nl/email.words.txt",
        "automatic: Wij lezen geen antwoorden.\n",
    );
    let messages = load_from(dir, "nl", "Bank").unwrap();
    let sms = render(&messages, Channel::Sms, "nl").text;
    assert!(
        sms.contains("Geef deze code aan niemand.") && sms.contains("uw bijzondere wijziging"),
        "{sms}"
    );
    let html = render(&messages, Channel::Email, "nl").html.unwrap();
    assert!(
        html.contains("Wij lezen geen antwoorden.") && html.contains("U hebt om een code gevraagd"),
        "{html}"
    );
}

fn texts(all: &[(&str, &str)]) -> TextByLanguage {
    let text = |(tag, text): &(&str, &str)| ((*tag).to_owned(), (*text).to_owned());
    all.iter().map(text).collect()
}

#[test]
fn bind_12_titles_and_labels_of_the_settings_come_first_and_their_mistakes_are_named() {
    let payment = ActionName::parse("payment").unwrap();
    let wording = |title: &[(&str, &str)], label: &[(&str, &str)]| Wording {
        default_language: "en",
        brand: "Bank",
        actions: vec![payment.clone()],
        titles: [(payment.clone(), texts(title))].into(),
        labels: [("amount".to_owned(), texts(label))].into(),
        ..Wording::default()
    };
    let messages = Messages::load(&wording(
        &[("nl", "de huur"), ("EN", "the rent")],
        &[("nl", "huursom")],
    ))
    .unwrap();
    let values = [("amount".to_owned(), "EUR 1".to_owned())].into();
    let binding = Binding::parse(values).unwrap();
    let summary = |accepted| {
        let reader = Reader {
            accepted,
            ..Reader::default()
        };
        messages.page(reader).summary(&payment, &binding)
    };
    assert_eq!(summary("nl").title, "de huur");
    assert_eq!(
        summary("nl").details,
        [("huursom".to_owned(), "EUR 1".to_owned())]
    );
    assert_eq!(summary("en").title, "the rent");
    assert_eq!(summary("en").details[0].0, "amount");
    assert_eq!(summary("fr").title, "un paiement");
    let mistakes = Messages::load(&wording(
        &[
            ("pl", "czynsz"),
            ("nl", "x\u{202e}y"),
            ("en", "www.rent.example"),
        ],
        &[("de", " Miete"), ("nl", &"x".repeat(41))],
    ))
    .unwrap_err();
    let found: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    for begin in [
        "actions.payment.title.en: is \"www.rent.example\": it contains a link",
        "actions.payment.title.nl: is \"x\\u{202e}y\": it has U+202E as character 2, which cannot be seen",
        "actions.payment.title.pl: is not one of de, en, es, fr, nl",
        "labels.amount.de: is \" Miete\": it must be 1 to 40",
        "labels.amount.nl: is \"xxx",
    ] {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(begin)),
            "{begin}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn bind_12_what_has_no_words_in_a_language_is_told_with_its_setting() {
    let [known, own] = ["payment", "change_zq"].map(|name| ActionName::parse(name).unwrap());
    let gaps = |titles: &[(&str, &str)]| {
        let wording = Wording {
            default_language: "en",
            brand: "Bank",
            actions: vec![known.clone(), own.clone()],
            titles: [(own.clone(), texts(titles))].into(),
            bound: ["amount".to_owned(), "zq_level".to_owned()].into(),
            ..Wording::default()
        };
        let messages = Messages::load(&wording).unwrap();
        messages
            .gaps()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let found = gaps(&[("nl", "uw niveau"), ("en", "your level")]);
    assert_eq!(
        found,
        [
            "actions.change_zq.title: has no text in de, es, fr, so customers read only \"Ihr Anliegen\" there; set one for each language",
            "labels.zq_level: has no text in de, en, es, fr, nl, so customers read only \"Angabe\" there; set one for each language",
        ]
    );
    let all = ["nl", "de", "en", "es", "fr"].map(|tag| (tag, "x"));
    assert_eq!(gaps(&all).len(), 1);
}

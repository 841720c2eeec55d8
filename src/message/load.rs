//! Loads the built-in templates and the operator's own, and reports every mistake in every file.
//!
//! A folder of templates has files `LANGUAGE/FORM` and `LANGUAGE/ACTION.FORM`, and the same for one
//! tenant below `tenants/TENANT/`. For each form, a message uses the first template that exists:
//! for tenant and action, for the tenant, for the action, for all. The language is the customer's,
//! or else the default language. The last template is built in for every language and form.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, DirEntry},
    path::Path,
};

use super::{
    Branding, Key, Messages, built_in,
    form::Form,
    language::Language,
    lint,
    mistake::TemplateMistake,
    sms::SmsRules,
    template::{Flaw, Template},
};
use crate::domain::ids::{ActionName, TenantId};

/// Largest template file, in bytes, so that a wrong path cannot fill the memory.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most entries of one folder of templates.
const FILES_MAX: usize = 1000;
/// Longest brand, in characters: it is part of every SMS, which must fit into one segment.
pub const BRAND_CHARS_MAX: usize = 40;

/// The name of the folder that holds a folder for each tenant.
const TENANTS: &str = "tenants";

/// What is different in the messages of a tenant.
#[derive(Clone, Copy, Debug, Default)]
pub struct TenantWording<'a> {
    /// The name by which its customers know it; `None`: the common one.
    pub brand: Option<&'a str>,
    /// The host of its page on which customers enter the code of an SMS; `None`: the common one.
    pub web_host: Option<&'a str>,
}

/// The settings and files that messages are made from.
#[derive(Clone, Debug, Default)]
pub struct Wording<'a> {
    /// A folder of files that replace built-in templates; `None`: only the built-in ones.
    pub templates_dir: Option<&'a Path>,
    /// The tag of the language for customers whose own language has no texts.
    pub default_language: &'a str,
    /// The name by which customers know the sender of the messages.
    pub brand: &'a str,
    /// The rules for SMS.
    pub sms: SmsRules,
    /// All actions, because their names count for the length of an SMS.
    pub actions: Vec<ActionName>,
    /// The actions whose code is entered only on a telephone's keypad, so that no browser or app
    /// should fill it in.
    pub by_keypad: BTreeSet<ActionName>,
    /// All tenants, each with what is different in its messages.
    pub tenants: BTreeMap<TenantId, TenantWording<'a>>,
}

#[expect(
    clippy::too_many_lines,
    reason = "one form after the other, each with its own mistakes"
)]
pub(super) fn load(wording: &Wording<'_>) -> Result<Messages, Vec<TemplateMistake>> {
    let Wording {
        templates_dir: dir,
        default_language,
        brand,
        ..
    } = *wording;
    let mut loader = Loader::default();
    for language in Language::ALL {
        for form in Form::ALL {
            let path = format!("built-in {}/{}", language.tag(), form.file_name());
            loader.take(
                &path,
                Key {
                    tenant: None,
                    language,
                    action: None,
                    form,
                },
                &built_in::source(language, form),
            );
        }
    }
    if let Some(dir) = dir {
        loader.read(dir, &wording.tenants);
    }
    let default_language = Language::from_tag(default_language).unwrap_or_else(|| {
        loader.mistake(
            "default language",
            format!("is not one of {}", known_languages()),
        );
        Language::En
    });
    let brands = wording.tenants.values().filter_map(|tenant| tenant.brand);
    for brand in std::iter::once(brand).chain(brands) {
        if brand.trim().is_empty()
            || brand.chars().count() > BRAND_CHARS_MAX
            || brand.chars().any(char::is_control)
        {
            loader.mistake(
                "brand",
                format!("is not 1 to {BRAND_CHARS_MAX} printable characters"),
            );
        }
    }
    if !loader.mistakes.is_empty() {
        return Err(loader.mistakes);
    }
    let branding = Branding {
        brand: brand.to_owned(),
        sms: wording.sms.clone(),
    };
    let own = |(tenant, own): (&TenantId, &TenantWording<'_>)| (tenant.clone(), branding.of(*own));
    let tenant_brandings = wording.tenants.iter().map(own).collect();
    let (templates, by_keypad) = (loader.templates, wording.by_keypad.clone());
    let messages = Messages {
        default_language,
        branding,
        tenant_brandings,
        by_keypad,
        templates,
    };
    let mistakes = lint::sms(&messages, &wording.actions);
    if mistakes.is_empty() {
        Ok(messages)
    } else {
        Err(mistakes)
    }
}

impl Branding {
    /// The brand and SMS rules of a tenant. The embedded host belongs to the common page, so a
    /// tenant with a page of its own has none.
    fn of(&self, own: TenantWording<'_>) -> Self {
        let mut branding = self.clone();
        if let Some(brand) = own.brand {
            brand.clone_into(&mut branding.brand);
        }
        if let Some(host) = own.web_host {
            branding.sms = SmsRules {
                web_host: Some(host.to_owned()),
                web_embedded_host: None,
                ..branding.sms
            };
        }
        branding
    }
}

/// Collects the templates and the mistakes of all files.
#[derive(Default)]
struct Loader {
    templates: HashMap<Key, Template>,
    mistakes: Vec<TemplateMistake>,
}

impl Loader {
    fn mistake(&mut self, path: &str, problem: String) {
        self.mistakes.push(TemplateMistake {
            path: path.to_owned(),
            line: None,
            problem,
        });
    }

    /// Reads the folders of the languages and the folder of the tenants.
    fn read(&mut self, dir: &Path, tenants: &BTreeMap<TenantId, TenantWording<'_>>) {
        for (name, entry) in self.entries(dir) {
            if name == TENANTS {
                self.read_tenants(&entry.path(), tenants);
            } else {
                self.read_language(None, &name, &entry.path());
            }
        }
    }

    fn read_tenants(&mut self, dir: &Path, tenants: &BTreeMap<TenantId, TenantWording<'_>>) {
        for (name, entry) in self.entries(dir) {
            let path = entry.path();
            let Some(tenant) = TenantId::parse(&name)
                .ok()
                .filter(|tenant| tenants.contains_key(tenant))
            else {
                self.mistake(
                    &show(&path),
                    "is the folder of a tenant that no caller belongs to".to_owned(),
                );
                continue;
            };
            for (name, entry) in self.entries(&path) {
                self.read_language(Some(&tenant), &name, &entry.path());
            }
        }
    }

    fn read_language(&mut self, tenant: Option<&TenantId>, tag: &str, dir: &Path) {
        let Some(language) = Language::from_tag(tag) else {
            return self.mistake(
                &show(dir),
                format!("is not a folder named {}", known_languages()),
            );
        };
        for (name, entry) in self.entries(dir) {
            let path = entry.path();
            match key(language, &name) {
                Some(key) => self.read_file(
                    Key {
                        tenant: tenant.cloned(),
                        ..key
                    },
                    &path,
                ),
                None => self.mistake(
                    &show(&path),
                    format!(
                        "is not named {}, or ACTION. followed by one of them",
                        known_files()
                    ),
                ),
            }
        }
    }

    /// The entries of a folder, sorted by name. Those that begin with a dot are ignored: mounted
    /// Kubernetes volumes and most editors create some.
    fn entries(&mut self, dir: &Path) -> Vec<(String, DirEntry)> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => {
                self.mistake(&show(dir), format!("cannot be read: {error}"));
                return Vec::new();
            }
        };
        let named = entries
            .flatten()
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry));
        let mut found: Vec<_> = named
            .filter(|(name, _)| !name.starts_with('.'))
            .take(FILES_MAX + 1)
            .collect();
        if found.len() > FILES_MAX {
            self.mistake(&show(dir), format!("contains more than {FILES_MAX} files"));
            return Vec::new();
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    fn read_file(&mut self, key: Key, path: &Path) {
        match fs::metadata(path) {
            // Reading a pipe could wait for ever.
            Ok(metadata) if !metadata.is_file() => {
                self.mistake(&show(path), "is not a regular file".to_owned());
            }
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => self.mistake(
                &show(path),
                format!("is larger than {FILE_BYTES_MAX} bytes"),
            ),
            Ok(_) => match fs::read_to_string(path) {
                Ok(source) => self.take(&show(path), key, &source),
                Err(error) => self.mistake(&show(path), format!("cannot be read: {error}")),
            },
            Err(error) => self.mistake(&show(path), format!("cannot be read: {error}")),
        }
    }

    fn take(&mut self, path: &str, key: Key, source: &str) {
        match key.form.parse(source, key.action.is_some()) {
            Ok(template) => drop(self.templates.insert(key, template)),
            Err(flaws) => {
                let mistake = |Flaw { line, problem }| TemplateMistake {
                    path: path.to_owned(),
                    line,
                    problem,
                };
                self.mistakes.extend(flaws.into_iter().map(mistake));
            }
        }
    }
}

/// The key of the template in a file of this name: `email.txt`, or
/// `payment.email.txt` for one action.
fn key(language: Language, file_name: &str) -> Option<Key> {
    Form::ALL.into_iter().find_map(|form| {
        let before = file_name.strip_suffix(form.file_name())?;
        let action = match before {
            "" => None,
            before => Some(ActionName::parse(before.strip_suffix('.')?).ok()?),
        };
        Some(Key {
            tenant: None,
            language,
            action,
            form,
        })
    })
}

fn known_languages() -> String {
    Language::ALL.map(Language::tag).join(", ")
}

fn known_files() -> String {
    Form::ALL.map(Form::file_name).join(", ")
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_says_language_action_and_form() {
        let payment = ActionName::parse("payment").unwrap();
        let of = |language, action, form| {
            Some(Key {
                tenant: None,
                language,
                action,
                form,
            })
        };
        assert_eq!(
            key(Language::Nl, "email.txt"),
            of(Language::Nl, None, Form::EmailText)
        );
        assert_eq!(
            key(Language::De, "payment.email.subject.txt"),
            of(Language::De, Some(payment), Form::EmailSubject)
        );
        for bad in [
            "mail.txt",
            "xemail.txt",
            "Payment.email.txt",
            ".email.txt",
            "a.b.sms.txt",
            "email.txt.bak",
            "README.md",
        ] {
            assert_eq!(key(Language::Nl, bad), None, "{bad}");
        }
    }

    fn load_from(
        dir: &Path,
        default_language: &str,
        brand: &str,
    ) -> Result<Messages, Vec<TemplateMistake>> {
        Messages::load(&Wording {
            templates_dir: Some(dir),
            default_language,
            brand,
            ..Wording::default()
        })
    }

    #[test]
    fn all_mistakes_of_all_files_are_reported_together() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "nl/sms.txt",
            "{{ brand }} {{ code }} {{ action }}\n{{ details }} {{7*7}}\n{{ never_share }}",
        );
        write("nl/email.subject.txt", "{{ code }}");
        write("nl/emial.txt", "x");
        write(
            "de/payment.voice.txt",
            "{{ brand }} {{ code }} {{ code }}\n{{ details }}",
        );
        write("xx/sms.txt", "x");
        write(".hidden/sms.txt", "x");
        let mistakes = load_from(dir.path(), "xx", "a\r\nBcc: b").unwrap_err();
        let shown: Vec<_> = mistakes
            .iter()
            .map(|m| m.to_string().replace(&show(dir.path()), ""))
            .collect();
        for (mistake, begin) in shown.iter().zip([
            "/de/payment.voice.txt: lacks {{ never_share }}",
            "/nl/email.subject.txt: contains {{ code }}",
            "/nl/emial.txt: is not named",
            "/nl/sms.txt:2: contains {{ 7*7 }}",
            "/xx: is not a folder named",
            "default language: is not one of nl, de, en, es, fr",
            "brand: is not",
        ]) {
            assert!(mistake.starts_with(begin), "{mistake}");
        }
        assert_eq!(shown.len(), 7, "{shown:#?}");
    }

    #[test]
    fn a_missing_folder_is_a_mistake() {
        let missing = tempfile::tempdir().unwrap().path().join("missing");
        let mistakes = load_from(&missing, "en", "Bank").unwrap_err();
        assert!(mistakes[0].problem.starts_with("cannot be read"));
    }
}

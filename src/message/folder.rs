//! Reads a folder of texts.
//!
//! It has files `LANGUAGE/FORM` and `LANGUAGE/ACTION.FORM`, and the same for one tenant below `tenants/TENANT/`. For each
//! form, a message uses the first template that exists: for tenant and action, for the tenant, for the action, for
//! all. The language is the customer's, or else the default language. Files of named sentences (`LANGUAGE/words.txt` and
//! so on) replace the built-in sentences of the same names. A language that is not built in needs every file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, DirEntry},
    path::Path,
};

use super::{
    Key, built_in,
    form::Form,
    language::{Language, Languages},
    mistake::TemplateMistake,
    part::Part,
    template::{Flaw, Template},
    vocabulary::Vocabulary,
};
use crate::domain::ids::{ActionName, TenantId};

/// Largest file, in bytes, so that a wrong path cannot fill the memory.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most entries of one folder.
const FILES_MAX: usize = 1000;
/// The name of the folder that holds a folder for each tenant.
const TENANTS: &str = "tenants";

/// Collects the texts and the mistakes of all files.
#[derive(Default)]
pub(super) struct Loader {
    pub(super) templates: HashMap<Key, Template>,
    pub(super) languages: Languages,
    pub(super) mistakes: Vec<TemplateMistake>,
    /// The languages with a file that is mistaken or missing.
    pub(super) flawed: BTreeSet<Language>,
    /// The files that were found for all tenants and actions, mistaken or not.
    seen: BTreeSet<(Language, &'static str)>,
    /// The folder of each language, as it is named.
    folders: BTreeMap<Language, String>,
}

impl Loader {
    /// The texts that are built in.
    pub(super) fn of_built_in() -> Self {
        let mut loader = Self::default();
        for tag in built_in::LANGUAGES {
            let language = Language::parse(tag).expect("it is a tag");
            let templates = Form::ALL
                .into_iter()
                .filter_map(|form| Some((form, built_in::template(tag, form)?)));
            for (form, source) in templates {
                let path = format!("built-in {tag}/{}", form.file_name());
                loader.take_template(&path, Key::of_all(&language, form), source);
            }
            let vocabulary = Vocabulary::built_in(tag);
            loader.languages.0.insert(language, vocabulary);
        }
        loader.frame_mails("built-in");
        loader
    }

    pub(super) fn mistake(&mut self, path: &str, problem: String) {
        self.mistakes.push(TemplateMistake {
            path: path.to_owned(),
            line: None,
            problem,
        });
    }

    /// Reads the folders of the languages, then those of the tenants.
    pub(super) fn read(&mut self, dir: &Path, tenants: &BTreeSet<&TenantId>) {
        let entries = self.entries(dir);
        for (name, entry) in entries.iter().filter(|(name, _)| name != TENANTS) {
            self.read_language(name, &entry.path());
        }
        self.frame_mails(&show(dir));
        self.check_complete(dir);
        for (_, entry) in entries.iter().filter(|(name, _)| name == TENANTS) {
            self.read_tenants(&entry.path(), tenants);
        }
    }

    fn read_tenants(&mut self, dir: &Path, tenants: &BTreeSet<&TenantId>) {
        for (name, entry) in self.entries(dir) {
            let path = entry.path();
            let tenant = TenantId::parse(&name).ok();
            let Some(tenant) = tenant.filter(|tenant| tenants.contains(tenant)) else {
                self.mistake(
                    &show(&path),
                    "is the folder of a tenant that no caller belongs to".to_owned(),
                );
                continue;
            };
            for (name, entry) in self.entries(&path) {
                self.read_tenants_language(&tenant, &name, &entry.path());
            }
        }
    }

    fn read_tenants_language(&mut self, tenant: &TenantId, tag: &str, dir: &Path) {
        let known = Language::parse(tag).filter(|tag| self.languages.0.contains_key(tag));
        let Some(language) = known else {
            let names = self.languages.names();
            return self.mistake(&show(dir), format!("is not a folder named {names}"));
        };
        for (name, entry) in self.entries(dir) {
            let path = entry.path();
            match key(&language, &name) {
                Some(key) => self.read_template(
                    Key {
                        tenant: Some(tenant.clone()),
                        ..key
                    },
                    &path,
                ),
                None => self.unknown_file(&path),
            }
        }
    }

    fn read_language(&mut self, tag: &str, dir: &Path) {
        let Some(language) = Language::parse(tag).filter(|_| dir.is_dir()) else {
            return self.mistake(
                &show(dir),
                "is not a folder named by the tag of a language, such as nl or pt-BR".to_owned(),
            );
        };
        self.languages.0.entry(language.clone()).or_default();
        self.folders.insert(language.clone(), tag.to_owned());
        for (name, entry) in self.entries(dir) {
            let path = entry.path();
            if let Some(part) = Part::ALL.into_iter().find(|part| part.file_name() == name) {
                self.seen.insert((language.clone(), part.file_name()));
                self.read_part(&language, part, &path);
            } else if let Some(key) = key(&language, &name) {
                if key.action.is_none() {
                    self.seen.insert((language.clone(), key.form.file_name()));
                }
                self.read_template(key, &path);
            } else {
                self.unknown_file(&path);
            }
        }
    }

    /// Makes the HTML mails of the languages that have no whole mail of their own.
    fn frame_mails(&mut self, place: &str) {
        let form = Form::EmailHtml;
        let has_own =
            |language: &Language| self.seen.contains(&(language.clone(), form.file_name()));
        let mails: Vec<_> = self
            .languages
            .0
            .iter()
            .filter(|(language, words)| {
                !has_own(language) && words.lacks(Part::MailWords).is_empty()
            })
            .map(|(language, words)| (language.clone(), words.html_mail(language.tag())))
            .collect();
        for (language, source) in mails {
            let path = format!("{place}/{}/{}", language.tag(), Part::MailWords.file_name());
            self.take_template(&path, Key::of_all(&language, form), &source);
        }
    }

    /// Checks that each language has every text, and names each file that is missing.
    fn check_complete(&mut self, dir: &Path) {
        let mut missing = Vec::new();
        for (language, folder) in &self.folders {
            let has = |file| self.seen.contains(&(language.clone(), file));
            let vocabulary = &self.languages.0[language];
            for part in Part::ALL {
                let (file, lacks) = (part.file_name(), vocabulary.lacks(part));
                let whole_mail = part == Part::MailWords && has(Form::EmailHtml.file_name());
                if lacks.is_empty() || whole_mail {
                    continue;
                }
                let problem = if has(file) {
                    format!("lacks {}", lacks.join(", "))
                } else {
                    MISSING.to_owned()
                };
                missing.push((language.clone(), dir.join(folder).join(file), problem));
            }
            for form in Form::ALL {
                let exists = self.templates.contains_key(&Key::of_all(language, form));
                // Without a whole HTML mail there must be the words of its frame.
                if !exists && !has(form.file_name()) && form != Form::EmailHtml {
                    let file = dir.join(folder).join(form.file_name());
                    missing.push((language.clone(), file, MISSING.to_owned()));
                }
            }
        }
        for (language, path, problem) in missing {
            self.flawed.insert(language);
            let path = show(&path);
            // What a mistaken line would have said is no second mistake.
            if !self.mistakes.iter().any(|mistake| mistake.path == path) {
                self.mistake(&path, problem);
            }
        }
    }

    fn unknown_file(&mut self, path: &Path) {
        let (forms, parts) = (
            Form::ALL.map(Form::file_name),
            Part::ALL.map(Part::file_name),
        );
        let problem = format!(
            "is not named {}, or ACTION. followed by one of them, and not {}",
            forms.join(", "),
            parts.join(", ")
        );
        self.mistake(&show(path), problem);
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

    fn read_template(&mut self, key: Key, path: &Path) {
        if let Some(source) = self.read_file(&key.language, path) {
            self.take_template(&show(path), key, &source);
        }
    }

    fn read_part(&mut self, language: &Language, part: Part, path: &Path) {
        let Some(source) = self.read_file(language, path) else {
            return;
        };
        let vocabulary = self.languages.0.entry(language.clone()).or_default();
        if let Err(flaws) = vocabulary.take(part, &source) {
            self.take_flaws(language, &show(path), flaws);
        }
    }

    fn read_file(&mut self, language: &Language, path: &Path) -> Option<String> {
        let flaw = match fs::metadata(path) {
            // Reading a pipe could wait for ever.
            Ok(metadata) if !metadata.is_file() => {
                Flaw::of_file("is not a regular file".to_owned())
            }
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                Flaw::of_file(format!("is larger than {FILE_BYTES_MAX} bytes"))
            }
            Ok(_) => match fs::read(path).map(String::from_utf8) {
                Ok(Ok(source)) => return Some(source),
                Ok(Err(error)) => Flaw::not_utf8(&error),
                Err(error) => Flaw::of_file(format!("cannot be read: {error}")),
            },
            Err(error) => Flaw::of_file(format!("cannot be read: {error}")),
        };
        self.take_flaws(language, &show(path), vec![flaw]);
        None
    }

    fn take_template(&mut self, path: &str, key: Key, source: &str) {
        match key.form.parse(source, key.action.is_some()) {
            Ok(template) => drop(self.templates.insert(key, template)),
            Err(flaws) => self.take_flaws(&key.language, path, flaws),
        }
    }

    fn take_flaws(&mut self, language: &Language, path: &str, flaws: Vec<Flaw>) {
        self.flawed.insert(language.clone());
        let mistake = |Flaw { line, problem }| TemplateMistake {
            path: path.to_owned(),
            line,
            problem,
        };
        self.mistakes.extend(flaws.into_iter().map(mistake));
    }
}

/// What is said of a file that a language of the operator's own does not have.
const MISSING: &str = "is missing: a language that is not built in needs every file; translate that of another language";

impl Key {
    fn of_all(language: &Language, form: Form) -> Self {
        Self {
            tenant: None,
            language: language.clone(),
            action: None,
            form,
        }
    }
}

/// The key of the template in a file of this name: `email.txt`, or
/// `payment.email.txt` for one action.
fn key(language: &Language, file_name: &str) -> Option<Key> {
    Form::ALL.into_iter().find_map(|form| {
        let before = file_name.strip_suffix(form.file_name())?;
        let action = match before {
            "" => None,
            before => Some(ActionName::parse(before.strip_suffix('.')?).ok()?),
        };
        Some(Key {
            action,
            ..Key::of_all(language, form)
        })
    })
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
        let [nl, de] = ["nl", "de"].map(|tag| Language::parse(tag).unwrap());
        let of = |language: &Language, action, form| {
            Some(Key {
                action,
                ..Key::of_all(language, form)
            })
        };
        assert_eq!(key(&nl, "email.txt"), of(&nl, None, Form::EmailText));
        assert_eq!(
            key(&de, "payment.email.subject.txt"),
            of(&de, Some(payment), Form::EmailSubject)
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
            assert_eq!(key(&nl, bad), None, "{bad}");
        }
    }
}

//! Makes senders from their settings, and reads the files of their secrets.

mod push;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;

use super::{Machine, callbacks::makes_calls};
use crate::{
    config::{self, HttpAuth, HttpBody, HttpMethod, Profile, SenderSettings, Settings},
    domain::{ids::SenderName, recipient::Channel},
    format::secret::SecretText,
    ports::{
        sender::{Sender, outbox::Outbox, receipts::Receipts},
        system::{Clock, Entropy},
    },
    sender::{
        development::{console::Console, outbox::OutboxSender},
        http::{AnswerRules, Application, Auth, Body, Http, HttpSettings, Method, RequestSettings},
        operator::{
            plugin::{PeerSettings, Plugin},
            webhook::{SignedSettings, Webhook},
        },
        push::{apns::Apns, fcm::Fcm, webpush::WebPush},
        smpp::{Smpp, SmppMeans, SmppSettings},
        smtp::{DkimKey, DkimSettings, Smtp, SmtpSettings, SmtpTls},
        sns::{Sns, SnsSettings},
        transport::addresses::Addresses,
    },
    service::delivery::routes::{NamedSender, Route, Routes},
};

/// Makes the senders, and the routes that lead to them.
pub(super) fn routes(
    settings: &Settings,
    machine: &Machine,
    (outbox, receipts): (Option<&Arc<Outbox>>, &Receipts),
) -> anyhow::Result<Routes> {
    let public_url = settings.http.public_url.as_deref();
    let means = Means {
        profile: settings.profile,
        clock: &machine.clock,
        entropy: &machine.entropy,
        public_url,
        receipts,
        outbox,
    };
    let mut senders: BTreeMap<SenderName, Arc<dyn Sender>> = BTreeMap::new();
    for (name, sender) in &settings.senders {
        let made = make(name, sender, &means);
        senders.insert(
            sender_name(name)?,
            made.with_context(|| format!("cannot make senders.{name}"))?,
        );
    }
    for (name, sender) in &machine.senders {
        senders.insert(sender_name(name)?, sender.clone());
    }
    let tenants = settings
        .tenants
        .iter()
        .map(|(tenant, own)| (tenant.clone(), channel_routes(&own.routes, &senders)));
    Ok(Routes {
        usual: channel_routes(&settings.routes, &senders),
        tenants: tenants.collect(),
    })
}

fn sender_name(name: &str) -> anyhow::Result<SenderName> {
    SenderName::parse(name).map_err(|error| anyhow::anyhow!("the name of senders.{name} {error}"))
}

fn channel_routes(
    settings: &config::ChannelRoutes,
    senders: &BTreeMap<SenderName, Arc<dyn Sender>>,
) -> BTreeMap<Channel, Route> {
    let named = |name: &String| {
        let (name, sender) = senders.get_key_value(&SenderName::parse(name).ok()?)?;
        Some(NamedSender {
            name: name.clone(),
            sender: sender.clone(),
        })
    };
    let list = |names: &[String]| names.iter().filter_map(named).collect::<Vec<_>>();
    let route = |settings: &config::RouteSettings| Route {
        senders: list(&settings.senders),
        weights: settings.weights.clone(),
        countries: settings
            .countries
            .iter()
            .map(|(country, names)| (*country, list(names)))
            .collect(),
        hedge_after: settings.hedge_after,
    };
    settings
        .iter()
        .map(|(channel, settings)| (*channel, route(settings)))
        .collect()
}

/// What senders need of this process.
pub(super) struct Means<'a> {
    pub(super) profile: Profile,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) entropy: &'a Arc<dyn Entropy>,
    /// Where providers reach us, if they do.
    pub(super) public_url: Option<&'a str>,
    /// Where a sender puts the receipts that come over its own connection.
    pub(super) receipts: &'a Receipts,
    /// In development only.
    pub(super) outbox: Option<&'a Arc<Outbox>>,
}

/// A sender with these settings. Reads the files that they name.
pub(super) fn make(
    name: &str,
    settings: &SenderSettings,
    means: &Means<'_>,
) -> anyhow::Result<Arc<dyn Sender>> {
    let (plain, clock) = (means.profile == Profile::Development, means.clock.clone());
    let addresses = means
        .public_url
        .filter(|_| settings.receipts().is_some())
        .map(|url| Addresses {
            callbacks: format!("{url}/callbacks/{name}"),
            calls: makes_calls(settings).then(|| format!("{url}/calls/{name}")),
        });
    Ok(match settings {
        SenderSettings::Smtp(smtp) => Arc::new(Smtp::new(smtp_settings(smtp)?, clock)?),
        SenderSettings::Smpp(smpp) => {
            let (entropy, receipts) = (means.entropy.clone(), means.receipts.clone());
            Arc::new(Smpp::new(
                smpp_settings(name, smpp)?,
                SmppMeans {
                    clock,
                    entropy,
                    receipts,
                },
            )?)
        }
        SenderSettings::Http(http) => Arc::new(Http::new(HttpSettings {
            addresses,
            ..http_settings(http, means)?
        })?),
        SenderSettings::Webhook(webhook) => Arc::new(Webhook::new(
            signed_settings(webhook, plain)?,
            addresses,
            clock,
        )?),
        SenderSettings::Plugin(plugin) => {
            Arc::new(Plugin::new(&peer_settings(plugin)?, addresses)?)
        }
        SenderSettings::Fcm(fcm) => Arc::new(Fcm::new(&push::fcm(fcm, plain)?, clock)?),
        SenderSettings::Apns(apns) => Arc::new(Apns::new(push::apns(apns, plain)?, clock)?),
        SenderSettings::WebPush(webpush) => Arc::new(WebPush::new(
            push::webpush(webpush)?,
            clock,
            means.entropy.clone(),
        )?),
        SenderSettings::Sns(sns) => Arc::new(Sns::new(sns_settings(sns, plain)?, clock)?),
        SenderSettings::Console => Arc::new(Console),
        SenderSettings::Outbox => {
            let outbox = means
                .outbox
                .context("the outbox exists in the development profile only")?
                .clone();
            Arc::new(OutboxSender { outbox, clock })
        }
    })
}

fn signed_settings(
    settings: &config::WebhookSender,
    plain: bool,
) -> anyhow::Result<SignedSettings> {
    let config::Connection {
        allow_hosts,
        ca_file,
        timeout,
    } = settings.connection.clone();
    let secrets = settings
        .secret_files
        .iter()
        .map(|file| secret(file))
        .collect::<anyhow::Result<_>>()?;
    Ok(SignedSettings {
        url: settings.url.clone(),
        secrets,
        allow_hosts,
        plain,
        ca_file,
        timeout,
    })
}

fn peer_settings(settings: &config::PluginSender) -> anyhow::Result<PeerSettings> {
    let config::Connection {
        ca_file, timeout, ..
    } = settings.connection.clone();
    let token = settings
        .token_file
        .as_ref()
        .map(|file| secret(file))
        .transpose()?;
    Ok(PeerSettings {
        address: settings.address.clone(),
        token,
        ca_file,
        timeout,
    })
}

fn sns_settings(settings: &config::SnsSender, plain: bool) -> anyhow::Result<SnsSettings> {
    let config::Connection {
        allow_hosts,
        ca_file,
        timeout,
    } = settings.connection.clone();
    Ok(SnsSettings {
        region: settings.region.clone(),
        access_key_id: secret(&settings.access_key_id_file)?,
        secret_access_key: secret(&settings.secret_access_key_file)?,
        session_token: settings
            .session_token_file
            .as_ref()
            .map(|file| secret(file))
            .transpose()?,
        sender_id: settings.sender_id.clone(),
        base_url: settings.base_url.clone(),
        allow_hosts,
        plain,
        ca_file,
        timeout,
    })
}

/// The secret of a file, without the line break that editors leave.
pub(super) fn secret(file: &Path) -> anyhow::Result<SecretText> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(SecretText::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

/// The settings of the sender, with its password read.
fn smtp_settings(settings: &config::SmtpSettings) -> anyhow::Result<SmtpSettings> {
    let password = settings.password_file.as_ref().map(|file| secret(file));
    Ok(SmtpSettings {
        host: settings.host.clone(),
        port: settings.port,
        from: settings.from.clone(),
        tls: match settings.tls {
            config::SmtpTls::None => SmtpTls::None,
            config::SmtpTls::Starttls => SmtpTls::StartTls,
            config::SmtpTls::Implicit => SmtpTls::Implicit,
        },
        credentials: settings.username.clone().zip(password.transpose()?),
        ca_file: settings.ca_file.clone(),
        timeout: settings.timeout,
        pool_max: settings.pool_max,
        hello_name: settings.hello_name.clone(),
        dkim: settings.dkim.as_ref().map(dkim_settings).transpose()?,
    })
}

fn smpp_settings(name: &str, settings: &config::SmppSender) -> anyhow::Result<SmppSettings> {
    Ok(SmppSettings {
        name: sender_name(name)?,
        host: settings.host.clone(),
        port: settings.port,
        tls: settings.tls,
        ca_file: settings.ca_file.clone(),
        system_id: settings.system_id.clone(),
        password: secret(&settings.password_file)?,
        system_type: settings.system_type.clone(),
        from: settings.from.clone(),
        timeout: settings.timeout,
        window: settings.window,
        enquire_every: settings.enquire_every,
    })
}

fn dkim_settings(settings: &config::DkimSettings) -> anyhow::Result<DkimSettings> {
    let key = |(selector, file): &(String, PathBuf)| {
        Ok(DkimKey {
            selector: selector.clone(),
            pem: secret(file)?,
        })
    };
    let keys = settings
        .keys
        .iter()
        .map(key)
        .collect::<anyhow::Result<_>>()?;
    Ok(DkimSettings {
        domain: settings.domain.clone(),
        keys,
    })
}

fn http_settings(settings: &config::HttpSender, means: &Means<'_>) -> anyhow::Result<HttpSettings> {
    let request = |request: &config::HttpRequest| RequestSettings {
        method: match request.method {
            HttpMethod::Post => Method::Post,
            HttpMethod::Put => Method::Put,
        },
        url: request.url.clone(),
        headers: request.headers.clone(),
        body: match &request.body {
            HttpBody::Form(fields) => Body::Form(fields.clone()),
            HttpBody::Json(json) => Body::Json(json.clone()),
        },
    };
    Ok(HttpSettings {
        requests: settings
            .requests
            .iter()
            .map(|(channel, of)| (*channel, request(of)))
            .collect(),
        parameters: settings.parameters.clone(),
        auth: match &settings.auth {
            HttpAuth::None => Auth::None,
            HttpAuth::Basic {
                username,
                password_file,
            } => Auth::Basic {
                username: username.clone(),
                password: secret(password_file)?,
            },
            HttpAuth::Header {
                name,
                prefix,
                token_file,
            } => Auth::Header {
                name: name.clone(),
                prefix: prefix.clone(),
                token: secret(token_file)?,
            },
            HttpAuth::Application {
                id,
                private_key_file,
            } => {
                let (key, clock, entropy) = (
                    secret(private_key_file)?,
                    means.clock.clone(),
                    means.entropy.clone(),
                );
                Auth::Application(
                    Application::new(id.clone(), &key, clock, entropy)
                        .context("private_key_file")?,
                )
            }
        },
        answers: answer_rules(&settings.answers),
        allow_hosts: settings.connection.allow_hosts.clone(),
        addresses: None,
        plain: means.profile == Profile::Development,
        ca_file: settings.connection.ca_file.clone(),
        timeout: settings.connection.timeout,
    })
}

fn answer_rules(answers: &config::HttpAnswers) -> AnswerRules {
    AnswerRules {
        success_status: answers.success_status.clone(),
        retry_status: answers.retry_status.clone(),
        give_up_status: answers.give_up_status.clone(),
        code_pointer: answers.code_pointer.clone(),
        success_codes: answers.success_codes.clone(),
        retry_codes: answers.retry_codes.clone(),
        next_codes: answers.next_codes.clone(),
        give_up_codes: answers.give_up_codes.clone(),
        reference_pointer: answers.reference_pointer.clone(),
    }
}

//! What mail services are told of a mail, read in the mails that leave.

use delivery::{
    post::token,
    smtp::{Provider, Smtp, SmtpConfig},
};

use crate::{
    support::{Manners, Sink},
    world::{World, links},
};

/// A header's value, unfolded; none when the mail has no such header.
fn header(mail: &str, name: &str) -> Option<String> {
    let (head, _) = mail.split_once("\r\n\r\n")?;
    let unfolded = head.replace("\r\n ", " ");
    let line = unfolded.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    Some(line.to_owned())
}

#[tokio::test]
async fn a_mail_names_the_message_as_each_service_gives_it_back() {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for (word, provider) in
        Provider::WORDS.map(|(word, provider)| (word, Some(provider))).into_iter().chain([("none", None)])
    {
        let sink = Sink::start(Manners::default()).await;
        let world = World::new().await;
        let ann = world.contact("ann@example.test").await;
        let id = world.decide(ann, "a").await;
        let url =
            format!("{}{}provider={word}", sink.url(), if sink.url().contains('?') { '&' } else { '?' });
        let config = SmtpConfig::parse(&url, |path| std::fs::read(path)).unwrap();
        assert_eq!(config.provider, provider);
        world.deliver(Smtp::new(config, "bounces@shop.example".into()).unwrap(), &world.delivery()).await;
        let mail = sink.taken().remove(0).data;
        let token = token::of(&links(), id);
        let found = [
            ("X-SES-MESSAGE-TAGS", Provider::Ses),
            ("X-SMTPAPI", Provider::SendGrid),
            ("X-Mailgun-Variables", Provider::Mailgun),
            ("X-PM-Metadata-relance_message", Provider::Postmark),
            ("X-Mailin-custom", Provider::Brevo),
        ]
        .map(|(name, of)| (of, header(&mail, name)));
        for (of, value) in found {
            assert_eq!(value.is_some(), provider == Some(of), "{word}: {of:?} in {mail}");
            let Some(value) = value else { continue };
            let told = match of {
                Provider::Ses => value.strip_prefix("relance_message=").unwrap().to_owned(),
                Provider::SendGrid => {
                    json(&value)["unique_args"]["relance_message"].as_str().unwrap().to_owned()
                }
                Provider::Mailgun => json(&value)["relance_message"].as_str().unwrap().to_owned(),
                Provider::Postmark | Provider::Brevo => value,
            };
            assert_eq!(told, token, "{word}");
        }
        assert_eq!(header(&mail, token::HEADER).as_deref(), Some(token.as_str()), "{word}");
    }
    let wrong =
        SmtpConfig::parse("smtp://127.0.0.1?provider=sendgird", |path| std::fs::read(path)).unwrap_err();
    assert!(wrong.cure.unwrap().contains("sendgrid"));
}

//! Amazon SES by SNS: a call is signed with RSA by a certificate that it names. Only certificates of SNS itself are
//! fetched, and only topics that the configuration names are heard: anybody may have a topic.

use base64::{Engine, engine::general_purpose::STANDARD};
use model::{Problem, Timestamp};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use serde_json::Value;
use storage::post::ReportKind;
use tokio_rustls::rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
    pem::PemObject,
};
use webpki::EndEntityCert;

use super::{Event, Heard, Parts, about, check_time, forged, instant, text};
use crate::{links::Links, post::status};

/// A call of SNS.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it is.
    pub kind: CallKind,
    /// Where its certificate lies: checked to be SNS's own.
    pub certificate_url: String,
    body: Value,
}

/// What SNS calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Something happened to a mail.
    Notification,
    /// The topic wants to know whether it may call here.
    Subscription,
    /// The topic calls here no more.
    Unsubscription,
}

/// Whether an address is one of SNS: `https://sns.REGION.amazonaws.com/…`, with nothing that leads elsewhere.
#[must_use]
pub fn is_of_sns(url: &str) -> bool {
    let Some((host, path)) = url.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let region = host.strip_prefix("sns.").and_then(|rest| {
        rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"))
    });
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>' | '#');
    region.is_some_and(|region| {
        !region.is_empty()
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }) && path.chars().all(plain)
}

impl Call {
    /// Takes a call apart, as far as is needed to see whether it is genuine.
    ///
    /// # Errors
    /// `inbound.body`, `inbound.forged`.
    pub fn parse(body: &[u8], topics: &[String]) -> Result<Self, Problem> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Problem::new("inbound.body", format!("the body is no JSON: {error}")))?;
        let kind = match text(&body, "Type") {
            "Notification" => CallKind::Notification,
            "SubscriptionConfirmation" => CallKind::Subscription,
            "UnsubscribeConfirmation" => CallKind::Unsubscription,
            _ => return Err(forged("its type is not known")),
        };
        let topic = text(&body, "TopicArn");
        if !topics.iter().any(|known| known == topic) {
            return Err(forged("its topic is not in the configuration"));
        }
        let certificate_url = text(&body, "SigningCertURL").to_owned();
        if !is_of_sns(&certificate_url) || !certificate_url.ends_with(".pem") {
            return Err(forged("its certificate is not one of SNS"));
        }
        Ok(Self { kind, certificate_url, body })
    }

    /// Whether it is genuine, by its certificate (PEM).
    ///
    /// # Errors
    /// `inbound.forged`, `inbound.stale`.
    pub fn verify(&self, certificate: &[u8], now: Timestamp) -> Result<(), Problem> {
        let unreadable = || forged("its certificate cannot be read");
        let der = CertificateDer::from_pem_slice(certificate).map_err(|_| unreadable())?;
        let certificate = EndEntityCert::try_from(&der).map_err(|_| unreadable())?;
        let algorithm = match text(&self.body, "SignatureVersion") {
            "1" => &SHA1,
            "2" => &SHA256,
            _ => return Err(forged("the version of its signature is not known")),
        };
        let signature = STANDARD
            .decode(text(&self.body, "Signature"))
            .map_err(|_| forged("its signature is no base64"))?;
        certificate
            .verify_signature(algorithm, self.signed().as_bytes(), &signature)
            .map_err(|_| forged("its signature does not fit"))?;
        let at = instant(text(&self.body, "Timestamp")).ok_or_else(|| forged("its instant is none"))?;
        check_time(at, now)
    }

    /// What is signed: names and values of some fields, each on a line.
    fn signed(&self) -> String {
        let fields: &[&str] = match self.kind {
            CallKind::Notification => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
            _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
        };
        let mut signed = String::new();
        for name in fields {
            if let Some(value) = self.body.get(*name).and_then(Value::as_str) {
                signed.push_str(&format!("{name}\n{value}\n"));
            }
        }
        signed
    }

    /// Where a subscription is confirmed; none when it is no address of SNS.
    #[must_use]
    pub fn confirm_url(&self) -> Option<&str> {
        Some(text(&self.body, "SubscribeURL"))
            .filter(|url| self.kind == CallKind::Subscription && is_of_sns(url))
    }

    /// What a notification says.
    #[must_use]
    pub fn read(&self, links: &Links, now: Timestamp) -> Heard {
        let mut heard = Heard::default();
        let id = text(&self.body, "MessageId");
        match serde_json::from_str::<Value>(text(&self.body, "Message")) {
            Ok(said) => {
                for event in of_mail(links, &said, id, now) {
                    heard.add(event);
                }
            }
            Err(_) => heard.unreadable += 1,
        }
        heard
    }
}

/// An event of SES: one for each recipient.
fn of_mail(links: &Links, said: &Value, id: &str, now: Timestamp) -> Vec<Event> {
    let name = [text(said, "notificationType"), text(said, "eventType")];
    let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let (part, list) = match name {
        "Bounce" => ("bounce", "bouncedRecipients"),
        "Complaint" => ("complaint", "complainedRecipients"),
        "Delivery" => ("delivery", "recipients"),
        "Subscription" => ("subscription", ""),
        "" => return vec![Event::Unreadable],
        _ => return vec![Event::Ignored],
    };
    let Some(part) = said.get(part) else { return vec![Event::Unreadable] };
    let names = message_names(said);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let recipients: Vec<Value> = match part.get(list).and_then(Value::as_array) {
        Some(recipients) => recipients.clone(),
        None => said.pointer("/mail/destination").and_then(Value::as_array).cloned().unwrap_or_default(),
    };
    let of = |recipient: &Value| {
        let address = recipient.as_str().unwrap_or_else(|| text(recipient, "emailAddress"));
        let (code, words) = (text(recipient, "status"), text(recipient, "diagnosticCode"));
        let kind = match (name, text(part, "bounceType"), text(part, "complaintFeedbackType")) {
            ("Bounce", "Permanent", _) => match status::kind(code, words) {
                // SES says itself that it is for good where the server's words do not.
                ReportKind::Soft
                    if !matches!(
                        text(part, "bounceSubType"),
                        "General" | "NoEmail" | "Suppressed" | "OnAccountSuppressionList"
                    ) =>
                {
                    Some(ReportKind::Soft)
                }
                _ => Some(ReportKind::Hard),
            },
            ("Bounce", ..) => Some(ReportKind::Soft),
            ("Complaint", _, "not-spam") => None,
            ("Complaint", ..) => Some(ReportKind::Complaint),
            ("Delivery", ..) => Some(ReportKind::Delivered),
            _ => Some(ReportKind::Unsubscribed),
        };
        Parts {
            source: "ses",
            about: about(links, &names, address),
            kind,
            at: instant(text(part, "timestamp")),
            now,
            status: if code.is_empty() { text(part, "bounceSubType") } else { code },
            detail: words,
            once: &format!("{id}:{address}"),
        }
        .event()
    };
    if recipients.is_empty() { vec![Event::Unreadable] } else { recipients.iter().map(of).collect() }
}

/// What the returned headers call the message: our token, our Message-ID.
fn message_names(said: &Value) -> Vec<String> {
    let headers = said.pointer("/mail/headers").and_then(Value::as_array);
    let of = |wanted: &'static str| {
        headers
            .into_iter()
            .flatten()
            .filter(move |header| text(header, "name").eq_ignore_ascii_case(wanted))
            .map(|header| text(header, "value").to_owned())
    };
    let common = said.pointer("/mail/commonHeaders/messageId").and_then(Value::as_str).map(str::to_owned);
    of(crate::post::token::HEADER).chain(of("Message-ID")).chain(common).collect()
}

/// RSA with a hash that SNS uses: rustls has none with SHA-1, which version 1 of its signatures needs.
#[derive(Debug)]
struct Rsa(&'static RsaParameters, AlgorithmIdentifier);

/// DER of `sha1WithRSAEncryption` with empty parameters (RFC 3279 §2.2.1).
const SHA1_WITH_RSA: [u8; 13] =
    [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00];
static SHA1: Rsa =
    Rsa(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, AlgorithmIdentifier::from_slice(&SHA1_WITH_RSA));
static SHA256: Rsa = Rsa(&RSA_PKCS1_2048_8192_SHA256, alg_id::RSA_PKCS1_SHA256);

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.0, key).verify(message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.1
    }
}

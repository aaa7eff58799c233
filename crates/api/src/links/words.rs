//! What the pages say, in English and French.

use model::Lang;
use serde_json::{Map, Value};

/// Name, English, French.
const WORDS: &[(&str, &str, &str)] = &[
    ("language", "Language", "Langue"),
    ("other_language", "Français", "English"),
    ("unsubscribe", "Unsubscribe", "Se désinscrire"),
    (
        "unsubscribe_ask",
        "Stop sending “{purpose}” to {address}?",
        "Ne plus envoyer « {purpose} » à {address} ?",
    ),
    ("unsubscribed_title", "You are unsubscribed", "Désinscription effectuée"),
    (
        "unsubscribed",
        "You will get no more messages of “{purpose}”.",
        "Vous ne recevrez plus de messages « {purpose} ».",
    ),
    (
        "unsubscribed_on_way",
        "One that is on its way already may still arrive.",
        "Un message déjà en route peut encore arriver.",
    ),
    (
        "unsubscribed_gone",
        "No more messages are sent to this address.",
        "Plus aucun message n'est envoyé à cette adresse.",
    ),
    ("needed_title", "Messages you need", "Messages indispensables"),
    (
        "needed",
        "This message is about your orders or your account. Such messages are no advertising, and you get them when you do something that needs one.",
        "Ce message concerne vos commandes ou votre compte. Ces messages ne sont pas de la publicité : vous les recevez lorsqu'une de vos actions l'exige.",
    ),
    ("to_preferences", "Choose what you receive", "Choisir ce que vous recevez"),
    ("preferences_title", "What you receive", "Ce que vous recevez"),
    ("preferences_for", "For {address}", "Pour {address}"),
    ("i_want", "Yes, send me “{purpose}”", "Oui, envoyez-moi « {purpose} »"),
    ("save", "Save", "Enregistrer"),
    ("saved", "Your choices are saved.", "Vos choix sont enregistrés."),
    ("unsubscribe_all", "Unsubscribe from everything", "Tout désinscrire"),
    ("no_purposes", "There is nothing to choose from.", "Il n'y a rien à choisir."),
    ("confirm_title", "Confirm your subscription", "Confirmez votre inscription"),
    (
        "confirm_ask",
        "Shall {shop} send you “{purpose}”?",
        "Souhaitez-vous que {shop} vous envoie « {purpose} » ?",
    ),
    ("confirm", "Yes, confirm", "Oui, je confirme"),
    (
        "confirm_ignore",
        "If you did not ask for this, close this page: nothing will be sent.",
        "Si vous n'avez rien demandé, fermez cette page : rien ne vous sera envoyé.",
    ),
    ("confirmed_title", "You are subscribed", "Inscription confirmée"),
    ("confirmed", "Thank you. You will receive “{purpose}”.", "Merci. Vous recevrez « {purpose} »."),
    ("expired_title", "This link has expired", "Ce lien a expiré"),
    (
        "expired_ask",
        "Shall we send you a new link for “{purpose}”?",
        "Voulez-vous recevoir un nouveau lien pour « {purpose} » ?",
    ),
    ("expired_again", "Send a new link", "Envoyer un nouveau lien"),
    ("sent_again_title", "Look into your mailbox", "Consultez votre boîte de réception"),
    (
        "sent_again",
        "A new link is on its way, unless we sent you one a short while ago.",
        "Un nouveau lien est en route, sauf si nous vous en avons envoyé un il y a peu.",
    ),
    (
        "subscribe_sent",
        "If this address is not subscribed yet, it gets a mail with a link. Open it to confirm.",
        "Si cette adresse n'est pas encore inscrite, elle reçoit un e-mail avec un lien. Ouvrez-le pour confirmer.",
    ),
    ("subscribe_done", "Thank you for your subscription.", "Merci pour votre inscription."),
    ("subscribe_wrong_title", "That did not work", "Cela n'a pas fonctionné"),
    (
        "subscribe_wrong",
        "Please go back and check what you wrote: {problem}.",
        "Merci de revenir en arrière et de vérifier votre saisie : {problem}.",
    ),
    ("invalid_title", "This link does not work", "Ce lien ne fonctionne pas"),
    (
        "invalid",
        "It is not whole, or no longer in use. Please open it again from the message.",
        "Il est incomplet ou n'est plus en service. Merci de l'ouvrir à nouveau depuis le message.",
    ),
    ("gone_title", "This message is no longer here", "Ce message n'est plus disponible"),
    (
        "gone",
        "It was sent a while ago, and its content is not kept any more.",
        "Il a été envoyé il y a un certain temps et son contenu n'est plus conservé.",
    ),
    ("forward_title", "Tell a friend", "En parler à un proche"),
    (
        "forward_ask",
        "We send one mail with a link to this message. The address is used for nothing else and is not kept on any list.",
        "Nous envoyons un seul e-mail avec un lien vers ce message. L'adresse ne sert à rien d'autre et n'est inscrite sur aucune liste.",
    ),
    ("forward_to", "Your friend's email address", "Adresse e-mail de votre proche"),
    ("forward_name", "Your first name (optional)", "Votre prénom (facultatif)"),
    (
        "forward_about",
        "So that your friend knows who sends it. Letters, blanks, hyphens and apostrophes.",
        "Pour que votre proche sache qui l'envoie. Lettres, espaces, traits d'union et apostrophes.",
    ),
    ("forward_send", "Send", "Envoyer"),
    ("forward_sent_title", "It is on its way", "C'est en route"),
    ("forward_sent", "Thank you for telling a friend.", "Merci d'en avoir parlé à un proche."),
    (
        "forward_address",
        "Write an address as in name@example.com.",
        "Écrivez une adresse comme nom@exemple.fr.",
    ),
    (
        "forward_bad_name",
        "Write a name with letters, blanks, hyphens and apostrophes alone.",
        "Écrivez un nom avec des lettres, espaces, traits d'union et apostrophes seulement.",
    ),
    (
        "forward_too_many",
        "You told as many friends of this message as is possible.",
        "Vous avez atteint le nombre d'envois possibles pour ce message.",
    ),
    ("slow_title", "Not so fast", "Pas si vite"),
    ("slow", "Please try again in a minute.", "Merci de réessayer dans une minute."),
    ("large_title", "That was too much", "C'était trop long"),
    ("large", "Please write less.", "Merci d'écrire moins."),
    ("failed_title", "Something went wrong", "Une erreur est survenue"),
    (
        "failed",
        "It is our fault. Please try again in a few minutes.",
        "C'est notre faute. Merci de réessayer dans quelques minutes.",
    ),
];

/// A text. Names are ours: one that is not known is itself, which a test would see.
pub(crate) fn say(name: &'static str, lang: Lang) -> &'static str {
    let found = WORDS.iter().find(|(known, ..)| *known == name);
    found.map_or(name, |(_, en, fr)| match lang {
        Lang::En => en,
        Lang::Fr => fr,
    })
}

/// All texts of a language, for the pages' templates.
pub(crate) fn all(lang: Lang) -> Map<String, Value> {
    WORDS.iter().map(|(name, ..)| ((*name).to_owned(), Value::from(say(name, lang)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_exists_once_in_both_languages_with_the_same_places() {
        let places = |text: &str| {
            let mut places: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
            places.sort();
            places
        };
        for (i, (name, en, fr)) in WORDS.iter().enumerate() {
            assert!(!en.is_empty() && !fr.is_empty(), "{name}");
            assert_eq!(places(en), places(fr), "{name}");
            assert!(WORDS[..i].iter().all(|(other, ..)| other != name), "{name} twice");
        }
    }
}

//! What the pages say, in English and French.

use crate::access::Role;

/// The words of a language.
pub(super) struct Words {
    pub(super) language: &'static str,
    pub(super) choose: &'static str,
    pub(super) chosen: &'static str,
    pub(super) setup: &'static str,
    pub(super) set_up: &'static str,
    pub(super) token: &'static str,
    pub(super) email: &'static str,
    pub(super) name: &'static str,
    pub(super) password: &'static str,
    pub(super) new_password: &'static str,
    pub(super) rules: &'static str,
    pub(super) save: &'static str,
    pub(super) setup_first: &'static str,
    pub(super) go_on: &'static str,
    pub(super) wrong: &'static str,
    pub(super) sign_in: &'static str,
    pub(super) code: &'static str,
    pub(super) code_how: &'static str,
    pub(super) code_again: &'static str,
    pub(super) oidc: &'static str,
    pub(super) oidc_refused: &'static str,
    pub(super) forgot: &'static str,
    pub(super) forgotten: &'static str,
    pub(super) forgotten_how: &'static str,
    pub(super) forgotten_send: &'static str,
    pub(super) forgotten_sent: &'static str,
    pub(super) back: &'static str,
    pub(super) signed_in: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) role: &'static str,
    /// What viewers, editors and owners are called.
    roles: [&'static str; 3],
    pub(super) api: &'static str,
    pub(super) pages_later: &'static str,
    /// Sentences for codes; without one the problem's own is shown.
    problems: &'static [(&'static str, &'static str)],
}

impl Words {
    pub(super) const fn role_of(&self, role: Role) -> &'static str {
        self.roles[role as usize]
    }

    pub(super) fn problem(&self, code: &str) -> Option<&'static str> {
        self.problems.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
    }
}

pub(super) const EN: Words = Words {
    language: "en",
    choose: "Choose a password",
    chosen: "Your password is set. You can sign in with it now.",
    setup: "Set up the owner",
    set_up: "You are the owner, and signed in.",
    token: "Code (what stands behind the # of the link)",
    email: "Mail address",
    name: "Name",
    password: "Password",
    new_password: "New password",
    rules: "12 characters or more: a few words that do not belong together are a good password.",
    save: "Save",
    setup_first: "There is no user yet. Open the link that the server printed at its start.",
    go_on: "Go on",
    wrong: "That did not work",
    sign_in: "Sign in",
    code: "One-time code",
    code_how: "The six digits that your authenticator shows, or one of your recovery codes.",
    code_again: "If the field is empty, enter the password once more: it goes together with the code.",
    oidc: "Sign in with your organisation's account",
    oidc_refused: "The sign-in with your organisation's account was refused.",
    forgot: "Forgot your password?",
    forgotten: "Forgot your password?",
    forgotten_how: "Enter your address. You get a mail with a link for choosing another password.",
    forgotten_send: "Send the mail",
    forgotten_sent: "If there is a user with this address, a mail is on its way. Its link is good for an hour.",
    back: "Back to signing in",
    signed_in: "You are signed in",
    sign_out: "Sign out",
    role: "Role",
    roles: ["Viewer", "Editor", "Owner"],
    api: "The API's document (OpenAPI)",
    pages_later: "The pages for contacts, journeys and messages are still to come. Until then everything is done \
                  over the API and on the command line.",
    problems: &[
        ("access.sign_in", "The address or the password is wrong."),
        ("access.code_needed", "The password is right. Enter the code too."),
        (
            "access.code",
            "The code is wrong, or was used already. Wait for the next one, or take a recovery code.",
        ),
        ("access.wait", "Too many tries have failed. Wait a moment before the next one."),
        ("access.busy", "Too many people sign in at this moment. Try again in a few seconds."),
        ("access.csrf", "The page was too old. Go back and try again."),
        ("oidc.state", "The sign-in was begun in another browser, or took too long. Try again."),
        ("oidc.provider", "Your organisation's sign-in cannot be reached. Try again, or use a password."),
        ("oidc.email", "Your organisation does not vouch for your mail address."),
        ("oidc.unknown_user", "Nobody with your address has access. Ask an owner to invite you."),
        (
            "oidc.subject",
            "The user with your address belongs to another account of your organisation. Ask an owner.",
        ),
        ("oidc.disabled", "Your access was disabled. Ask an owner."),
    ],
};

pub(super) const FR: Words = Words {
    language: "fr",
    choose: "Choisir un mot de passe",
    chosen: "Votre mot de passe est enregistré. Vous pouvez maintenant vous connecter.",
    setup: "Créer le propriétaire",
    set_up: "Vous êtes le propriétaire, et connecté.",
    token: "Code (ce qui suit le # du lien)",
    email: "Adresse électronique",
    name: "Nom",
    password: "Mot de passe",
    new_password: "Nouveau mot de passe",
    rules: "12 caractères ou plus : quelques mots sans rapport entre eux font un bon mot de passe.",
    save: "Enregistrer",
    setup_first: "Il n'y a pas encore d'utilisateur. Ouvrez le lien que le serveur a affiché à son démarrage.",
    go_on: "Continuer",
    wrong: "Cela n'a pas fonctionné",
    sign_in: "Se connecter",
    code: "Code à usage unique",
    code_how: "Les six chiffres que montre votre application d'authentification, ou l'un de vos codes de secours.",
    code_again: "Si le champ est vide, saisissez encore une fois le mot de passe : il part avec le code.",
    oidc: "Se connecter avec le compte de votre organisation",
    oidc_refused: "La connexion avec le compte de votre organisation a été refusée.",
    forgot: "Mot de passe oublié ?",
    forgotten: "Mot de passe oublié ?",
    forgotten_how: "Saisissez votre adresse. Vous recevrez un lien pour choisir un autre mot de passe.",
    forgotten_send: "Envoyer le message",
    forgotten_sent: "S'il y a un utilisateur à cette adresse, un message est en route. Son lien est valable une heure.",
    back: "Retour à la connexion",
    signed_in: "Vous êtes connecté",
    sign_out: "Se déconnecter",
    role: "Rôle",
    roles: ["Lecteur", "Éditeur", "Propriétaire"],
    api: "Le document de l'API (OpenAPI)",
    pages_later: "Les pages des contacts, des parcours et des messages sont à venir. D'ici là, tout se fait par \
                  l'API et en ligne de commande.",
    problems: &[
        (
            "access.ticket",
            "Ce lien n'est plus valable : il a déjà servi, ou il est trop ancien. Demandez-en un autre.",
        ),
        ("access.sign_in", "L'adresse ou le mot de passe n'est pas le bon."),
        ("access.code_needed", "Le mot de passe est le bon. Saisissez aussi le code."),
        (
            "access.code",
            "Ce code n'est pas le bon, ou il a déjà servi. Attendez le suivant, ou prenez un code de secours.",
        ),
        ("access.wait", "Trop d'essais ont échoué. Attendez un moment avant le prochain."),
        ("access.csrf", "La page était trop ancienne. Revenez en arrière et réessayez."),
        (
            "oidc.state",
            "La connexion a commencé dans un autre navigateur, ou a pris trop de temps. Réessayez.",
        ),
        (
            "oidc.provider",
            "Le service de connexion de votre organisation ne répond pas. Réessayez, ou prenez un mot de passe.",
        ),
        ("oidc.email", "Votre organisation ne confirme pas votre adresse électronique."),
        (
            "oidc.unknown_user",
            "Personne n'a d'accès avec votre adresse. Demandez à un propriétaire de vous inviter.",
        ),
        (
            "oidc.subject",
            "L'utilisateur qui a votre adresse appartient à un autre compte de votre organisation. Demandez à un propriétaire.",
        ),
        ("oidc.disabled", "Votre accès a été désactivé. Demandez à un propriétaire."),
        ("access.rate", "Trop de demandes. Réessayez dans un instant."),
        ("access.busy", "Trop de personnes se connectent en ce moment. Réessayez dans quelques secondes."),
        ("access.origin", "Cette demande vient d'un autre site."),
        ("email.invalid", "Cette adresse électronique n'est pas valable."),
        ("password.length", "Un mot de passe compte de 12 à 1024 caractères."),
        ("password.common", "Ce mot de passe fait partie de ceux que l'on devine en premier."),
        ("password.address", "Le mot de passe contient l'adresse électronique."),
        ("setup.done", "Il y a déjà un utilisateur : connectez-vous, ou faites-vous inviter."),
        (
            "setup.token",
            "Ce code n'est pas le dernier que le serveur a affiché, ou il est trop ancien. Redémarrez le serveur.",
        ),
        ("user.name", "Un nom compte jusqu'à 200 caractères, sur une ligne."),
    ],
};

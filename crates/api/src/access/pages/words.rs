//! What the pages say, in English and French.

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
    pub(super) rules: &'static str,
    pub(super) button: &'static str,
    /// Sentences for codes; without one the problem's own is shown.
    problems: &'static [(&'static str, &'static str)],
}

impl Words {
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
    password: "New password",
    rules: "12 characters or more: a few words that do not belong together are a good password.",
    button: "Save",
    problems: &[],
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
    password: "Nouveau mot de passe",
    rules: "12 caractères ou plus : quelques mots sans rapport entre eux font un bon mot de passe.",
    button: "Enregistrer",
    problems: &[
        (
            "access.ticket",
            "Ce lien n'est plus valable : il a déjà servi, ou il est trop ancien. Demandez-en un autre.",
        ),
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

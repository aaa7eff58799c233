//! The few words that a block brings along, by language; a document may replace each.

/// Ready words of one language.
#[derive(Debug)]
pub(crate) struct Labels {
    language: &'static str,
    pub view_product: &'static str,
    pub was: &'static str,
    pub quantity: &'static str,
    pub total: &'static str,
    /// `{n}` stands for the number.
    pub more: &'static str,
    pub back_to_cart: &'static str,
    pub use_code: &'static str,
    pub unsubscribe: &'static str,
    pub preferences: &'static str,
    pub view_in_browser: &'static str,
}

const ALL: [Labels; 7] = [
    Labels {
        language: "en",
        view_product: "View product",
        was: "was",
        quantity: "Quantity",
        total: "Total",
        more: "and {n} more",
        back_to_cart: "Back to my basket",
        use_code: "Use my code",
        unsubscribe: "Unsubscribe",
        preferences: "My preferences",
        view_in_browser: "View in browser",
    },
    Labels {
        language: "fr",
        view_product: "Voir le produit",
        was: "au lieu de",
        quantity: "Quantité",
        total: "Total",
        more: "et {n} de plus",
        back_to_cart: "Revenir à mon panier",
        use_code: "Utiliser mon code",
        unsubscribe: "Me désabonner",
        preferences: "Mes préférences",
        view_in_browser: "Voir dans le navigateur",
    },
    Labels {
        language: "de",
        view_product: "Zum Produkt",
        was: "statt",
        quantity: "Menge",
        total: "Summe",
        more: "und {n} weitere",
        back_to_cart: "Zurück zum Warenkorb",
        use_code: "Code einlösen",
        unsubscribe: "Abmelden",
        preferences: "Meine Einstellungen",
        view_in_browser: "Im Browser ansehen",
    },
    Labels {
        language: "es",
        view_product: "Ver producto",
        was: "antes",
        quantity: "Cantidad",
        total: "Total",
        more: "y {n} más",
        back_to_cart: "Volver a mi carrito",
        use_code: "Usar mi código",
        unsubscribe: "Darme de baja",
        preferences: "Mis preferencias",
        view_in_browser: "Ver en el navegador",
    },
    Labels {
        language: "it",
        view_product: "Vedi il prodotto",
        was: "anziché",
        quantity: "Quantità",
        total: "Totale",
        more: "e altri {n}",
        back_to_cart: "Torna al carrello",
        use_code: "Usa il codice",
        unsubscribe: "Annulla l’iscrizione",
        preferences: "Le mie preferenze",
        view_in_browser: "Apri nel browser",
    },
    Labels {
        language: "nl",
        view_product: "Bekijk product",
        was: "was",
        quantity: "Aantal",
        total: "Totaal",
        more: "en nog {n}",
        back_to_cart: "Terug naar mijn winkelwagen",
        use_code: "Gebruik mijn code",
        unsubscribe: "Afmelden",
        preferences: "Mijn voorkeuren",
        view_in_browser: "Bekijk in browser",
    },
    Labels {
        language: "pt",
        view_product: "Ver produto",
        was: "antes",
        quantity: "Quantidade",
        total: "Total",
        more: "e mais {n}",
        back_to_cart: "Voltar ao carrinho",
        use_code: "Usar o código",
        unsubscribe: "Cancelar subscrição",
        preferences: "As minhas preferências",
        view_in_browser: "Ver no navegador",
    },
];

impl Labels {
    /// Of a language; English for others.
    pub fn of(language: &str) -> &'static Self {
        ALL.iter().find(|labels| labels.language == language).unwrap_or(&ALL[0])
    }
}

//! Who writes: `Name <local@domain>`.

use std::fmt;

use model::Problem;

/// A name and an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// The name; may be empty.
    pub name: String,
    /// The address.
    pub address: String,
}

impl Mailbox {
    /// The longest name, in characters.
    pub const NAME_LEN_MAX: usize = 200;

    /// Reads `Name <local@domain>`, `"Name" <local@domain>` or `local@domain`.
    ///
    /// # Errors
    /// `mailbox.invalid`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let invalid = |message: String| {
            Problem::new("mailbox.invalid", message).value(text).cure("use `Shop <news@shop.example>`")
        };
        let trimmed = text.trim();
        let (name, address) = match trimmed.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, address)) => (name.trim(), address.trim()),
            None => ("", trimmed),
        };
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
        if name.chars().count() > Self::NAME_LEN_MAX {
            return Err(invalid(format!("the name is longer than {} characters", Self::NAME_LEN_MAX)));
        }
        if name.chars().any(char::is_control) {
            return Err(invalid("a name holds no control characters".into()));
        }
        let address = model::field::parse_email(address)
            .map_err(|_| invalid(format!("`{address}` is not a mail address")))?;
        Ok(Self { name: name.to_owned(), address })
    }

    /// What follows the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        domain(&self.address)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            f.write_str(&self.address)
        } else {
            write!(f, "{} <{}>", self.name, self.address)
        }
    }
}

/// What follows the last `@` of an address.
#[must_use]
pub fn domain(address: &str) -> &str {
    address.rsplit('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_addresses() {
        for (text, name, address) in [
            ("news@shop.example", "", "news@shop.example"),
            ("Shop <news@shop.example>", "Shop", "news@shop.example"),
            ("\"L'été, c'est bien\" <news@shop.example>", "L'été, c'est bien", "news@shop.example"),
        ] {
            let mailbox = Mailbox::parse(text).unwrap();
            assert_eq!((mailbox.name.as_str(), mailbox.address.as_str()), (name, address));
            assert_eq!(mailbox.domain(), "shop.example");
        }
        for bad in [
            "",
            "Shop",
            "Shop <>",
            "Shop <a b@c>",
            "A\r\nBcc: x@y.example <a@b.example>",
            "a@b.example\r\nX: y",
        ] {
            assert_eq!(Mailbox::parse(bad).unwrap_err().code, "mailbox.invalid", "{bad}");
        }
        let long = |n: usize| format!("{} <a@b.example>", "n".repeat(n));
        assert!(Mailbox::parse(&long(Mailbox::NAME_LEN_MAX)).is_ok());
        assert!(Mailbox::parse(&long(Mailbox::NAME_LEN_MAX + 1)).is_err());
    }
}

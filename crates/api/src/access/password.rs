//! Passwords: which are taken, and what is kept of them: argon2id, with parameters in the stored text, so that they can
//! grow.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{Algorithm, Argon2, Params, Version};
use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use model::Problem;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use crate::{ApiError, ApiResult, Chance};

/// Memory of one hash in KiB, passes over it, lanes: OWASP Password Storage Cheat Sheet, Argon2id, 19 MiB / 2 / 1.
pub const MEMORY_KIB: u32 = 19 * 1024;
/// See [`MEMORY_KIB`].
pub const PASSES: u32 = 2;
/// See [`MEMORY_KIB`].
pub const LANES: u32 = 1;
/// Bytes of a salt (RFC 9106, section 3.1).
const SALT_LEN: usize = 16;
/// Bytes of a hash.
const HASH_LEN: usize = 32;
/// Hashes that are computed at the same time: 19 MiB and a core each.
pub const AT_ONCE: usize = 2;
/// Hashes that may wait for their turn; more are refused.
pub const WAITING_MAX: usize = 64;

/// The shortest password, in characters (NIST SP 800-63B asks for 8 beside a second factor, 15 without one; between
/// these, with a delay for who guesses).
pub const LEN_MIN: usize = 12;
/// The longest one, in characters.
pub const LEN_MAX: usize = 1_024;
/// The fewest different characters.
pub const DIFFERENT_MIN: usize = 5;

/// What many passwords consist of but for digits and punctuation around it, also repeated.
const COMMON: &[&str] = &[
    "password",
    "passphrase",
    "passwort",
    "motdepasse",
    "mot de passe",
    "secret",
    "admin",
    "administrator",
    "administrateur",
    "root",
    "user",
    "utilisateur",
    "welcome",
    "bienvenue",
    "letmein",
    "letmeinplease",
    "changeme",
    "changezmoi",
    "default",
    "iloveyou",
    "jetaime",
    "princess",
    "princesse",
    "sunshine",
    "soleil",
    "football",
    "baseball",
    "superman",
    "batman",
    "dragon",
    "monkey",
    "master",
    "shadow",
    "chocolat",
    "chocolate",
    "doudou",
    "loulou",
    "marseille",
    "bonjour",
    "hello",
    "helloworld",
    "test",
    "testing",
    "demo",
    "relance",
    "shop",
    "boutique",
    "marketing",
    "newsletter",
    "company",
    "entreprise",
    "summer",
    "winter",
    "spring",
    "autumn",
    "ete",
    "hiver",
    "printemps",
    "automne",
];

/// Runs of keys and letters; also backwards.
const RUNS: &[&str] = &[
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertzuiopasdfghjklyxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "1a2z3e4r5t6y7u8i9o0p",
];

/// Whether a password is taken for this address.
///
/// # Errors
/// `password.length`, `password.common`, `password.address`.
pub fn check(password: &str, email: &str) -> Result<(), Problem> {
    let length = password.nfkc().take(LEN_MAX + 1).count();
    if !(LEN_MIN..=LEN_MAX).contains(&length) {
        return Err(Problem::new("password.length", "a password has 12 to 1024 characters")
            .field("password")
            .cure("take a few words, or let a password manager make one"));
    }
    let lower = password.nfkc().collect::<String>().to_lowercase();
    let names = [email, email.split('@').next().unwrap_or_default()];
    if names.iter().any(|name| name.chars().count() >= 4 && lower.contains(&name.to_lowercase())) {
        return Err(Problem::new("password.address", "the password holds the mail address")
            .field("password")
            .cure("take one that has nothing to do with it"));
    }
    if is_common(&lower) {
        return Err(Problem::new("password.common", "the password is one of those that are guessed first")
            .field("password")
            .cure("take a few words that do not belong together, or let a password manager make one"));
    }
    Ok(())
}

/// Whether a text can be a password at all: a longer one was never set, and is not worth a hash.
#[must_use]
pub fn is_possible(given: &str) -> bool {
    given.nfkc().nth(LEN_MAX).is_none()
}

fn is_common(lower: &str) -> bool {
    let mut letters: Vec<char> = lower.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < DIFFERENT_MIN {
        return true;
    }
    // Without what is put around it, and with letters for the signs that stand for them.
    let plain: String = lower
        .chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            c => c,
        })
        .collect();
    let is_little_more = |text: &str, word: &str| {
        let rest = text.replace(word, "");
        rest.len() < text.len() && rest.chars().filter(|c| c.is_alphabetic()).count() < 3
    };
    let cores = [lower, &plain].map(|text| text.trim_matches(|c: char| !c.is_alphabetic()));
    // Digits at the end are digits: `password2026`, not `passwordzoz6`.
    let inner: String =
        plain.chars().take(lower.trim_end_matches(|c: char| !c.is_alphabetic()).chars().count()).collect();
    COMMON
        .iter()
        .any(|word| cores.iter().any(|core| is_little_more(core, word)) || is_little_more(&inner, word))
        || is_run(lower)
}

/// Whether it consists of runs of at least four keys, but for three characters.
fn is_run(lower: &str) -> bool {
    let characters: Vec<char> = lower.chars().collect();
    let follows = |four: &[char]| {
        let forward: String = four.iter().collect();
        let back: String = four.iter().rev().collect();
        RUNS.iter().any(|run| run.contains(&forward) || run.contains(&back))
    };
    let mut in_run = vec![false; characters.len()];
    for (start, four) in characters.windows(4).enumerate() {
        if follows(four) {
            in_run[start..start + 4].fill(true);
        }
    }
    in_run.iter().filter(|inside| !**inside).count() <= 3
}

/// Computes hashes off the async threads, a few at a time.
#[derive(Debug)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), waiting: AtomicUsize::new(0) }
    }
}

impl Hasher {
    /// What to keep of a password.
    ///
    /// # Errors
    /// `access.busy` when too many wait.
    pub async fn hash(&self, chance: &dyn Chance, password: &str) -> ApiResult<String> {
        let (password, salt) = (password.to_owned(), salt(chance));
        self.turn(move || hash(&password, &salt)).await?.map_err(ApiError::from)
    }

    /// Whether this is the password of which that was kept; takes as long when nothing was kept.
    ///
    /// # Errors
    /// `access.busy` when too many wait.
    pub async fn verify(&self, password: &str, kept: Option<&str>) -> ApiResult<bool> {
        let (password, kept) = (password.to_owned(), kept.map(str::to_owned));
        self.turn(move || verify(&password, kept.as_deref())).await
    }

    async fn turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
        let busy = || {
            let problem = Problem::new("access.busy", "too many people sign in at this moment");
            ApiError::retry(StatusCode::SERVICE_UNAVAILABLE, problem.cure("try again in a few seconds"), 5)
        };
        let place = Place::take(&self.waiting).ok_or_else(busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _turn = turn;
            work()
        });
        let done = done.await;
        drop(place);
        done.map_err(|_| busy())
    }
}

/// A place among those who wait; given back when it goes.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX + AT_ONCE).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A new salt.
#[must_use]
pub fn salt(chance: &dyn Chance) -> [u8; SALT_LEN] {
    let mut salt = [0; SALT_LEN];
    chance.fill(&mut salt);
    salt
}

fn compute(
    password: &str,
    salt: &[u8],
    (memory, passes, lanes): (u32, u32, u32),
) -> Result<[u8; HASH_LEN], Problem> {
    let failed =
        |error: argon2::Error| Problem::new("password.hash", format!("no hash can be computed: {error}"));
    let params = Params::new(memory, passes, lanes, Some(HASH_LEN)).map_err(failed)?;
    let mut hash = [0; HASH_LEN];
    // The same characters have one form, whichever keyboard they come from.
    let normal: String = password.nfkc().collect();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(normal.as_bytes(), salt, &mut hash)
        .map_err(failed)?;
    Ok(hash)
}

/// What to keep of a password, as a PHC string. Blocks for some ten milliseconds.
///
/// # Errors
/// `password.hash` when there is no memory.
pub fn hash(password: &str, salt: &[u8]) -> Result<String, Problem> {
    let hash = compute(password, salt, (MEMORY_KIB, PASSES, LANES))?;
    Ok(format!(
        "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    ))
}

/// Whether this is the password of which that was kept. Computes a hash also when there is nothing to compare with.
#[must_use]
pub fn verify(password: &str, kept: Option<&str>) -> bool {
    let Some((costs, salt, expected)) = kept.and_then(parse) else {
        drop(compute(password, &[0; SALT_LEN], (MEMORY_KIB, PASSES, LANES)));
        return false;
    };
    compute(password, &salt, costs).is_ok_and(|hash| hash.ct_eq(&expected).into())
}

/// Whether something was made with other costs than what is kept today.
#[must_use]
pub fn is_outdated(kept: &str) -> bool {
    parse(kept).is_some_and(|(costs, _, _)| costs != (MEMORY_KIB, PASSES, LANES))
}

type Kept = ((u32, u32, u32), Vec<u8>, Vec<u8>);

fn parse(kept: &str) -> Option<Kept> {
    let rest = kept.strip_prefix("$argon2id$v=19$m=")?;
    let mut parts = rest.split('$');
    let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let (memory, rest) = costs.split_once(",t=")?;
    let (passes, lanes) = rest.split_once(",p=")?;
    let costs = (memory.parse().ok()?, passes.parse().ok()?, lanes.parse().ok()?);
    Some((costs, STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?))
}

/// A password that nobody guesses: 100 random bits as five groups of four letters and digits.
#[must_use]
pub fn generate(chance: &dyn Chance) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 20];
    chance.fill(&mut bytes);
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters() {
        let code = |password: &str| {
            check(password, "ann@shop.example").err().map(|problem| problem.code.to_string())
        };
        let of = |n: usize| "épinard7-vélo Zut.".chars().cycle().take(n).collect::<String>();
        assert_eq!(code(&of(LEN_MIN - 1)).as_deref(), Some("password.length"));
        assert_eq!(code(&of(LEN_MIN)), None);
        assert_eq!(code(&of(LEN_MAX)), None);
        assert!(is_possible(&of(LEN_MAX)) && !is_possible(&of(LEN_MAX + 1)));
        // As long, but written with accents of their own.
        let apart = of(LEN_MAX).replace('\u{e9}', "e\u{301}");
        assert_eq!((code(&apart), is_possible(&apart)), (None, true));
        assert_eq!(code(&of(LEN_MAX + 1)).as_deref(), Some("password.length"));
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for bad in [
            "password1234",
            "P@ssw0rd2026!",
            "passwordpassword",
            "motdepasse2026",
            "azertyuiop123",
            "123456789012",
            "qwertyuiop[]",
            "aaaaaaaaaaaaaaa",
            "ababababababab",
            "Administrator1",
            "987654321098",
            "1qaz2wsx3edc",
            "Bienvenue2026",
            "relance-2026-!",
            "letmeinplease",
        ] {
            assert_eq!(check(bad, "x@y.example").unwrap_err().code, "password.common", "{bad}");
        }
        for bad in ["ann.miller@shop.example!", "i am Ann.Miller 77"] {
            assert_eq!(check(bad, "ann.miller@shop.example").unwrap_err().code, "password.address", "{bad}");
        }
        for good in [
            "correct horse battery staple",
            "vXq9-mmzt-0pLw",
            "trois petits tambours",
            "ann likes long walks",
        ] {
            assert_eq!(check(good, "ann@shop.example"), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_hash_says_how_it_was_made_and_fits_its_password_only() {
        let kept = hash("correct horse battery staple", &[7; SALT_LEN]).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{kept}");
        assert!(verify("correct horse battery staple", Some(&kept)));
        assert!(!verify("correct horse battery stapl", Some(&kept)));
        assert_ne!(kept, hash("correct horse battery staple", &[8; SALT_LEN]).unwrap());
        for none in [None, Some(""), Some("$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA"), Some("plain")] {
            assert!(!verify("plain", none));
        }
        // One character, written in two ways.
        let kept = hash("caf\u{e9} caf\u{e9} caf\u{e9}", &[7; SALT_LEN]).unwrap();
        assert!(verify("cafe\u{301} cafe\u{301} cafe\u{301}", Some(&kept)));
    }

    #[test]
    fn who_comes_when_too_many_wait_is_sent_away() {
        let waiting = AtomicUsize::new(0);
        let places: Vec<_> = (0..WAITING_MAX + AT_ONCE).map(|_| Place::take(&waiting)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(Place::take(&waiting).is_none());
        drop(places);
        assert!(Place::take(&waiting).is_some());
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }
}

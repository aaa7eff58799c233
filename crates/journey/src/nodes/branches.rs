//! Branches that the file names, and shares of them: what several kinds of nodes read alike.

use model::{Amount, Place, Problem, Slug, doc};

use super::Reading;

/// All, in ten-thousandths.
pub const WHOLE: u32 = 10_000;

/// Whether a branch may have this name: a slug that means nothing else in links; reports it when not.
pub(crate) fn check_name(
    reading: &mut Reading<'_, '_>,
    name: &str,
    place: Place,
    path: &str,
    taken: &[&str],
) -> Option<()> {
    let read = match Slug::parse(name) {
        Ok(_) if taken.contains(&name) || name == "always" => {
            Err(Problem::new("journey.branch", format!("`{name}` already means something else here"))
                .value(name)
                .cure("give the branch another name"))
        }
        other => other.map(|_| ()),
    };
    reading.keep(read.map_err(|problem| problem.field(path).at(place)))
}

/// A share in per cent, as `12.5` or `12.5%`, in ten-thousandths; between nothing and all, both excluded.
pub(crate) fn share(reading: &mut Reading<'_, '_>, node: &doc::Node, path: &str) -> Option<u32> {
    let text = node.scalar().unwrap_or_default();
    let number = text.strip_suffix('%').unwrap_or(&text).trim_end();
    // An amount has four decimals; a hundredth of a per cent is the smallest share.
    let parts = Amount::parse(number).ok().filter(|amount| amount.0 % 100 == 0).map(|amount| amount.0 / 100);
    let share = parts.and_then(|parts| u32::try_from(parts).ok()).filter(|parts| (1..WHOLE).contains(parts));
    reading.keep(share.ok_or_else(|| {
        node.problem("journey.share", format!("`{text}` is not a share in per cent"))
            .field(path)
            .cure("write a number between 0.01 and 99.99, as in 12.5")
    }))
}

/// The place of the branch in which a number below [`WHOLE`] falls.
pub(crate) fn place_of(shares: &[u32], mut number: u32) -> usize {
    for (place, share) in shares.iter().enumerate() {
        if number < *share {
            return place;
        }
        number -= share;
    }
    shares.len().saturating_sub(1)
}

/// Equal shares of all; the first get what is left over.
pub(crate) fn equal(n: usize) -> Vec<u32> {
    let n = u32::try_from(n.max(1)).unwrap_or(1);
    (0..n).map(|i| WHOLE / n + u32::from(i < WHOLE % n)).collect()
}

//! Categories and pictures for products that the data set knows only by name.

use super::pictures::{HUES, Shape};

/// Words of a product's name with the category and shape that they stand for; the first that matches wins.
const SHELVES: &[(&[&str], &str, Shape)] = &[
    (&["CHRISTMAS", "XMAS", "ADVENT", "SNOW", "REINDEER", "SANTA"], "/Seasonal/Christmas", Shape::Star),
    (&["EASTER", "EGG"], "/Seasonal/Easter", Shape::Star),
    (&["LUNCH BAG", "BAG", "TOTE", "PURSE", "SUITCASE"], "/Bags", Shape::Bag),
    (&["MUG", "CUP", "TEACUP"], "/Kitchen/Mugs and cups", Shape::Mug),
    (
        &[
            "CAKE", "BAKING", "BOWL", "PLATE", "JAR", "TEA", "COFFEE", "KITCHEN", "SPOON", "TRAY", "BOTTLE",
            "TIN",
        ],
        "/Kitchen/Cooking and baking",
        Shape::Mug,
    ),
    (&["LANTERN", "LIGHT", "CANDLE", "LAMP", "CHANDELIER"], "/Home/Lighting", Shape::Lantern),
    (&["CUSHION", "QUILT", "BLANKET", "TOWEL", "DOORMAT", "RUG", "FABRIC"], "/Home/Textiles", Shape::Cushion),
    (
        &["CARD", "WRAP", "PAPER", "NOTEBOOK", "PENCIL", "STICKER", "RIBBON", "TAPE"],
        "/Paper and cards",
        Shape::Card,
    ),
    (
        &["NECKLACE", "EARRING", "BRACELET", "RING", "JEWEL", "BEAD", "HAIR"],
        "/Jewellery and accessories",
        Shape::Necklace,
    ),
    (
        &[
            "TOY", "GAME", "DOLL", "CHILD", "KIDS", "PLAY", "PUZZLE", "BALLOON", "SKITTLE", "SOLDIER",
            "SKIPPING",
        ],
        "/Toys and games",
        Shape::Ball,
    ),
    (&["GARDEN", "PLANT", "FLOWER", "HERB", "BIRD", "WATERING", "PARASOL"], "/Garden", Shape::Plant),
    (
        &["CLOCK", "FRAME", "MIRROR", "HOOK", "SIGN", "DRAWER", "CABINET", "HEART", "WALL"],
        "/Home/Decoration",
        Shape::Gift,
    ),
];

/// The category and shape of a product by its name.
#[must_use]
pub fn shelf(name: &str) -> (&'static str, Shape) {
    let upper = name.to_uppercase();
    SHELVES
        .iter()
        .find(|(words, ..)| words.iter().any(|word| upper.contains(word)))
        .map_or(("/Gifts", Shape::Gift), |(_, category, shape)| (*category, *shape))
}

/// A hue for a product: always the same for the same code.
#[must_use]
pub fn hue(code: &str) -> u32 {
    code.bytes().fold(7_u32, |n, b| n.wrapping_mul(31).wrapping_add(u32::from(b))) % HUES
}

/// A product's name as a shop would show it: `WHITE METAL LANTERN` is shouted.
#[must_use]
pub fn spoken(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let mut letters = lower.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

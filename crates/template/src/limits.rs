//! How much a template may hold and use. Each limit is tested at its edge and one past it.

/// Longest template file, in bytes.
pub const FILE_LEN_MAX: usize = 512 * 1024;
/// Most blocks in a template, those in columns counted.
pub const BLOCKS_MAX: usize = 200;
/// Most variables of a template.
pub const VARIABLES_MAX: usize = 100;
/// Most languages of a template.
pub const LANGUAGES_MAX: usize = 20;
/// Most columns side by side.
pub const COLUMNS_MAX: usize = 4;
/// Most rows of a product grid.
pub const GRID_ROWS_MAX: usize = 20;
/// Most columns of a product grid.
pub const GRID_COLUMNS_MAX: usize = 6;
/// Most products that a list variable hands over; further ones are not read.
pub const PRODUCTS_MAX: usize = 100;
/// Longest expression between `{{` and `}}`, in bytes.
pub const EXPRESSION_LEN_MAX: usize = 500;
/// Longest text value of a variable that is read, in characters; the rest is cut.
pub const VALUE_LEN_MAX: usize = 10_000;
/// Instructions that one expansion may use.
pub const FUEL: u64 = 200_000;
/// Largest HTML of one message, in bytes.
pub const HTML_LEN_MAX: usize = 2_000_000;
/// Size beyond which Gmail cuts a message, in bytes: a warning at compile.
pub const HTML_LEN_CLIPPED: usize = 102_000;
/// Longest subject, in characters; what is beyond is cut with an ellipsis.
pub const SUBJECT_LEN_MAX: usize = 250;
/// Most parts of a text message.
pub const SMS_SEGMENTS_MAX: usize = 10;
/// Longest text of a push, in characters; what is beyond is cut with an ellipsis.
pub const PUSH_TEXT_LEN_MAX: usize = 1_000;
/// Longest time that a push may wait for its device, in microseconds: 28 days, as push services keep them.
pub const PUSH_EXPIRY_MAX: i64 = 28 * 24 * 3_600 * 1_000_000;
/// Longest URL, in bytes.
pub const URL_LEN_MAX: usize = 2_000;

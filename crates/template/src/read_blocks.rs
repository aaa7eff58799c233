//! Reads the blocks of a template file.

use model::{
    Place, Problem,
    doc::{Data, Fields, Node},
};

use crate::{
    document::{Align, Block, CartBlock, Column, Element, Grid, Image, Kind, Layout, Shape, Target, Text},
    limits::{BLOCKS_MAX, COLUMNS_MAX, GRID_COLUMNS_MAX, GRID_ROWS_MAX, PRODUCTS_MAX},
    read::Reader,
};

/// Social networks that have a name of their own; others take their key.
pub(crate) const NETWORKS: [(&str, &str); 10] = [
    ("facebook", "Facebook"),
    ("instagram", "Instagram"),
    ("linkedin", "LinkedIn"),
    ("pinterest", "Pinterest"),
    ("snapchat", "Snapchat"),
    ("tiktok", "TikTok"),
    ("whatsapp", "WhatsApp"),
    ("x", "X"),
    ("youtube", "YouTube"),
    ("website", "Website"),
];

pub(crate) fn blocks(reader: &mut Reader, node: &Node, path: &str, outer: bool) -> Vec<Block> {
    let Some(items) = node.items() else {
        reader.error(node, path, "doc.type", format!("expected a list of blocks, found {}", node.kind()));
        return Vec::new();
    };
    let mut read = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        reader.blocks += 1;
        if reader.blocks == BLOCKS_MAX + 1 {
            reader.error(item, path, "template.blocks", format!("more than {BLOCKS_MAX} blocks"));
        }
        read.extend(block(reader, item, &format!("{path}.{i}"), outer));
    }
    read
}

fn block(reader: &mut Reader, node: &Node, path: &str, outer: bool) -> Option<Block> {
    let mut fields = reader.ok(node.fields(path))?;
    let kind_node = reader.ok(fields.required("kind"))?;
    let word = reader.word(kind_node, format!("{path}.kind"), &Kind::WORDS)?;
    let show = fields.optional("show").cloned();
    let background = reader.color(&mut fields, "background");
    let padding = padding(reader, &mut fields);
    let align = fields.optional("align").and_then(|node| {
        let word = reader.word(node, format!("{path}.align"), &["left", "center", "right"])?;
        Some(match word {
            "left" => Align::Left,
            "center" => Align::Center,
            _ => Align::Right,
        })
    });
    if !outer && matches!(word, "columns" | "header" | "footer") {
        reader.error(
            kind_node,
            format!("{path}.kind"),
            "template.nested",
            format!("{word} cannot stand in a column"),
        );
    }
    let kind = kind(reader, &mut fields, word, node.place);
    let centred = matches!(word, "button" | "image" | "social" | "coupon" | "header" | "footer");
    reader.problems.extend(fields.finish());
    Some(Block {
        field: path.to_owned(),
        show,
        background,
        padding,
        align: align.unwrap_or(if centred { Align::Center } else { Align::Left }),
        kind: kind?,
    })
}

fn kind(reader: &mut Reader, fields: &mut Fields<'_>, word: &str, place: Place) -> Option<Kind> {
    Some(match word {
        "header" => Kind::Header {
            text: reader.text(fields, "text"),
            image: fields
                .optional("image")
                .is_some()
                .then(|| image(reader, fields, "image", place))
                .flatten(),
            link: target(reader, fields),
            view_in_browser: reader.boolean(fields, "view_in_browser", false),
            color: reader.color(fields, "color"),
        },
        "text" => Kind::Text {
            text: reader.required_text(fields, "text")?,
            color: reader.color(fields, "color"),
            size: reader.number(fields, "size", 10, 48).unwrap_or(16),
        },
        "image" => {
            let image = image(reader, fields, "src", place);
            Kind::Image(image?, target(reader, fields))
        }
        "button" => {
            let text = reader.required_text(fields, "text");
            let link = required_target(reader, fields);
            let full_width = reader.boolean(fields, "full_width", false);
            Kind::Button { text: text?, link: link?, full_width }
        }
        "columns" => {
            let stack = reader.boolean(fields, "stack", true);
            Kind::Columns { columns: columns(reader, fields)?, stack }
        }
        "divider" => Kind::Divider {
            color: reader.color(fields, "color"),
            thickness: reader.number(fields, "thickness", 1, 20).unwrap_or(1),
        },
        "spacer" => Kind::Spacer { height: reader.number(fields, "height", 1, 200).unwrap_or(24) },
        "social" => Kind::Social { links: social(reader, fields)? },
        "html" => {
            let html = reader.required_text(fields, "html");
            Kind::Html { text: reader.text(fields, "text"), html: html? }
        }
        "products" => Kind::Products(grid(reader, fields)?),
        "cart" => Kind::Cart(cart(reader, fields)?),
        "coupon" => {
            let code = reader.required_text(fields, "code");
            Kind::Coupon {
                text: reader.text(fields, "text"),
                link: target(reader, fields),
                button: reader.text(fields, "button"),
                code: code?,
            }
        }
        _ => {
            let address = reader.required_text(fields, "address");
            Kind::Footer {
                text: reader.text(fields, "text"),
                unsubscribe: reader.boolean(fields, "unsubscribe", true),
                preferences: reader.boolean(fields, "preferences", true),
                address: address?,
            }
        }
    })
}

/// `padding: 20` or `padding: [10, 30]`, above and below.
fn padding(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<(u32, u32)> {
    let field = fields.path_of("padding");
    let node = fields.optional("padding")?;
    let pixels =
        |node: &Node| node.integer().filter(|n| (0..=200).contains(n)).and_then(|n| u32::try_from(n).ok());
    let read = match node.items() {
        Some([above, below]) => pixels(above).zip(pixels(below)),
        Some(_) => None,
        None => pixels(node).map(|n| (n, n)),
    };
    if read.is_none() {
        reader.problems.push(
            node.problem("template.padding", "not a padding").field(field).cure(
                "write pixels from 0 to 200: `padding: 20`, or `padding: [10, 30]` for above and below",
            ),
        );
    }
    read
}

fn target(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Target> {
    let url = reader.text(fields, "link");
    let title = reader.text(fields, "title");
    url.map(|url| Target { url, title })
}

fn required_target(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Target> {
    reader.ok(fields.required("link").map(drop))?;
    target(reader, fields)
}

/// A picture needs words for those who do not see it: `alt: ""` says that it is mere ornament.
fn image(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str, place: Place) -> Option<Image> {
    let src = reader.required_text(fields, key);
    let alt = reader.text(fields, "alt");
    if alt.is_none() {
        reader.problems.push(
            Problem::new("template.alt", "the picture has no `alt` text")
                .field(fields.path_of("alt"))
                .at(place)
                .cure("say what it shows, or write `alt: \"\"` when it is mere ornament"),
        );
    }
    let width = reader.number(fields, "width", 1, 900);
    Some(Image { src: src?, alt: alt?, width })
}

fn columns(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Vec<Column>> {
    let path = fields.path_of("columns");
    let node = reader.ok(fields.required("columns"))?;
    let items = node.items().unwrap_or_default();
    if !(2..=COLUMNS_MAX).contains(&items.len()) {
        reader.error(node, &*path, "template.columns", format!("give 2 to {COLUMNS_MAX} columns"));
        return None;
    }
    let mut columns = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}.{i}");
        let mut fields = reader.ok(item.fields(&path))?;
        let width = reader.number(&mut fields, "width", 5, 95);
        let inner = reader.ok(fields.required("blocks"));
        let inner =
            inner.map(|node| blocks(reader, node, &format!("{path}.blocks"), false)).unwrap_or_default();
        reader.problems.extend(fields.finish());
        columns.push(Column { width, blocks: inner });
    }
    let given: Vec<u32> = columns.iter().filter_map(|column| column.width).collect();
    if !given.is_empty() && (given.len() != columns.len() || given.iter().sum::<u32>() != 100) {
        reader.error(node, path, "template.columns", "the widths do not add up to 100");
    }
    Some(columns)
}

fn social(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Vec<(String, Target)>> {
    let path = fields.path_of("links");
    let node = reader.ok(fields.required("links"))?;
    let Some(entries) = node.entries() else {
        reader.error(node, path, "doc.type", "expected a mapping of networks to links");
        return None;
    };
    let mut links = Vec::new();
    for entry in entries {
        let field = format!("{path}.{}", entry.key);
        let known = NETWORKS.iter().find(|(key, _)| *key == entry.key);
        let Some((_, name)) = known else {
            reader.problems.push(
                Problem::new("template.network", format!("`{}` is not a network", entry.key))
                    .field(field)
                    .at(entry.place)
                    .suggest(&entry.key, NETWORKS.iter().map(|(key, _)| *key)),
            );
            continue;
        };
        if let Some(url) = reader.localized_text(&entry.value, field) {
            links.push(((*name).to_owned(), Target { url, title: None }));
        }
    }
    Some(links)
}

fn shape(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str, default: Shape) -> Shape {
    let path = fields.path_of(key);
    let Some(node) = fields.optional(key) else { return default };
    let Some(mut fields) = reader.ok(node.fields(&path)) else { return default };
    let rows =
        reader.number(&mut fields, "rows", 1, GRID_ROWS_MAX as i64).map_or(default.rows, |n| n as usize);
    let columns = reader
        .number(&mut fields, "columns", 1, GRID_COLUMNS_MAX as i64)
        .map_or(default.columns, |n| n as usize);
    reader.problems.extend(fields.finish());
    Shape { rows, columns }
}

fn elements(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    key: &'static str,
    words: &[&str],
    default: Vec<Element>,
) -> Vec<Element> {
    let path = fields.path_of(key);
    let Some(node) = fields.optional(key) else { return default };
    let Some(items) = node.items() else {
        reader.error(node, path, "doc.type", format!("expected a list of: {}", words.join(", ")));
        return default;
    };
    let mut read = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}.{i}");
        if matches!(item.data, Data::Map(_)) {
            let Some(mut fields) = reader.ok(item.fields(&path)) else { continue };
            read.extend(reader.required_text(&mut fields, "text").map(Element::Text));
            reader.problems.extend(fields.finish());
            continue;
        }
        let Some(word) = reader.word(item, path, words) else { continue };
        read.push(match word {
            "image" => Element::Image,
            "name" => Element::Name,
            "brand" => Element::Brand,
            "description" => Element::Description,
            "price" => Element::Price,
            "original_price" => Element::OriginalPrice,
            "discount" => Element::Discount,
            "rating" => Element::Rating,
            "quantity" => Element::Quantity,
            "total" => Element::Total,
            _ => Element::Button,
        });
    }
    read
}

fn grid(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Grid> {
    let products = fields.required_text("products");
    let desktop = shape(reader, fields, "desktop", Shape { rows: 2, columns: 3 });
    let mobile = shape(reader, fields, "mobile", Shape { rows: 3, columns: 2 });
    let usual =
        vec![Element::Image, Element::Name, Element::OriginalPrice, Element::Price, Element::Discount];
    let mut card = elements(reader, fields, "card", &Element::WORDS, usual);
    let button: Option<Text> = reader.text(fields, "button");
    let has_button = card.iter().any(|element| matches!(element, Element::Button));
    if button.is_some() && !has_button {
        card.push(Element::Button);
    }
    let layout = fields
        .optional("layout")
        .and_then(|node| reader.word(node, "layout".into(), &["vertical", "image_left", "image_right"]));
    Some(Grid {
        incomplete_rows: reader.boolean(fields, "incomplete_rows", true),
        whole_card: reader.boolean(fields, "whole_card", false),
        layout: match layout {
            Some("image_left") => Layout::ImageLeft,
            Some("image_right") => Layout::ImageRight,
            _ => Layout::Vertical,
        },
        title: reader.text(fields, "title"),
        products: reader.ok(products)?.to_owned(),
        desktop,
        mobile,
        card,
        button,
    })
}

fn cart(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<CartBlock> {
    let name = fields.required_text("cart");
    let usual = vec![Element::Image, Element::Name, Element::Quantity, Element::Price];
    Some(CartBlock {
        products: reader.number(fields, "products", 1, PRODUCTS_MAX as i64).map_or(5, |n| n as usize),
        line: elements(reader, fields, "line", &Element::CART_WORDS, usual),
        total: reader.boolean(fields, "total", true),
        button: reader.text(fields, "button"),
        title: reader.text(fields, "title"),
        cart: reader.ok(name)?.to_owned(),
    })
}

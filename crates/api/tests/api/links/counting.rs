//! Opens and clicks, of people and of machines.

use api::links::settle_clicks;
use axum::http::{Method, StatusCode};
use delivery::{LinkKind, machine};
use model::{Channel, Event, Timestamp, event::kind};
use serde_json::json;
use storage::consents::{ConsentStore, ShortLink};
use testkit::block_on;

use super::{Shop, slug};

async fn of_kind(shop: &Shop, wanted: &str) -> Vec<Event> {
    shop.events(shop.ann).await.into_iter().filter(|event| event.kind == wanted).collect()
}

async fn judged(shop: &Shop) -> Vec<Event> {
    shop.server.clock.forward(machine::JUDGED_AFTER);
    assert_eq!(settle_clicks(&shop.server.app).await.unwrap(), 0);
    of_kind(shop, kind::EMAIL_CLICKED).await
}

#[test]
fn opens_are_recorded_once_and_a_machines_does_not_hide_a_persons() {
    block_on(async {
        let shop = Shop::new().await;
        let path = format!("{}.gif", shop.path(LinkKind::Open));
        let apple = [("user-agent", "Mozilla/5.0")];
        for _ in 0..2 {
            let answer = shop.request(Method::GET, &path, &apple, "").await;
            assert_eq!(answer.head.headers["content-type"], "image/gif");
            assert_eq!(answer.head.headers["cache-control"], "no-store");
            assert!(answer.bytes.starts_with(b"GIF89a"));
        }
        shop.request(Method::HEAD, &path, &[], "").await;
        let opens = of_kind(&shop, kind::EMAIL_OPENED).await;
        assert_eq!(opens.len(), 1);
        assert_eq!(
            (&opens[0].properties["machine"], &opens[0].properties["why"]),
            (&json!(true), &json!("apple_privacy"))
        );
        for _ in 0..2 {
            shop.get(&path).await;
        }
        let opens = of_kind(&shop, kind::EMAIL_OPENED).await;
        assert_eq!(opens.len(), 2);
        assert!(!opens[1].properties.contains_key("machine"));
        assert_eq!(opens[1].properties["node"], "newsletter-email");
    });
}

#[test]
fn gmails_proxy_opens_for_a_person_but_not_just_after_delivery() {
    block_on(async {
        let shop = Shop::new().await;
        let gmail = [(
            "user-agent",
            "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        )];
        shop.request(Method::GET, &shop.path(LinkKind::Open), &gmail, "").await;
        let late = of_kind(&shop, kind::EMAIL_OPENED).await.remove(0);
        assert_eq!((late.properties.get("machine"), &late.properties["proxy"]), (None, &json!("gmail")));
        let fresh = shop.sent(shop.ann, "care", Channel::Email).await;
        shop.server.clock.forward(machine::AHEAD - 1 - Timestamp::HOUR);
        let link = delivery::links::Link { message: fresh, ..shop.link(LinkKind::Open, "care") };
        shop.request(Method::GET, &shop.path_of(&link), &gmail, "").await;
        let ahead = of_kind(&shop, kind::EMAIL_OPENED).await;
        let ahead = ahead.iter().find(|event| event.properties["purpose"] == "care").unwrap();
        assert_eq!(ahead.properties["why"], "loaded_ahead");
    });
}

#[test]
fn a_click_goes_on_and_is_recorded_when_it_is_judged() {
    block_on(async {
        let shop = Shop::new().await;
        let url = "https://shop.example/été?a=b&c=d#e";
        let answer = shop.get(&shop.click(url)).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert_eq!(answer.head.headers["location"], "https://shop.example/%C3%A9t%C3%A9?a=b&c=d#e");
        assert_eq!(answer.head.headers["referrer-policy"], "no-referrer");
        assert!(of_kind(&shop, kind::EMAIL_CLICKED).await.is_empty());
        assert_eq!(settle_clicks(&shop.server.app).await.unwrap(), 1, "too fresh to judge");
        shop.get(&shop.click(url)).await;
        let clicks = judged(&shop).await;
        assert_eq!(clicks.len(), 1, "the same link twice is one click");
        assert_eq!(
            (&clicks[0].properties["link"], &clicks[0].properties["url"]),
            (&json!("Shop"), &json!(url))
        );
        assert!(!clicks[0].properties.contains_key("machine"));
    });
}

#[test]
fn scanners_clicks_are_machines() {
    block_on(async {
        // A HEAD before a GET, from what looks like a browser.
        let shop = Shop::new().await;
        let path = shop.click("https://shop.example/a");
        let head = shop.request(Method::HEAD, &path, &[], "").await;
        assert_eq!(
            (head.status(), head.head.headers["location"].to_str().unwrap()),
            (StatusCode::FOUND, "https://shop.example/a")
        );
        shop.get(&path).await;
        let clicks = judged(&shop).await;
        assert_eq!(clicks.len(), 1, "a HEAD alone is no click");
        assert_eq!(clicks[0].properties["why"], "head");
        // Later a person clicks the same link.
        shop.get(&path).await;
        let clicks = judged(&shop).await;
        assert_eq!((clicks.len(), clicks[1].properties.get("machine")), (2, None));
        // Every link of the mail at once.
        let shop = Shop::new().await;
        for n in 0..machine::BURST_LINKS {
            shop.get(&shop.click(&format!("https://shop.example/{n}"))).await;
        }
        let clicks = judged(&shop).await;
        assert!(clicks.iter().all(|click| click.properties["why"] == "burst"), "{clicks:?}");
    });
}

#[test]
fn links_of_text_messages_are_short_and_counted() {
    block_on(async {
        let shop = Shop::new().await;
        let message = shop.sent(shop.ann, "newsletter", Channel::Sms).await;
        let code = shop.server.app.links.short_code(message, 0);
        let link =
            ShortLink { code: code.clone(), message, link: 0, url: "https://shop.example/cart".into() };
        shop.server.store.save_short_links(vec![link.clone(), link]).await.unwrap();
        let answer = shop.get(&format!("/s/{code}")).await;
        assert_eq!(answer.head.headers["location"], "https://shop.example/cart");
        judged(&shop).await;
        let clicks = of_kind(&shop, kind::SMS_CLICKED).await;
        assert_eq!(clicks[0].properties["url"], "https://shop.example/cart");
        for bad in ["", "short", "AAAAAAAAAA", &format!("{code}x")] {
            let answer = shop.get(&format!("/s/{bad}")).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{bad}");
        }
        assert_eq!(slug("newsletter").as_str(), "newsletter");
    });
}

#[test]
fn links_lead_on_when_their_message_is_no_more() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.message = model::MessageId([9; 16]);
        let answer = shop.get(&shop.click("https://shop.example/a")).await;
        assert_eq!(answer.head.headers["location"], "https://shop.example/a");
        assert!(judged(&shop).await.is_empty());
        assert!(shop.get(&shop.path(LinkKind::Open)).await.bytes.starts_with(b"GIF89a"));
    });
}

"""A shop's server that uses Segment's library for Python as it is: HOST KEY [gzip]."""

import sys
from datetime import datetime, timedelta, timezone

from segment.analytics.client import Client

host, key = sys.argv[1:3]
errors = []
client = Client(
    key, host=host, gzip="gzip" in sys.argv[3:], on_error=lambda error, batch: errors.append(str(error)), max_retries=2
)
products = [
    {"product_id": "py-mug", "name": "Mug", "price": 4.5, "quantity": 2},
    {"product_id": "py-cup", "name": "Cup", "price": 3, "quantity": 1},
]
user = "py-1"
client.identify(user, {"email": "pia@shop.example", "firstName": "Pia", "plan": "gold", "since": datetime(2025, 1, 2)})
client.track(user, "Product Viewed", {"product_id": "py-mug", "name": "Mug", "price": 4.5, "currency": "EUR"})
client.page(user, "Shop", "Mugs", {"url": "https://shop.example/mugs"})
client.screen(user, "Home", "Start")
client.group(user, "club", {"size": 3})
client.track(user, "Product Added", {"cart_id": "py-cart", "currency": "EUR", **products[0]})
client.track(user, "Product Added", {"cart_id": "py-cart", "currency": "EUR", **products[1]})
client.track(
    user,
    "Order Completed",
    {"order_id": "py-o", "cart_id": "py-cart", "total": 12, "currency": "EUR", "products": products},
    timestamp=datetime.now(timezone.utc) - timedelta(days=2),
)
client.track(user, "Product Added", {"cart_id": "py-next", "currency": "EUR", **products[1]})
client.track(anonymous_id="py-browser", event="Product Viewed", properties={"product_id": "py-cup"})
client.alias("py-before", user)
client.flush()
# What is refused is told to the library, and it does not try for ever.
client.track(user, "Segment Entered", {"segment": "rich"})
client.flush()
client.join()
print("\n".join(errors))

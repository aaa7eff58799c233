-- Who did something with a product: see EventStore::find_by_product.

-- For a price that drops, a product that is back or nearly gone: events with a product of their own, by product, kind and
-- time. The contact stands in the key of the table, so the index alone answers.
CREATE INDEX events_by_product ON events (json_extract(properties, '$.product_id'), kind_id, at)
WHERE instr(properties, '"product_id"') > 0;

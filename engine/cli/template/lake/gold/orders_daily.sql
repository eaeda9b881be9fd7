-- One row per day and country. SET: distinct orders of that day.
CREATE TABLE gold.orders_daily (
    order_date   DATE   NOT NULL COMMENT 'UTC day of the order',
    country      STRING NOT NULL COMMENT 'ISO 3166-1 alpha-2, ZZ if unknown',
    orders       BIGINT NOT NULL COMMENT 'distinct orders',
    total_micros BIGINT NOT NULL COMMENT 'their value, millionths of the currency',
    PRIMARY KEY (order_date, country),
    CONSTRAINT some_orders CHECK (orders > 0)
)
PARTITIONED BY (order_date);

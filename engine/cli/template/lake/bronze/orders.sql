-- One row per order as the shop sent it.
CREATE TABLE bronze.orders (
    order_id     STRING    NOT NULL COMMENT 'set by the shop; equal for resent copies',
    ordered_at   TIMESTAMP NOT NULL COMMENT 'shop clock, UTC',
    country      STRING             COMMENT 'ISO 3166-1 alpha-2',
    total_micros BIGINT    NOT NULL COMMENT 'order value, millionths of the currency',
    CONSTRAINT total_not_negative CHECK (total_micros >= 0)
)
PARTITIONED BY (_ingest_date)
TBLPROPERTIES ('lake.source' = 'folder:orders');

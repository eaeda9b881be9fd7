-- One row per day, advertiser, campaign, creative, break type, country, device type and currency: how ads ran and what
-- they earned. SET: impressions, not test, by the day of their playback's corrected start. Every measure can be added
-- up within a currency. Quartiles are implied by later ones; skips and clicks imply nothing. CPM bills the impression,
-- CPC every distinct click, CPV one start, CPCV one complete, FLAT and HOUSE nothing. Micros are rounded once per row:
-- add up nanos.
CREATE TABLE gold.ad_daily (
    report_date         DATE      NOT NULL COMMENT 'Day of the corrected start of the playback, in the reporting time zone',
    advertiser_id       STRING    NOT NULL COMMENT 'Advertiser; unknown where none was sent',
    campaign_id         STRING    NOT NULL COMMENT 'Campaign; unknown where none was sent',
    creative_id         STRING    NOT NULL COMMENT 'Creative; unknown where none was sent',
    break_type          STRING    NOT NULL COMMENT 'preroll, midroll, postroll or unknown',
    country             STRING    NOT NULL COMMENT 'ISO 3166-1 alpha-2; ZZ unknown',
    device_type         STRING    NOT NULL COMMENT 'desktop, mobile, tablet, tv, console, stb, other or unknown',
    currency            STRING    NOT NULL COMMENT 'ISO 4217; XXX where there is none',
    impressions         BIGINT    NOT NULL COMMENT 'Ads shown',
    starts              BIGINT    NOT NULL COMMENT 'Of them, started',
    first_quartiles     BIGINT    NOT NULL COMMENT 'Of them, played to 25 %',
    midpoints           BIGINT    NOT NULL COMMENT 'Of them, played to 50 %',
    third_quartiles     BIGINT    NOT NULL COMMENT 'Of them, played to 75 %',
    completes           BIGINT    NOT NULL COMMENT 'Of them, played to the end',
    skippable_starts    BIGINT    NOT NULL COMMENT 'Started ones that could be skipped',
    skips               BIGINT    NOT NULL COMMENT 'Skipped ones',
    clicks_total        BIGINT    NOT NULL COMMENT 'Distinct clicks',
    clicked_impressions BIGINT    NOT NULL COMMENT 'Impressions clicked at least once',
    errors              BIGINT    NOT NULL COMMENT 'Impressions with an error',
    ad_ms               BIGINT    NOT NULL COMMENT 'Ads played, ms',
    revenue_nanos       DECIMAL(38, 0) NOT NULL COMMENT 'Earned, exact, thousand-millionths of the currency',
    revenue_micros      DECIMAL(38, 0) NOT NULL COMMENT 'Earned, millionths of the currency, rounded',
    PRIMARY KEY (report_date, advertiser_id, campaign_id, creative_id, break_type, country, device_type, currency),
    CONSTRAINT quartiles_in_order CHECK (impressions >= starts AND starts >= first_quartiles AND first_quartiles >= midpoints AND midpoints >= third_quartiles AND third_quartiles >= completes),
    CONSTRAINT skippable_within_starts CHECK (skippable_starts <= starts),
    CONSTRAINT skips_within_impressions CHECK (skips <= impressions),
    CONSTRAINT clicked_within_clicks CHECK (clicked_impressions <= impressions AND clicked_impressions <= clicks_total),
    CONSTRAINT money_not_negative CHECK (revenue_nanos >= 0 AND revenue_micros >= 0)
)
PARTITIONED BY (report_date);

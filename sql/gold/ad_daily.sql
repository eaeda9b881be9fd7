/*---
about   = "One row per day, advertiser, campaign, creative, break type, country, device type and currency: how ads ran and what they earned"
refresh = "full"

[check]
no_impression_lost = "(SELECT coalesce(sum(impressions), 0) FROM this) = (SELECT count(*) FROM silver.ad_impressions WHERE NOT is_test)"
no_money_lost      = "(SELECT coalesce(sum(revenue_nanos), 0) FROM this) = (SELECT coalesce(sum(revenue_nanos), 0) FROM silver.ad_impressions WHERE NOT is_test)"
---*/

-- SET: impressions, not test, by the day of their playback's corrected start. What is not known is 'unknown',
-- country ZZ, currency XXX (ISO 4217: none). Micros are rounded once per row, from exact nanos.
-- An ad has 10^10 ms at most: its sum fits in 64 bits up to 9 * 10^8 impressions in a row. Money is DECIMAL(38, 0).

SELECT
    report_date,
    coalesce(advertiser_id, 'unknown')  AS advertiser_id,
    coalesce(campaign_id, 'unknown')    AS campaign_id,
    coalesce(creative_id, 'unknown')    AS creative_id,
    coalesce(break_type, 'unknown')     AS break_type,
    coalesce(country, 'ZZ')             AS country,
    coalesce(device_type, 'unknown')    AS device_type,
    coalesce(currency, 'XXX')           AS currency,
    count(*)                            AS impressions,
    sum(CAST(started AS BIGINT))        AS starts,
    sum(CAST(first_quartile AS BIGINT)) AS first_quartiles,
    sum(CAST(midpoint AS BIGINT))       AS midpoints,
    sum(CAST(third_quartile AS BIGINT)) AS third_quartiles,
    sum(CAST(completed AS BIGINT))      AS completes,
    sum(CASE WHEN skippable = 1 AND started = 1 THEN 1 ELSE 0 END) AS skippable_starts,
    sum(CAST(skipped AS BIGINT))        AS skips,
    sum(click_count)                    AS clicks_total,
    sum(CAST(clicked AS BIGINT))        AS clicked_impressions,
    sum(CAST(failed AS BIGINT))         AS errors,
    sum(ad_ms)                          AS ad_ms,
    sum(revenue_nanos)                  AS revenue_nanos,
    -- The quotient has four decimals, so it is exact; the cast rounds halves up.
    CAST(sum(revenue_nanos) / 1000 AS DECIMAL(38, 0)) AS revenue_micros
FROM silver.ad_impressions
WHERE NOT is_test
GROUP BY
    report_date,
    coalesce(advertiser_id, 'unknown'),
    coalesce(campaign_id, 'unknown'),
    coalesce(creative_id, 'unknown'),
    coalesce(break_type, 'unknown'),
    coalesce(country, 'ZZ'),
    coalesce(device_type, 'unknown'),
    coalesce(currency, 'XXX')

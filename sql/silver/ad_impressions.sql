/*---
about   = "One row per ad impression: one rendering of one ad in one playback, how far it ran and what it earned"
refresh = "full"

[check]
every_impression_is_here = "(SELECT count(*) FROM this) = (SELECT count(*) FROM (SELECT DISTINCT playback_id, ad.impression_id AS impression_id FROM silver.events WHERE family = 'ad' AND type = 'impression' AND playback_id IS NOT NULL AND ad.impression_id IS NOT NULL))"
---*/

-- An impression needs its impression event; other ad events alone prove nothing to bill. A quartile or a complete
-- implies what comes before it, since beacons get lost; skip and click imply nothing. It is dated by its playback.

WITH ad_events AS (
    SELECT
        playback_id,
        event_id,
        type,
        seq,
        event_ts,
        ad.impression_id      AS impression_id,
        ad.ad_break_id        AS ad_break_id,
        ad.break_type         AS break_type,
        ad.break_position_ms  AS break_position_ms,
        ad.pod_position       AS pod_position,
        ad.pod_size           AS pod_size,
        ad.ad_id              AS ad_id,
        ad.creative_id        AS creative_id,
        ad.campaign_id        AS campaign_id,
        ad.line_item_id       AS line_item_id,
        ad.advertiser_id      AS advertiser_id,
        ad.skippable          AS skippable,
        ad.insertion          AS insertion,
        ad.format             AS format,
        ad.pricing_model      AS pricing_model,
        ad.currency           AS currency,
        ad.viewability        AS viewability,
        ad.error_code         AS error_code,
        ad.click_id           AS click_id,
        -- The bounds of bronze.events: what came before it had them is unknown where it is beyond.
        CASE WHEN ad.ad_duration_ms <= 10000000000 THEN ad.ad_duration_ms END   AS ad_duration_ms,
        CASE WHEN ad.ad_position_ms <= 10000000000 THEN ad.ad_position_ms END   AS ad_position_ms,
        CASE WHEN ad.price_micros < 1000000000000000 THEN ad.price_micros END   AS price_micros
    FROM silver.events
    WHERE family = 'ad' AND playback_id IS NOT NULL AND ad.impression_id IS NOT NULL
),

impressions AS (
    SELECT
        playback_id,
        impression_id,
        first_value(ad_break_id ORDER BY seq, event_ts, event_id) FILTER (WHERE ad_break_id IS NOT NULL)             AS ad_break_id,
        first_value(break_type ORDER BY seq, event_ts, event_id) FILTER (WHERE break_type IS NOT NULL)               AS break_type,
        first_value(break_position_ms ORDER BY seq, event_ts, event_id) FILTER (WHERE break_position_ms IS NOT NULL) AS break_position_ms,
        first_value(pod_position ORDER BY seq, event_ts, event_id) FILTER (WHERE pod_position IS NOT NULL)           AS pod_position,
        first_value(pod_size ORDER BY seq, event_ts, event_id) FILTER (WHERE pod_size IS NOT NULL)                   AS pod_size,
        first_value(ad_id ORDER BY seq, event_ts, event_id) FILTER (WHERE ad_id IS NOT NULL)                         AS ad_id,
        first_value(creative_id ORDER BY seq, event_ts, event_id) FILTER (WHERE creative_id IS NOT NULL)             AS creative_id,
        first_value(campaign_id ORDER BY seq, event_ts, event_id) FILTER (WHERE campaign_id IS NOT NULL)             AS campaign_id,
        first_value(line_item_id ORDER BY seq, event_ts, event_id) FILTER (WHERE line_item_id IS NOT NULL)           AS line_item_id,
        first_value(advertiser_id ORDER BY seq, event_ts, event_id) FILTER (WHERE advertiser_id IS NOT NULL)         AS advertiser_id,
        first_value(ad_duration_ms ORDER BY seq, event_ts, event_id) FILTER (WHERE ad_duration_ms IS NOT NULL)       AS ad_duration_ms,
        first_value(skippable ORDER BY seq, event_ts, event_id) FILTER (WHERE skippable IS NOT NULL)                 AS skippable,
        first_value(insertion ORDER BY seq, event_ts, event_id) FILTER (WHERE insertion IS NOT NULL)                 AS insertion,
        first_value(format ORDER BY seq, event_ts, event_id) FILTER (WHERE format IS NOT NULL)                       AS format,
        first_value(pricing_model ORDER BY seq, event_ts, event_id) FILTER (WHERE pricing_model IS NOT NULL)         AS pricing_model,
        first_value(price_micros ORDER BY seq, event_ts, event_id) FILTER (WHERE price_micros IS NOT NULL)           AS price_micros,
        first_value(currency ORDER BY seq, event_ts, event_id) FILTER (WHERE currency IS NOT NULL)                   AS currency,
        first_value(error_code ORDER BY seq, event_ts, event_id) FILTER (WHERE type = 'error' AND error_code IS NOT NULL) AS error_code,
        max(CASE WHEN type IN ('start', 'first_quartile', 'midpoint', 'third_quartile', 'complete') THEN 1 ELSE 0 END) AS started,
        max(CASE WHEN type IN ('first_quartile', 'midpoint', 'third_quartile', 'complete') THEN 1 ELSE 0 END)        AS first_quartile,
        max(CASE WHEN type IN ('midpoint', 'third_quartile', 'complete') THEN 1 ELSE 0 END)                          AS midpoint,
        max(CASE WHEN type IN ('third_quartile', 'complete') THEN 1 ELSE 0 END)                                      AS third_quartile,
        max(CASE WHEN type = 'complete' THEN 1 ELSE 0 END)                                                           AS completed,
        max(CASE WHEN type = 'skip' THEN 1 ELSE 0 END)                                                               AS skipped,
        max(CASE WHEN type = 'mute' THEN 1 ELSE 0 END)                                                               AS muted,
        max(CASE WHEN type = 'error' THEN 1 ELSE 0 END)                                                              AS failed,
        -- Two events of one click are one click.
        count(DISTINCT CASE WHEN type = 'click' THEN coalesce(click_id, event_id) END)                               AS click_count,
        min(CASE WHEN type = 'skip' THEN ad_position_ms END)                                                         AS skip_at_ms,
        max(ad_position_ms)                                                                                          AS last_position_ms,
        max(CASE WHEN type = 'viewability' THEN CASE viewability WHEN 'viewable' THEN 3 WHEN 'not_viewable' THEN 2 ELSE 1 END END) AS viewability_rank
    FROM ad_events
    GROUP BY playback_id, impression_id
    HAVING max(CASE WHEN type = 'impression' THEN 1 ELSE 0 END) = 1
)

SELECT
    impressions.playback_id,
    impressions.impression_id,
    playbacks.video_id,
    playbacks.content_version,
    playbacks.user_key,
    playbacks.country,
    playbacks.device_type,
    playbacks.is_test,
    playbacks.mode,
    impressions.ad_break_id,
    impressions.break_type,
    impressions.break_position_ms,
    impressions.pod_position,
    impressions.pod_size,
    impressions.ad_id,
    impressions.creative_id,
    impressions.campaign_id,
    impressions.line_item_id,
    impressions.advertiser_id,
    impressions.insertion,
    impressions.format,
    impressions.ad_duration_ms,
    CAST(CASE WHEN impressions.skippable THEN 1 ELSE 0 END AS INT)        AS skippable,
    CAST(impressions.started AS INT)                                      AS started,
    CAST(impressions.first_quartile AS INT)                               AS first_quartile,
    CAST(impressions.midpoint AS INT)                                     AS midpoint,
    CAST(impressions.third_quartile AS INT)                               AS third_quartile,
    CAST(impressions.completed AS INT)                                    AS completed,
    CAST(impressions.skipped AS INT)                                      AS skipped,
    impressions.skip_at_ms,
    impressions.click_count,
    CAST(CASE WHEN impressions.click_count > 0 THEN 1 ELSE 0 END AS INT)  AS clicked,
    CAST(impressions.muted AS INT)                                        AS muted,
    CAST(impressions.failed AS INT)                                       AS failed,
    impressions.error_code,
    CASE impressions.viewability_rank WHEN 3 THEN 'viewable' WHEN 2 THEN 'not_viewable' WHEN 1 THEN 'undetermined' END AS viewability,
    -- A completed ad ran for its length; another as far as it was seen to get, at least to the quartile it proved.
    CASE
        WHEN impressions.completed = 1 AND impressions.ad_duration_ms IS NOT NULL THEN impressions.ad_duration_ms
        ELSE greatest(
            coalesce(impressions.last_position_ms, 0),
            coalesce(impressions.ad_duration_ms * (impressions.first_quartile + impressions.midpoint + impressions.third_quartile) / 4, 0))
    END AS ad_ms,
    impressions.pricing_model,
    impressions.price_micros,
    impressions.currency,
    -- Exact: a thousandth of a price per mille in micros is the price in nanos. Of 38 digits a price takes 15, a
    -- thousand 3 and the clicks, in one impression or in any sum of them, the other 20.
    CAST(coalesce(CASE impressions.pricing_model
        WHEN 'CPM' THEN CAST(impressions.price_micros AS DECIMAL(38, 0))
        WHEN 'CPC' THEN CAST(impressions.price_micros AS DECIMAL(38, 0)) * 1000 * impressions.click_count
        WHEN 'CPV' THEN CAST(impressions.price_micros AS DECIMAL(38, 0)) * 1000 * impressions.started
        WHEN 'CPCV' THEN CAST(impressions.price_micros AS DECIMAL(38, 0)) * 1000 * impressions.completed
    END, 0) AS DECIMAL(38, 0)) AS revenue_nanos,
    playbacks.start_ts AS playback_start_ts,
    playbacks.report_date
FROM impressions
INNER JOIN silver.playbacks AS playbacks
    ON playbacks.playback_id = impressions.playback_id

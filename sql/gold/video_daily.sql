/*---
about   = "One row per day, video, cut, country, device type and stream type: attempts, plays and what was watched"
refresh = "full"

[check]
no_play_lost = "(SELECT coalesce(sum(plays), 0) FROM this) = (SELECT count(*) FROM silver.playbacks WHERE mode = 'main' AND NOT is_test AND started = 1)"
---*/

-- SET: playbacks in mode main, not test, by the day of their corrected start. An attempt asked to play or played;
-- a play (a view) started. Ads count over all attempts, everything else over plays.
-- A playback's times and media are sums of steps of 10^10 ms at most, and so long is a duration at most: sums fit in
-- 64 bits up to 9 * 10^8 steps, intervals or plays in a row.

WITH ad_playbacks AS (
    SELECT
        playback_id,
        sum(revenue_nanos) AS revenue_nanos,
        min(currency) FILTER (WHERE revenue_nanos > 0) AS least_currency,
        max(currency) FILTER (WHERE revenue_nanos > 0) AS greatest_currency
    FROM silver.ad_impressions
    GROUP BY playback_id
)

SELECT
    playbacks.report_date,
    playbacks.video_id,
    playbacks.content_version,
    coalesce(playbacks.country, 'ZZ')           AS country,
    coalesce(playbacks.device_type, 'unknown')  AS device_type,
    playbacks.stream_type,
    count(*)                                                                                      AS attempts,
    sum(CAST(playbacks.started AS BIGINT))                                                        AS plays,
    sum(CASE WHEN playbacks.started = 1 AND playbacks.engaged = 1 THEN 1 ELSE 0 END)              AS engaged_views,
    sum(CASE WHEN playbacks.started = 1 AND playbacks.completed = 1 THEN 1 ELSE 0 END)            AS completes,
    sum(CASE WHEN playbacks.started = 1 AND playbacks.reached_end = 1 THEN 1 ELSE 0 END)          AS reached_end,
    sum(CASE WHEN playbacks.started = 1 AND playbacks.continues_playback_id IS NOT NULL THEN 1 ELSE 0 END) AS continued_plays,
    sum(CASE WHEN playbacks.started = 1 THEN playbacks.play_time_ms ELSE 0 END)                   AS play_time_ms,
    sum(CASE WHEN playbacks.started = 1 THEN playbacks.foreground_ms ELSE 0 END)                  AS foreground_ms,
    sum(CASE WHEN playbacks.started = 1 THEN playbacks.media_ms ELSE 0 END)                       AS media_ms,
    sum(CASE WHEN playbacks.started = 1 THEN playbacks.unique_media_ms ELSE 0 END)                AS unique_media_ms,
    sum(CASE WHEN playbacks.started = 1 THEN coalesce(playbacks.duration_ms, 0) ELSE 0 END)       AS known_duration_ms,
    sum(CASE WHEN playbacks.started = 1 AND playbacks.duration_ms IS NOT NULL THEN 1 ELSE 0 END)  AS known_plays,
    sum(CASE WHEN playbacks.started = 1 AND playbacks.duration_ms IS NOT NULL THEN playbacks.media_ms ELSE 0 END)        AS known_media_ms,
    sum(CASE WHEN playbacks.started = 1 AND playbacks.duration_ms IS NOT NULL THEN playbacks.unique_media_ms ELSE 0 END) AS known_unique_media_ms,
    sum(CASE WHEN playbacks.started = 1 THEN playbacks.watched_ms ELSE 0 END)                     AS watched_ms,
    sum(CASE WHEN playbacks.started = 1 THEN playbacks.stall_ms ELSE 0 END)                       AS stall_ms,
    sum(CASE WHEN playbacks.started = 1 THEN playbacks.seeks ELSE 0 END)                          AS seeks,
    sum(CASE WHEN playbacks.started = 1 THEN playbacks.pauses ELSE 0 END)                         AS pauses,
    sum(CAST(playbacks.dropped AS BIGINT))                                                        AS dropped,
    sum(playbacks.ad_impressions)                                                                 AS ad_impressions,
    sum(playbacks.ad_ms)                                                                          AS ad_ms,
    -- Amounts in different currencies cannot be added: then neither is given here, and gold.ad_daily has each.
    CASE WHEN min(ads.least_currency) = max(ads.greatest_currency) THEN min(ads.least_currency) END AS currency,
    CASE
        WHEN coalesce(min(ads.least_currency) <> max(ads.greatest_currency), false) THEN NULL
        ELSE CAST(coalesce(sum(ads.revenue_nanos), 0) / 1000 AS DECIMAL(38, 0))
    END AS revenue_micros
FROM silver.playbacks AS playbacks
LEFT JOIN ad_playbacks AS ads
    ON ads.playback_id = playbacks.playback_id
WHERE playbacks.mode = 'main' AND NOT playbacks.is_test AND playbacks.attempted = 1
GROUP BY
    playbacks.report_date,
    playbacks.video_id,
    playbacks.content_version,
    coalesce(playbacks.country, 'ZZ'),
    coalesce(playbacks.device_type, 'unknown'),
    playbacks.stream_type

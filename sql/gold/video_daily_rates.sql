/*---
about   = "One row per row of gold.video_daily: its rates, to read; add up gold.video_daily before dividing, never these"
refresh = "view"
---*/

SELECT
    report_date,
    video_id,
    content_version,
    country,
    device_type,
    stream_type,
    attempts,
    plays,
    CAST(play_time_ms AS DOUBLE) / 1000 / nullif(plays, 0)                 AS average_view_duration_s,
    CAST(known_media_ms AS DOUBLE) / nullif(known_duration_ms, 0)          AS average_percentage_viewed,
    CAST(known_unique_media_ms AS DOUBLE) / nullif(known_duration_ms, 0)   AS average_coverage,
    CAST(completes AS DOUBLE) / nullif(known_plays, 0)                     AS completion_rate,
    CAST(engaged_views AS DOUBLE) / nullif(plays, 0)                       AS engaged_rate,
    CAST(dropped AS DOUBLE) / nullif(plays, 0)                             AS dropped_rate,
    CAST(attempts - plays AS DOUBLE) / nullif(attempts, 0)                 AS drop_before_start_rate,
    CAST(stall_ms AS DOUBLE) / nullif(watched_ms, 0)                       AS rebuffer_rate,
    CAST(ad_ms AS DOUBLE) / nullif(ad_ms + play_time_ms, 0)                AS ad_load_rate,
    CAST(play_time_ms AS DOUBLE) / nullif(known_duration_ms / nullif(known_plays, 0), 0) AS equivalent_views
FROM gold.video_daily

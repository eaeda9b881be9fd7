/*---
about   = "One row per row of gold.video_retention: the retention curve; 1 = every play watched the slice once, above 1 = watched again"
refresh = "view"
---*/

SELECT
    retention.report_date,
    retention.video_id,
    retention.content_version,
    retention.slice,
    CAST(retention.slice AS DOUBLE) / 100 AS elapsed_video_time_ratio,
    retention.plays,
    CAST(retention.watched_units AS DOUBLE) / (CAST(durations.duration_ms AS DOUBLE) * retention.plays)
        AS audience_watch_ratio,
    retention.started_watching,
    retention.stopped_watching,
    retention.total_segment_impressions
FROM gold.video_retention AS retention
INNER JOIN silver.video_durations AS durations
    ON durations.video_id = retention.video_id AND durations.content_version = retention.content_version

/*---
about   = "One row per row of gold.video_dropoff: hazard (who leaves of those still there) and survival (who is there after the slice)"
refresh = "view"
---*/

SELECT
    report_date,
    video_id,
    content_version,
    slice,
    exits,
    at_risk,
    CAST(exits AS DOUBLE) / nullif(at_risk, 0) AS hazard,
    CAST(at_risk - exits AS DOUBLE) / max(at_risk) OVER (PARTITION BY report_date, video_id, content_version) AS survival
FROM gold.video_dropoff

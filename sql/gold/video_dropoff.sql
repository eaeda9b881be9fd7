/*---
about   = "One row per day, video, cut and slice of 1 %: who was still there and who left, always all 100 slices"
refresh = "full"

[check]
exits_are_from_those_at_risk = "(SELECT count(*) FROM this WHERE exits > at_risk) = 0"
hundred_slices = "(SELECT count(*) FROM this) = 100 * (SELECT count(*) FROM (SELECT DISTINCT report_date, video_id, content_version FROM this))"
---*/

-- SET: playbacks that started, in mode main, not test, on demand, of known duration, that were watched or reached the
-- end. An exit is the end of the last viewed run of a playback that neither completed nor reached the end (95 %).
-- One that nothing ended leaves at its last known position at once, and is restated when more of it arrives.

WITH counted_playbacks AS (
    SELECT
        report_date,
        video_id,
        content_version,
        -- A finished playback leaves after the last slice, and so in none. An exit on a border is in the slice before it.
        CASE
            WHEN completed = 1 OR reached_end = 1 THEN 101
            ELSE (exit_ms * 100 + duration_ms - 1) / duration_ms
        END AS exit_slice
    FROM silver.playbacks
    WHERE started = 1 AND mode = 'main' AND NOT is_test AND stream_type = 'vod' AND duration_ms > 0
        AND (exit_ms IS NOT NULL OR reached_end = 1)
),

slice_exits AS (
    SELECT
        report_date,
        video_id,
        content_version,
        exit_slice,
        count(*) AS exits
    FROM counted_playbacks
    GROUP BY report_date, video_id, content_version, exit_slice
),

curves AS (
    SELECT
        report_date,
        video_id,
        content_version,
        sum(exits) AS watchers
    FROM slice_exits
    GROUP BY report_date, video_id, content_version
),

slices AS (
    SELECT
        report_date,
        video_id,
        content_version,
        watchers,
        unnest(range(1, 101)) AS slice
    FROM curves
)

SELECT
    slices.report_date,
    slices.video_id,
    slices.content_version,
    CAST(slices.slice AS INT)       AS slice,
    coalesce(slice_exits.exits, 0)  AS exits,
    slices.watchers - coalesce(sum(slice_exits.exits) OVER slices_before, 0) AS at_risk
FROM slices
LEFT JOIN slice_exits
    ON slice_exits.report_date = slices.report_date
    AND slice_exits.video_id = slices.video_id
    AND slice_exits.content_version = slices.content_version
    AND slice_exits.exit_slice = slices.slice
WINDOW slices_before AS (
    PARTITION BY slices.report_date, slices.video_id, slices.content_version
    ORDER BY slices.slice
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)

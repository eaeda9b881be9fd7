/*---
about   = "One row per day, video, cut and slice of 1 %: how much of the slice was watched, always all 100 slices"
refresh = "full"

[check]
conservation = "(SELECT coalesce(sum(CAST(watched_units AS DECIMAL(38,0))), 0) FROM this) = 100 * (SELECT coalesce(sum(CAST(media_ms AS DECIMAL(38,0))), 0) FROM silver.playbacks WHERE started = 1 AND mode = 'main' AND NOT is_test AND stream_type = 'vod' AND duration_ms > 0)"
hundred_slices = "(SELECT count(*) FROM this) = 100 * (SELECT count(*) FROM (SELECT DISTINCT report_date, video_id, content_version FROM this))"
runs_begin_and_end = "(SELECT coalesce(sum(started_watching), 0) FROM this) = (SELECT coalesce(sum(stopped_watching), 0) FROM this)"
---*/

-- SET: playbacks that started, in mode main, not test, on demand, of known duration, finished or not.
-- A slice is a hundredth of the duration and a unit a hundredth of a millisecond, so that the borders of slices are
-- whole numbers: audience watch ratio = watched_units / (duration_ms * plays), exact whatever the order of the sums.
-- The area under the curve is the average percentage viewed: that is the check `conservation`.
--
-- An interval is its two edges: +1 from its start on, -1 from its end on. In the slice of an edge it counts for what
-- is left of the slice, in all later slices for the whole slice. So two rows an interval are enough, however long it
-- is.

WITH counted_playbacks AS (
    SELECT
        playback_id,
        report_date,
        video_id,
        content_version,
        duration_ms
    FROM silver.playbacks
    WHERE started = 1 AND mode = 'main' AND NOT is_test AND stream_type = 'vod' AND duration_ms > 0
),

curves AS (
    SELECT
        report_date,
        video_id,
        content_version,
        max(duration_ms) AS duration_ms,
        count(*)         AS plays
    FROM counted_playbacks
    GROUP BY report_date, video_id, content_version
),

counted_intervals AS (
    SELECT
        playbacks.report_date,
        playbacks.video_id,
        playbacks.content_version,
        playbacks.duration_ms,
        intervals.playback_id,
        intervals.run_no,
        intervals.start_ms,
        intervals.end_ms
    FROM silver.intervals AS intervals
    INNER JOIN counted_playbacks AS playbacks
        ON playbacks.playback_id = intervals.playback_id AND playbacks.report_date = intervals.report_date
),

-- One row per run: a stretch that was watched without a jump, pauses apart.
runs AS (
    SELECT
        report_date,
        video_id,
        content_version,
        duration_ms,
        playback_id,
        run_no,
        min(start_ms) AS start_ms,
        max(end_ms)   AS end_ms
    FROM counted_intervals
    GROUP BY report_date, video_id, content_version, duration_ms, playback_id, run_no
),

-- Slices count from 0 here. An end on a border belongs to the slice before it when a viewer stops there.
edges AS (
    SELECT
        report_date,
        video_id,
        content_version,
        start_ms * 100 / duration_ms AS slice,
        (start_ms * 100 / duration_ms + 1) * duration_ms - start_ms * 100 AS units,
        1 AS viewings,
        0 AS run_starts,
        0 AS run_ends
    FROM counted_intervals
    UNION ALL
    SELECT
        report_date,
        video_id,
        content_version,
        end_ms * 100 / duration_ms AS slice,
        end_ms * 100 - (end_ms * 100 / duration_ms + 1) * duration_ms AS units,
        -1 AS viewings,
        0 AS run_starts,
        0 AS run_ends
    FROM counted_intervals
    UNION ALL
    SELECT
        report_date,
        video_id,
        content_version,
        start_ms * 100 / duration_ms AS slice,
        0 AS units,
        0 AS viewings,
        1 AS run_starts,
        0 AS run_ends
    FROM runs
    UNION ALL
    SELECT
        report_date,
        video_id,
        content_version,
        (end_ms * 100 - 1) / duration_ms AS slice,
        0 AS units,
        0 AS viewings,
        0 AS run_starts,
        1 AS run_ends
    FROM runs
),

slice_edges AS (
    SELECT
        report_date,
        video_id,
        content_version,
        slice,
        sum(units)      AS units,
        sum(viewings)   AS viewings,
        sum(run_starts) AS run_starts,
        sum(run_ends)   AS run_ends
    FROM edges
    GROUP BY report_date, video_id, content_version, slice
),

-- All hundred slices, also those without an edge: a running sum needs them.
slices AS (
    SELECT
        report_date,
        video_id,
        content_version,
        duration_ms,
        plays,
        unnest(range(0, 100)) AS slice
    FROM curves
)

SELECT
    slices.report_date,
    slices.video_id,
    slices.content_version,
    CAST(slices.slice + 1 AS INT) AS slice,
    slices.plays,
    coalesce(slice_edges.units, 0) + slices.duration_ms * coalesce(sum(slice_edges.viewings) OVER slices_before, 0) AS watched_units,
    coalesce(slice_edges.run_starts, 0) AS started_watching,
    coalesce(slice_edges.run_ends, 0)   AS stopped_watching,
    coalesce(slice_edges.run_starts, 0)
        + coalesce(sum(slice_edges.run_starts) OVER slices_before, 0)
        - coalesce(sum(slice_edges.run_ends) OVER slices_before, 0) AS total_segment_impressions
FROM slices
LEFT JOIN slice_edges
    ON slice_edges.report_date = slices.report_date
    AND slice_edges.video_id = slices.video_id
    AND slice_edges.content_version = slices.content_version
    AND slice_edges.slice = slices.slice
WINDOW slices_before AS (
    PARTITION BY slices.report_date, slices.video_id, slices.content_version
    ORDER BY slices.slice
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)

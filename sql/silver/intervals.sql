/*---
about   = "One row per viewed stretch of a video, in play order: [start_ms, end_ms) of its timeline"
refresh = "full"

[check]
only_what_was_played = "(SELECT count(*) FROM this) <= (SELECT coalesce(sum(CASE kind WHEN 'contiguous' THEN 1 WHEN 'loop' THEN 2 ELSE 0 END), 0) FROM silver.playback_steps)"
---*/

-- A contiguous step is one stretch, a loop two: up to the end, and from the start. Clamped to the video; empty ones
-- are left out. Stretches whose edges meet within 1 s are one run: the viewer neither stopped nor jumped.
-- A stretch is no longer than 10^10 ms, the most that a step moves or a video lasts: sums fit up to 9 * 10^8 stretches.

WITH viewed_steps AS (
    SELECT
        *,
        -- When a loop came to the end of the video, by the media it moved through.
        greatest(0, least(play_ms, CAST(round((duration_ms - from_ms) / rate) AS BIGINT))) AS end_reached_ms
    FROM silver.playback_steps
    WHERE kind IN ('contiguous', 'loop')
),

stretches AS (
    SELECT
        *,
        0       AS part,
        from_ms AS first_ms,
        CASE kind WHEN 'loop' THEN duration_ms ELSE to_ms END      AS last_ms,
        0       AS wall_from_ms,
        CASE kind WHEN 'loop' THEN end_reached_ms ELSE play_ms END AS wall_to_ms
    FROM viewed_steps
    UNION ALL
    SELECT
        *,
        1       AS part,
        0       AS first_ms,
        to_ms   AS last_ms,
        end_reached_ms AS wall_from_ms,
        play_ms AS wall_to_ms
    FROM viewed_steps
    WHERE kind = 'loop'
),

intervals AS (
    SELECT
        *,
        greatest(first_ms, 0)                              AS start_ms,
        least(last_ms, coalesce(duration_ms, last_ms))     AS end_ms
    FROM stretches
    WHERE least(last_ms, coalesce(duration_ms, last_ms)) > greatest(first_ms, 0)
),

-- One row per interval beside the one played before it.
played_intervals AS (
    SELECT
        *,
        CASE WHEN abs(start_ms - lag(end_ms) OVER (PARTITION BY playback_id ORDER BY seq, ts_ms, event_id, part)) <= 1000 THEN 0 ELSE 1 END AS opens_run
    FROM intervals
),

numbered_intervals AS (
    SELECT
        *,
        sum(opens_run) OVER (PARTITION BY playback_id ORDER BY seq, ts_ms, event_id, part ROWS UNBOUNDED PRECEDING) AS run_no
    FROM played_intervals
)

SELECT
    playback_id,
    video_id,
    user_id,
    seq,
    CAST(part AS INT)       AS part,
    duration_ms             AS d,
    visible,
    start_ms,
    end_ms,
    content_version,
    event_id,
    user_key,
    CAST(run_no AS INT)     AS run_no,
    kind,
    rate,
    muted,
    -- Kept between the years 1 and 9999, as the start of a playback is.
    arrow_cast(
        greatest(-62135596800000, least(253402300799999, ts_ms + wall_from_ms)) * 1000,
        'Timestamp(Microsecond, Some("UTC"))') AS wall_start_ts,
    arrow_cast(
        greatest(-62135596800000, least(253402300799999, ts_ms + wall_to_ms)) * 1000,
        'Timestamp(Microsecond, Some("UTC"))') AS wall_end_ts,
    -- What no interval that begins earlier has shown yet: its sum is the union of all.
    greatest(0, end_ms - greatest(start_ms, coalesce(
        max(end_ms) OVER (PARTITION BY playback_id ORDER BY start_ms, end_ms, seq, ts_ms, event_id, part ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        start_ms))) AS unseen_ms,
    report_date
FROM numbered_intervals

/*---
about   = "One row per playback: an attempt to play one video on one player, with everything measured about it"
refresh = "full"

[check]
every_playback_is_here = "(SELECT count(*) FROM this) = (SELECT count(*) FROM silver.playback_starts)"
media_is_conserved     = "(SELECT coalesce(sum(CAST(media_ms AS DECIMAL(38,0))), 0) FROM this) = (SELECT coalesce(sum(CAST(end_ms - start_ms AS DECIMAL(38,0))), 0) FROM silver.intervals)"
---*/

-- A playback that nothing ended is closed at its last evidence: viewing is never invented. Parameters: 15 s play time
-- at most for a jump, 5 min at most for a stall, 30 s or 95 % of the video for an engaged view, 95 % of the video up
-- to its credits for a completion, 95 % of its duration for its end.
--
-- Each step counts in at most one of the times and each interval once in the media, with 10^10 ms at most (their
-- contracts check it): sums fit in 64 bits up to 9 * 10^8 of them, in one playback and in any group of playbacks, so
-- in gold as well. Positions are within 10^13 ms, and so is what was seen at least once: hundredfold they fit, too.

WITH playback_steps AS (
    SELECT
        playback_id,
        max(CASE WHEN type = 'play' OR state = 'playing' THEN 1 ELSE 0 END)                  AS started,
        max(CASE WHEN type = 'play_request' OR type = 'play' OR state = 'playing' THEN 1 ELSE 0 END) AS attempted,
        min(startup_ms)                                                                      AS startup_reported_ms,
        first_value(mono_ms ORDER BY seq, ts_ms, event_id) FILTER (WHERE type = 'play')         AS play_mono_ms,
        first_value(ts_ms ORDER BY seq, ts_ms, event_id) FILTER (WHERE type = 'play')           AS play_ts_ms,
        first_value(mono_ms ORDER BY seq, ts_ms, event_id) FILTER (WHERE type = 'play_request') AS request_mono_ms,
        first_value(ts_ms ORDER BY seq, ts_ms, event_id) FILTER (WHERE type = 'play_request')   AS request_ts_ms,
        sum(CASE WHEN type = 'buffer' AND phase = 'start' AND reason = 'stall' THEN 1 ELSE 0 END) AS stall_count,
        sum(CASE WHEN type = 'seek' THEN 1 ELSE 0 END)                                       AS seeks,
        sum(CASE WHEN type = 'pause' AND state = 'paused' THEN 1 ELSE 0 END)                 AS pauses,
        max(CASE WHEN is_fatal AND NOT is_business_exception THEN 1 ELSE 0 END)              AS failed,
        max(CASE WHEN is_fatal AND is_business_exception THEN 1 ELSE 0 END)                  AS business_exception,
        max(CASE WHEN type = 'complete' THEN 1 ELSE 0 END)                                   AS saw_complete,
        max(CASE WHEN type = 'stop' OR (type = 'complete' AND NOT is_loop) OR is_fatal THEN 1 ELSE 0 END) AS ended,
        sum(CASE WHEN state = 'rebuffering' AND elapsed_ms IS NOT NULL THEN least(elapsed_ms, 300000) END) AS stall_ms,
        sum(CASE WHEN state = 'paused' THEN elapsed_ms END)                                  AS paused_ms,
        sum(CASE WHEN state = 'seeking' THEN elapsed_ms END)                                 AS seek_wait_ms,
        sum(CASE WHEN state = 'ad' THEN elapsed_ms END)                                      AS ad_ms,
        sum(CASE WHEN state = 'starting' THEN elapsed_ms END)                                AS starting_ms,
        sum(play_ms)                                                                         AS play_time_ms,
        sum(CASE WHEN visible THEN play_ms END)                                              AS foreground_ms,
        sum(CASE WHEN muted THEN play_ms END)                                                AS muted_ms,
        sum(CASE WHEN kind = 'jump' THEN 1 ELSE 0 END)                                       AS inferred_jumps,
        -- Half a microsecond makes up for the rounding of each step. Whole milliseconds and the rest apart: a sum of
        -- nanoseconds fits for 900 steps only.
        sum(unaccounted_ns / 1000000) + (sum(unaccounted_ns % 1000000) + 500) / 1000000      AS unaccounted_ms
    FROM silver.playback_steps
    GROUP BY playback_id
),

-- One row per run of touching intervals.
runs AS (
    SELECT
        playback_id,
        run_no,
        sum(end_ms - start_ms) AS media_ms,
        sum(unseen_ms)         AS unseen_ms,
        max(end_ms)            AS end_ms
    FROM silver.intervals
    GROUP BY playback_id, run_no
),

viewed_playbacks AS (
    SELECT
        playback_id,
        sum(media_ms)                              AS media_ms,
        sum(unseen_ms)                             AS unique_media_ms,
        max(end_ms)                                AS max_position_ms,
        first_value(end_ms ORDER BY run_no DESC)   AS exit_ms
    FROM runs
    GROUP BY playback_id
),

ad_playbacks AS (
    SELECT
        playback_id,
        count(DISTINCT ad.impression_id) AS ad_impressions
    FROM silver.events
    WHERE family = 'ad' AND type = 'impression'
    GROUP BY playback_id
),

measured_playbacks AS (
    SELECT
        starts.*,
        coalesce(steps.started, 0)            AS started,
        coalesce(steps.attempted, 0)          AS attempted,
        coalesce(steps.startup_reported_ms, steps.play_mono_ms - steps.request_mono_ms, steps.play_ts_ms - steps.request_ts_ms) AS startup_ms,
        coalesce(steps.play_time_ms, 0)       AS play_time_ms,
        coalesce(steps.foreground_ms, 0)      AS foreground_ms,
        coalesce(steps.muted_ms, 0)           AS muted_ms,
        coalesce(viewed.media_ms, 0)          AS media_ms,
        coalesce(viewed.unique_media_ms, 0)   AS unique_media_ms,
        viewed.max_position_ms,
        viewed.exit_ms,
        coalesce(steps.stall_ms, 0)           AS stall_ms,
        coalesce(steps.stall_count, 0)        AS stall_count,
        coalesce(steps.paused_ms, 0)          AS paused_ms,
        coalesce(steps.ad_ms, 0)              AS ad_ms,
        coalesce(steps.starting_ms, 0) + coalesce(steps.play_time_ms, 0) + coalesce(steps.stall_ms, 0) + coalesce(steps.seek_wait_ms, 0) AS watched_ms,
        coalesce(steps.seeks, 0)              AS seeks,
        coalesce(steps.pauses, 0)             AS pauses,
        coalesce(steps.inferred_jumps, 0)     AS inferred_jumps,
        coalesce(steps.unaccounted_ms, 0)     AS unaccounted_ms,
        coalesce(steps.failed, 0)             AS failed,
        coalesce(steps.business_exception, 0) AS business_exception,
        coalesce(steps.saw_complete, 0)       AS saw_complete,
        coalesce(steps.ended, 0)              AS ended,
        coalesce(ads.ad_impressions, 0)       AS ad_impressions
    FROM silver.playback_starts AS starts
    LEFT JOIN playback_steps AS steps ON steps.playback_id = starts.playback_id
    LEFT JOIN viewed_playbacks AS viewed ON viewed.playback_id = starts.playback_id
    LEFT JOIN ad_playbacks AS ads ON ads.playback_id = starts.playback_id
)

SELECT
    playback_id,
    video_id,
    user_id,
    duration_ms,
    duration_source,
    start_ts_ms,
    CAST(started AS INT)            AS started,
    CASE WHEN startup_ms < 0 THEN 0 ELSE startup_ms END AS startup_ms,
    play_time_ms,
    foreground_ms,
    media_ms,
    unique_media_ms,
    max_position_ms,
    exit_ms,
    stall_ms,
    stall_count,
    paused_ms,
    ad_ms,
    watched_ms,
    seeks,
    inferred_jumps,
    unaccounted_ms,
    CAST(failed AS INT)             AS failed,
    CAST(CASE WHEN started = 0 AND failed = 0 AND business_exception = 0 THEN 1 ELSE 0 END AS INT) AS ebvs,
    CAST(CASE WHEN started = 0 AND failed = 1 THEN 1 ELSE 0 END AS INT) AS start_failure,
    CAST(CASE WHEN started = 1 AND ended = 0 THEN 1 ELSE 0 END AS INT)  AS dropped,
    CAST(CASE
        WHEN failed = 1 THEN 0
        WHEN business_exception = 1 THEN NULL
        WHEN started = 1 THEN 100
        WHEN last_event_ts_ms - start_ts_ms < 1000 THEN NULL
        ELSE 50
    END AS INT)                     AS playback_success_score,
    CAST(CASE
        WHEN saw_complete = 1 THEN 1
        WHEN duration_ms IS NULL THEN NULL
        WHEN max_position_ms * 100 >= duration_ms * 95 THEN 1
        ELSE 0
    END AS INT)                     AS reached_end,
    CAST(CASE
        WHEN completion_target_ms IS NULL THEN NULL
        WHEN unique_media_ms * 100 >= completion_target_ms * 95 THEN 1
        ELSE 0
    END AS INT)                     AS completed,
    CAST(CASE
        WHEN play_time_ms >= 30000 OR unique_media_ms * 100 >= duration_ms * 95 THEN 1
        ELSE 0
    END AS INT)                     AS engaged,
    CAST(attempted AS INT)          AS attempted,
    CAST(business_exception AS INT) AS business_exception,
    CAST(ended AS INT)              AS ended,
    start_ts,
    last_event_ts,
    content_version,
    completion_target_ms,
    mode,
    stream_type,
    is_test,
    anonymous_id,
    user_key,
    session_id,
    app_id,
    app_version,
    platform,
    device_type,
    country,
    region,
    subscription_tier,
    source,
    autoplay,
    continues_playback_id,
    video_title,
    video_genre,
    video_language,
    video_content_type,
    video_series_id,
    video_creator_id,
    pauses,
    muted_ms,
    ad_impressions,
    events,
    seq_gaps,
    clock_offset_ms,
    report_date
FROM measured_playbacks

/*---
about   = "One row per video event of a playback with what followed it until the next one"
refresh = "full"

[check]
no_event_lost = "(SELECT count(*) FROM this) = (SELECT count(*) FROM silver.events WHERE family = 'video')"
---*/

-- An event carries position and state after it, so a step says what its own event began. Order is by
-- (seq, time, event_id), never by arrival. Only a step in state playing can be viewing:
--   contiguous  the position moved on, no further than the clock allows (2 s tolerance)
--   loop        it went back to the start by way of the end, within the same allowance
--   jump        it went elsewhere: a seek was lost; nothing was seen as far as we know
--
-- A step takes from 0 to 10^10 ms (115 days), and moves at most so far: beyond, a clock was set, back or forth. So no
-- step counts for more than about 10^10 ms of anything, and sums of steps fit in 64 bits up to 9 * 10^8 steps in a
-- group.

WITH video_events AS (
    SELECT
        events.playback_id,
        events.event_id,
        events.type,
        events.seq,
        CAST(events.event_ts AS BIGINT) / 1000 + starts.clock_offset_ms                                AS ts_ms,
        -- The bounds of bronze.events: what came before it had them is unknown where it is beyond.
        CASE WHEN events.mono_ms <= 100000000000 THEN events.mono_ms END                                AS mono_ms,
        CASE WHEN events.video.position_ms BETWEEN -10000000000000 AND 10000000000000
            THEN events.video.position_ms END AS position_ms,
        CASE WHEN events.video.from_position_ms BETWEEN -10000000000000 AND 10000000000000
            THEN events.video.from_position_ms END AS from_position_ms,
        CASE WHEN events.video.startup_ms <= 10000000000 THEN events.video.startup_ms END               AS startup_ms,
        CASE WHEN events.video.playback_rate >= 0.01 THEN events.video.playback_rate ELSE 1.0 END       AS rate,
        events.video.state                                                                             AS state,
        coalesce(events.video.visible, true)                                                           AS visible,
        coalesce(events.video.muted, false)                                                            AS muted,
        events.video.phase                                                                             AS phase,
        events.video.reason                                                                            AS reason,
        coalesce(events.video.loop, false)                                                             AS is_loop,
        coalesce(events.video.fatal, false)                                                            AS is_fatal,
        coalesce(events.video.is_business_exception, false)                                            AS is_business_exception,
        starts.video_id,
        starts.content_version,
        starts.user_id,
        starts.user_key,
        starts.duration_ms,
        starts.report_date
    FROM silver.events AS events
    INNER JOIN silver.playback_starts AS starts
        ON starts.playback_id = events.playback_id
    WHERE events.family = 'video'
),

-- One row per video event beside the next one.
followed_events AS (
    SELECT
        *,
        -- Position after this event, and position before the next.
        CASE WHEN type = 'complete' AND is_loop THEN 0 ELSE position_ms END                          AS from_ms,
        lead(CASE WHEN type = 'seek' THEN from_position_ms ELSE position_ms END) OVER play_order     AS to_ms,
        -- The clock that is never set counts only where both events have it.
        coalesce(lead(mono_ms) OVER play_order - mono_ms, lead(ts_ms) OVER play_order - ts_ms)       AS clock_ms
    FROM video_events
    WINDOW play_order AS (PARTITION BY playback_id ORDER BY seq, ts_ms, event_id)
),

-- A clock that steps back takes no time away; the last event of a playback has no step after it.
timed_events AS (
    SELECT
        *,
        CASE WHEN clock_ms < 0 THEN 0 WHEN clock_ms > 10000000000 THEN 10000000000 ELSE clock_ms END AS elapsed_ms
    FROM followed_events
),

steps AS (
    SELECT
        *,
        CASE
            WHEN state <> 'playing' OR elapsed_ms IS NULL OR from_ms IS NULL OR to_ms IS NULL THEN NULL
            WHEN to_ms >= from_ms AND to_ms - from_ms <= least(elapsed_ms * rate + 2000, 1e10) THEN 'contiguous'
            WHEN to_ms < from_ms AND duration_ms - from_ms + to_ms <= elapsed_ms * rate + 2000 THEN 'loop'
            ELSE 'jump'
        END AS kind
    FROM timed_events
),

measured_steps AS (
    SELECT
        *,
        -- Wall time of viewing, by the media it moved through: whole milliseconds, so that sums are exact in any order.
        -- At most elapsed_ms and 2 s of media at the least rate: 10^10 + 2 * 10^5.
        CASE kind
            WHEN 'contiguous' THEN CAST(round((to_ms - from_ms) / rate) AS BIGINT)
            WHEN 'loop' THEN CAST(greatest(0.0, round((duration_ms - from_ms + to_ms) / rate)) AS BIGINT)
            WHEN 'jump' THEN least(elapsed_ms, 15000)
        END AS play_ms,
        -- Nanoseconds, for the same reason: at most 10^16.
        CASE kind
            WHEN 'contiguous' THEN CAST(round(1e6 * greatest(0.0, elapsed_ms - (to_ms - from_ms) / rate)) AS BIGINT)
        END AS unaccounted_ns
    FROM steps
)

SELECT
    playback_id,
    seq,
    event_id,
    video_id,
    content_version,
    user_id,
    user_key,
    report_date,
    duration_ms,
    type,
    state,
    phase,
    reason,
    is_loop,
    is_fatal,
    is_business_exception,
    startup_ms,
    ts_ms,
    mono_ms,
    rate,
    visible,
    muted,
    from_ms,
    to_ms,
    elapsed_ms,
    kind,
    play_ms,
    unaccounted_ns
FROM measured_steps

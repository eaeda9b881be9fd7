/*---
about   = "One row per event (event_id): without copies, typed, with the video as of its time"
refresh = "full"

[check]
nothing_lost = "(SELECT count(*) FROM this) = (SELECT count(DISTINCT event_id) FROM bronze.events)"
---*/

-- Copies of one event differ at most in when they were received. The one with the least (received_ts, sent_ts,
-- event_ts, seq) is kept, never the one that came first: the result must not depend on the order of delivery.
-- Copies that agree in these but not in the rest break the contract; the least content wins, so the order is total.

WITH received_events AS (
    SELECT
        *,
        -- In a file there is no record time: then the collector's time is unknown.
        coalesce(received_ts, CASE WHEN _topic IS NOT NULL THEN _record_ts END) AS collected_ts
    FROM bronze.events
),

-- Few events come twice, so only those are sorted; a join holds its left side in memory, so they stand left.
repeated_events AS (
    SELECT event_id AS repeated_id
    FROM bronze.events
    GROUP BY event_id
    HAVING count(*) > 1
),

events AS (
    SELECT received_events.*
    FROM repeated_events
    RIGHT JOIN received_events ON received_events.event_id = repeated_events.repeated_id
    WHERE repeated_events.repeated_id IS NULL
    UNION ALL
    SELECT received_events.*
    FROM repeated_events
    JOIN received_events ON received_events.event_id = repeated_events.repeated_id
    QUALIFY row_number() OVER (
        PARTITION BY received_events.event_id
        ORDER BY
            collected_ts, sent_ts, event_ts, seq,
            family, type, mono_ms, session_id, playback_id, user_id, anonymous_id, device_id, video_id, content_version,
            app_id, app_version, platform, device_type, os, os_version, browser, country, region, city, timezone,
            connection_type, cdn, asn, subscription_tier, is_test, video, interaction, ad, session, web) = 1
)

SELECT
    events.event_id,
    CAST(events.event_ts AS DATE) AS event_date,
    events.event_ts,
    events.sent_ts,
    events.collected_ts           AS received_ts,
    -- Without both clocks there is no correction; with them an event is doubtful if it is older than three days
    -- or more than five minutes ahead when it left the client.
    (
        events.sent_ts IS NULL
        OR events.collected_ts IS NULL
        -- Microseconds: 72 hours and 5 minutes. Times within the years 1 to 9999 are never too far apart for that.
        OR CAST(events.sent_ts AS BIGINT) - CAST(events.event_ts AS BIGINT) > 259200000000
        OR CAST(events.event_ts AS BIGINT) - CAST(events.sent_ts AS BIGINT) > 300000000
    ) AS ts_suspect,
    events.family,
    events.type,
    events.seq,
    events.mono_ms,
    events.session_id,
    events.playback_id,
    events.user_id,
    events.anonymous_id,
    coalesce(events.user_id, events.anonymous_id) AS user_key,
    events.device_id,
    events.video_id,
    CASE WHEN events.video_id IS NOT NULL THEN coalesce(events.content_version, 1) END AS content_version,
    events.app_id,
    events.app_version,
    events.platform,
    events.device_type,
    events.os,
    events.os_version,
    events.browser,
    events.country,
    events.region,
    events.city,
    events.timezone,
    events.connection_type,
    events.cdn,
    events.asn,
    events.subscription_tier,
    events.is_test,
    events.video,
    events.interaction,
    events.ad,
    events.session,
    events.web,
    videos.title           AS video_title,
    videos.genre           AS video_genre,
    videos.language        AS video_language,
    videos.content_type    AS video_content_type,
    videos.series_id       AS video_series_id,
    videos.creator_id      AS video_creator_id,
    video_cuts.duration_ms AS video_duration_ms
FROM events
LEFT JOIN silver.videos AS videos
    ON videos.video_id = events.video_id AND events.event_ts >= videos.valid_from AND events.event_ts < videos.valid_to
LEFT JOIN silver.video_cuts AS video_cuts
    ON video_cuts.video_id = events.video_id AND video_cuts.content_version = coalesce(events.content_version, 1)

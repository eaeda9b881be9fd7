/*---
about   = "One row per playback: who, what, where and when; its clock offset and its corrected start"
refresh = "full"

[check]
every_playback_is_here = "(SELECT count(*) FROM this) = (SELECT count(DISTINCT playback_id) FROM silver.events WHERE family IN ('video', 'ad'))"
---*/

-- From all video and ad events of a playback. An attribute is the first that is known, by (seq, time, event_id).
-- The clock offset is that of the least delayed event: one per playback, so that times between events stay as the
-- client measured them. Within a playback the order by event_ts is therefore the order by corrected time.

WITH playback_events AS (
    SELECT
        *,
        video.mode                                                          AS mode,
        video.stream_type                                                   AS stream_type,
        video.source                                                        AS source,
        video.autoplay                                                      AS autoplay,
        video.continues_playback_id                                         AS continues_playback_id,
        CAST(event_ts AS BIGINT) / 1000                                     AS event_ms,
        CAST(received_ts AS BIGINT) / 1000 - CAST(sent_ts AS BIGINT) / 1000 AS delay_ms
    FROM silver.events
    WHERE family IN ('video', 'ad') AND playback_id IS NOT NULL
),

-- One row per playback and set of attributes, as of its first event. They hardly ever change within a playback, and
-- finding the first value of so many is dear: this leaves few rows to look through.
attribute_sets AS (
    SELECT
        playback_id,
        video_id,
        content_version,
        user_id,
        anonymous_id,
        session_id,
        app_id,
        app_version,
        platform,
        device_type,
        country,
        region,
        subscription_tier,
        is_test,
        mode,
        stream_type,
        source,
        autoplay,
        continues_playback_id,
        min(seq)                                                 AS seq,
        first_value(event_ms ORDER BY seq, event_ms)             AS event_ms,
        first_value(event_id ORDER BY seq, event_ms, event_id)   AS event_id,
        min(delay_ms)                                            AS delay_ms,
        min(event_ms)                                            AS first_event_ms,
        max(event_ms)                                            AS last_event_ms,
        max(seq)                                                 AS last_seq,
        count(*)                                                 AS events
    FROM playback_events
    GROUP BY
        playback_id,
        video_id,
        content_version,
        user_id,
        anonymous_id,
        session_id,
        app_id,
        app_version,
        platform,
        device_type,
        country,
        region,
        subscription_tier,
        is_test,
        mode,
        stream_type,
        source,
        autoplay,
        continues_playback_id
),

playbacks AS (
    SELECT
        playback_id,
        first_value(video_id ORDER BY seq, event_ms, event_id) FILTER (WHERE video_id IS NOT NULL)                     AS video_id,
        first_value(content_version ORDER BY seq, event_ms, event_id) FILTER (WHERE content_version IS NOT NULL)       AS content_version,
        first_value(user_id ORDER BY seq, event_ms, event_id) FILTER (WHERE user_id IS NOT NULL)                       AS user_id,
        first_value(anonymous_id ORDER BY seq, event_ms, event_id) FILTER (WHERE anonymous_id IS NOT NULL)             AS anonymous_id,
        first_value(session_id ORDER BY seq, event_ms, event_id) FILTER (WHERE session_id IS NOT NULL)                 AS session_id,
        first_value(app_id ORDER BY seq, event_ms, event_id) FILTER (WHERE app_id IS NOT NULL)                         AS app_id,
        first_value(app_version ORDER BY seq, event_ms, event_id) FILTER (WHERE app_version IS NOT NULL)               AS app_version,
        first_value(platform ORDER BY seq, event_ms, event_id) FILTER (WHERE platform IS NOT NULL)                     AS platform,
        first_value(device_type ORDER BY seq, event_ms, event_id) FILTER (WHERE device_type IS NOT NULL)               AS device_type,
        first_value(country ORDER BY seq, event_ms, event_id) FILTER (WHERE country IS NOT NULL)                       AS country,
        first_value(region ORDER BY seq, event_ms, event_id) FILTER (WHERE region IS NOT NULL)                         AS region,
        first_value(subscription_tier ORDER BY seq, event_ms, event_id) FILTER (WHERE subscription_tier IS NOT NULL)   AS subscription_tier,
        first_value(is_test ORDER BY seq, event_ms, event_id) FILTER (WHERE is_test IS NOT NULL)                       AS is_test,
        first_value(mode ORDER BY seq, event_ms, event_id) FILTER (WHERE mode IS NOT NULL)                             AS mode,
        first_value(stream_type ORDER BY seq, event_ms, event_id) FILTER (WHERE stream_type IS NOT NULL)               AS stream_type,
        first_value(source ORDER BY seq, event_ms, event_id) FILTER (WHERE source IS NOT NULL)                         AS source,
        first_value(autoplay ORDER BY seq, event_ms, event_id) FILTER (WHERE autoplay IS NOT NULL)                     AS autoplay,
        first_value(continues_playback_id ORDER BY seq, event_ms, event_id) FILTER (WHERE continues_playback_id IS NOT NULL) AS continues_playback_id,
        coalesce(min(delay_ms), 0)           AS clock_offset_ms,
        min(first_event_ms)                  AS first_event_ms,
        max(last_event_ms)                   AS last_event_ms,
        sum(events)                          AS events,
        max(last_seq) - sum(events) + 1      AS missing_seqs
    FROM attribute_sets
    GROUP BY playback_id
),

-- One row per playback, its times corrected and kept between the years 1 and 9999.
dated_playbacks AS (
    SELECT
        *,
        greatest(-62135596800000, least(253402300799999, first_event_ms + clock_offset_ms)) AS start_ts_ms,
        greatest(-62135596800000, least(253402300799999, last_event_ms + clock_offset_ms))  AS last_event_ts_ms
    FROM playbacks
),

timed_playbacks AS (
    SELECT
        *,
        arrow_cast(start_ts_ms * 1000, 'Timestamp(Microsecond, Some("UTC"))')      AS start_ts,
        arrow_cast(last_event_ts_ms * 1000, 'Timestamp(Microsecond, Some("UTC"))') AS last_event_ts,
        -- Live positions are programme time: there is no duration to be a share of.
        coalesce(stream_type, 'vod')                                                AS known_stream_type
    FROM dated_playbacks
)

SELECT
    playbacks.playback_id,
    playbacks.video_id,
    playbacks.content_version,
    playbacks.user_id,
    playbacks.anonymous_id,
    coalesce(playbacks.user_id, playbacks.anonymous_id) AS user_key,
    playbacks.session_id,
    playbacks.app_id,
    playbacks.app_version,
    playbacks.platform,
    playbacks.device_type,
    playbacks.country,
    playbacks.region,
    playbacks.subscription_tier,
    coalesce(playbacks.is_test, false)                  AS is_test,
    coalesce(playbacks.mode, 'main')                    AS mode,
    playbacks.known_stream_type                         AS stream_type,
    playbacks.source,
    playbacks.autoplay,
    playbacks.continues_playback_id,
    videos.title                                        AS video_title,
    videos.genre                                        AS video_genre,
    videos.language                                     AS video_language,
    videos.content_type                                 AS video_content_type,
    videos.series_id                                    AS video_series_id,
    videos.creator_id                                   AS video_creator_id,
    CASE WHEN playbacks.known_stream_type = 'vod' THEN durations.duration_ms END                         AS duration_ms,
    CASE WHEN playbacks.known_stream_type = 'vod' THEN coalesce(durations.duration_source, 'unknown') ELSE 'unknown' END AS duration_source,
    CASE WHEN playbacks.known_stream_type = 'vod' THEN durations.completion_target_ms END                AS completion_target_ms,
    playbacks.clock_offset_ms,
    playbacks.start_ts_ms,
    playbacks.start_ts,
    reporting_date(playbacks.start_ts)                  AS report_date,
    playbacks.last_event_ts_ms,
    playbacks.last_event_ts,
    playbacks.events,
    greatest(playbacks.missing_seqs, 0)                 AS seq_gaps
FROM timed_playbacks AS playbacks
LEFT JOIN silver.videos AS videos
    ON videos.video_id = playbacks.video_id AND playbacks.start_ts >= videos.valid_from AND playbacks.start_ts < videos.valid_to
LEFT JOIN silver.video_durations AS durations
    ON durations.video_id = playbacks.video_id AND durations.content_version = playbacks.content_version

/*---
about   = "One row per cut of a video (video_id, content_version): its one duration, from the catalogue, else from the players"
refresh = "full"
---*/

-- Without a catalogue entry the duration is the one that players report most often; of equally frequent ones the
-- greater. One duration per cut keeps retention curves comparable. Beyond 10^10 ms (115 days) a report is a stand-in.

WITH duration_reports AS (
    SELECT
        video_id,
        coalesce(content_version, 1) AS content_version,
        video.player_duration_ms     AS player_duration_ms,
        count(*)                     AS reports
    FROM silver.events
    WHERE family = 'video' AND playback_id IS NOT NULL AND video.player_duration_ms BETWEEN 1 AND 10000000000
    GROUP BY video_id, coalesce(content_version, 1), video.player_duration_ms
),

player_durations AS (
    SELECT
        video_id,
        content_version,
        first_value(player_duration_ms ORDER BY reports DESC, player_duration_ms DESC) AS duration_ms
    FROM duration_reports
    GROUP BY video_id, content_version
)

SELECT
    coalesce(cuts.video_id, players.video_id)               AS video_id,
    coalesce(cuts.content_version, players.content_version) AS content_version,
    coalesce(cuts.duration_ms, players.duration_ms)         AS duration_ms,
    CASE
        WHEN cuts.duration_ms IS NOT NULL THEN 'catalogue'
        WHEN players.duration_ms IS NOT NULL THEN 'player'
        ELSE 'unknown'
    END AS duration_source,
    -- What has to be seen for a completion: up to the credits where the catalogue knows them.
    CASE
        WHEN cuts.credits_start_ms <= coalesce(cuts.duration_ms, players.duration_ms) THEN cuts.credits_start_ms
        ELSE coalesce(cuts.duration_ms, players.duration_ms)
    END AS completion_target_ms
FROM silver.video_cuts AS cuts
FULL JOIN player_durations AS players
    ON players.video_id = cuts.video_id AND players.content_version = cuts.content_version

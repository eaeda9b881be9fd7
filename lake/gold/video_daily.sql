-- One row per day, video, cut, country, device type and stream type: attempts, plays and what was watched. SET:
-- playbacks in mode main, not test, that asked to play or played, by the day of their corrected start. Ads count over
-- attempts, everything else over plays (a play, or view, started). All measures but revenue can be added up.
-- Parameters: engaged = 30 s of play time or 95 % of the video seen; completed = 95 % of the video up to its credits
-- seen; reached end = a complete event or 95 % of the duration as furthest position; 2 s tolerance for contiguous
-- viewing.
CREATE TABLE gold.video_daily (
    report_date           DATE      NOT NULL COMMENT 'Day of the corrected start of the playback, in the reporting time zone',
    video_id              STRING    NOT NULL COMMENT 'Video',
    content_version       BIGINT    NOT NULL COMMENT 'Cut of the video',
    country               STRING    NOT NULL COMMENT 'ISO 3166-1 alpha-2; ZZ unknown',
    device_type           STRING    NOT NULL COMMENT 'desktop, mobile, tablet, tv, console, stb, other or unknown',
    stream_type           STRING    NOT NULL COMMENT 'vod, live or low_latency_live',
    attempts              BIGINT    NOT NULL COMMENT 'Playbacks that asked to play or played',
    plays                 BIGINT    NOT NULL COMMENT 'Playbacks that started: views',
    engaged_views         BIGINT    NOT NULL COMMENT 'Plays of 30 s, or of 95 % of the video',
    completes             BIGINT    NOT NULL COMMENT 'Plays of which 95 % was seen',
    reached_end           BIGINT    NOT NULL COMMENT 'Plays that reached the end, also by jumping there',
    continued_plays       BIGINT    NOT NULL COMMENT 'Plays that go on with an earlier playback',
    play_time_ms          BIGINT    NOT NULL COMMENT 'Wall time in state playing, content only, ms',
    foreground_ms         BIGINT    NOT NULL COMMENT 'Of it, in the foreground, ms',
    media_ms              BIGINT    NOT NULL COMMENT 'Media played, ms; repeats count, speed does not',
    unique_media_ms       BIGINT    NOT NULL COMMENT 'Media seen at least once in a playback, ms',
    known_duration_ms     BIGINT    NOT NULL COMMENT 'Sum of the durations of plays whose duration is known, ms',
    known_plays           BIGINT    NOT NULL COMMENT 'Plays whose duration is known',
    known_media_ms        BIGINT    NOT NULL COMMENT 'Media played by plays whose duration is known, ms',
    known_unique_media_ms BIGINT    NOT NULL COMMENT 'Media seen at least once by plays whose duration is known, ms',
    watched_ms            BIGINT    NOT NULL COMMENT 'Start-up, play, stalls and seek waits, ms',
    stall_ms              BIGINT    NOT NULL COMMENT 'Rebuffering, ms',
    seeks                 BIGINT    NOT NULL COMMENT 'Seeks',
    pauses                BIGINT    NOT NULL COMMENT 'Pauses, without those for ads',
    dropped               BIGINT    NOT NULL COMMENT 'Plays that nothing ended',
    ad_impressions        BIGINT    NOT NULL COMMENT 'Ads shown',
    ad_ms                 BIGINT    NOT NULL COMMENT 'Time in ads, ms',
    currency              STRING             COMMENT 'ISO 4217 of the revenue; NULL where there is none, or more than one',
    revenue_micros        DECIMAL(38, 0)     COMMENT 'Earned by ads, millionths of the currency; NULL where currencies differ (see gold.ad_daily)',
    PRIMARY KEY (report_date, video_id, content_version, country, device_type, stream_type),
    CONSTRAINT plays_within_attempts CHECK (plays <= attempts),
    CONSTRAINT known_within_plays CHECK (known_plays <= plays AND completes <= known_plays),
    CONSTRAINT engaged_within_plays CHECK (engaged_views <= plays AND reached_end <= plays AND dropped <= plays),
    CONSTRAINT unique_within_media CHECK (unique_media_ms <= media_ms AND known_unique_media_ms <= known_duration_ms),
    CONSTRAINT foreground_within_play CHECK (foreground_ms <= play_time_ms),
    CONSTRAINT times_not_negative CHECK (
        foreground_ms >= 0 AND watched_ms >= 0 AND stall_ms >= 0 AND ad_ms >= 0 AND unique_media_ms >= 0),
    CONSTRAINT stalls_and_play_within_watched CHECK (stall_ms + play_time_ms <= watched_ms)
)
PARTITIONED BY (report_date);

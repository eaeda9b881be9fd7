-- One row per playback: who, what, where and when; its clock offset and its corrected start.
-- From all video and ad events; an attribute is the first known by (seq, time, event_id).
CREATE TABLE silver.playback_starts (
    playback_id           STRING    NOT NULL COMMENT 'Playback: one attempt to play one video on one player',
    video_id              STRING    NOT NULL COMMENT 'Video',
    content_version       BIGINT    NOT NULL COMMENT 'Cut of the video',
    user_id               STRING             COMMENT 'Account of the viewer, pseudonymous',
    anonymous_id          STRING             COMMENT 'Browser or installation of the viewer, pseudonymous',
    user_key              STRING             COMMENT 'Who watched: the account, else the browser or installation',
    session_id            STRING             COMMENT 'Visit of the app',
    app_id                STRING             COMMENT 'Application',
    app_version           STRING             COMMENT 'Version of the application',
    platform              STRING             COMMENT 'web, ios, android, tv_app, console, stb, cast or other',
    device_type           STRING             COMMENT 'desktop, mobile, tablet, tv, console, stb, other or unknown',
    country               STRING             COMMENT 'ISO 3166-1 alpha-2',
    region                STRING             COMMENT 'ISO 3166-2',
    subscription_tier     STRING             COMMENT 'Plan of the viewer',
    is_test               BOOLEAN   NOT NULL COMMENT 'Made by ourselves; left out of gold',
    mode                  STRING    NOT NULL COMMENT 'main, preview or trailer; main where none said',
    stream_type           STRING    NOT NULL COMMENT 'vod, live or low_latency_live; vod where none said',
    source                STRING             COMMENT 'Where the viewer came from',
    autoplay              BOOLEAN            COMMENT 'Started without a click',
    continues_playback_id STRING             COMMENT 'Playback that this one goes on with',
    video_title           STRING             COMMENT 'Title as of the start',
    video_genre           STRING             COMMENT 'Genre as of the start',
    video_language        STRING             COMMENT 'Language as of the start',
    video_content_type    STRING             COMMENT 'Kind of content as of the start',
    video_series_id       STRING             COMMENT 'Series as of the start',
    video_creator_id      STRING             COMMENT 'Creator as of the start, who is credited',
    duration_ms           BIGINT             COMMENT 'Duration of the cut, ms; NULL where unknown and for live',
    duration_source       STRING    NOT NULL COMMENT 'catalogue, player or unknown',
    completion_target_ms  BIGINT             COMMENT 'What has to be seen for a completion, ms: up to the credits, else the duration',
    clock_offset_ms       BIGINT    NOT NULL COMMENT 'What was added to the client clock, ms: the delay of the least delayed event',
    start_ts_ms           BIGINT    NOT NULL COMMENT 'Corrected time of the first video or ad event, epoch ms',
    start_ts              TIMESTAMP NOT NULL COMMENT 'The same as a time',
    report_date           DATE      NOT NULL COMMENT 'Day of the corrected start of the playback, in the reporting time zone',
    last_event_ts_ms      BIGINT    NOT NULL COMMENT 'Corrected time of the last video or ad event, epoch ms',
    last_event_ts         TIMESTAMP NOT NULL COMMENT 'Corrected time of the last video or ad event',
    events                BIGINT    NOT NULL COMMENT 'Video and ad events',
    seq_gaps              BIGINT    NOT NULL COMMENT 'Events lost on the way, by the gaps in seq',
    PRIMARY KEY (playback_id),
    CONSTRAINT starts_before_it_ends CHECK (start_ts_ms <= last_event_ts_ms),
    CONSTRAINT gaps_not_negative CHECK (seq_gaps >= 0)
)
PARTITIONED BY (report_date)
TBLPROPERTIES (
    'delta.dataSkippingStatsColumns' = 'playback_id,video_id,start_ts'
);

-- One row per cut of a video (video_id, content_version): its one duration, from the catalogue, else from the players.
-- All retention curves of a cut share it.
CREATE TABLE silver.video_durations (
    video_id             STRING    NOT NULL COMMENT 'Video',
    content_version      BIGINT    NOT NULL COMMENT 'Cut of the video',
    duration_ms          BIGINT             COMMENT 'Duration, ms; NULL where nobody knows it',
    duration_source      STRING    NOT NULL COMMENT 'catalogue, player (most frequent report) or unknown',
    completion_target_ms BIGINT             COMMENT 'What has to be seen for a completion, ms: up to the credits, else the duration',
    PRIMARY KEY (video_id, content_version),
    CONSTRAINT duration_within_bounds CHECK (duration_ms BETWEEN 1 AND 10000000000),
    CONSTRAINT target_within_duration CHECK (completion_target_ms <= duration_ms)
);

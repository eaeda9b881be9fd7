-- One row per cut of a video (video_id, content_version): what is a fact about the file, newest known value.
-- Corrections restate history: these are never as of a time. Newest: the later valid_from, updated_ts, record or file
-- time, greater content.
CREATE TABLE silver.video_cuts (
    video_id         STRING    NOT NULL COMMENT 'Video',
    content_version  BIGINT    NOT NULL COMMENT 'Cut of the video',
    duration_ms      BIGINT             COMMENT 'Duration of this cut, ms; absent (or 0) where unknown',
    credits_start_ms BIGINT             COMMENT 'Where the closing credits begin, ms',
    intro_end_ms     BIGINT             COMMENT 'Where the opening ends, ms',
    chapters         JSON               COMMENT 'Chapters: a JSON list of start_ms and title',
    PRIMARY KEY (video_id, content_version),
    CONSTRAINT duration_within_bounds CHECK (duration_ms BETWEEN 1 AND 10000000000)
);

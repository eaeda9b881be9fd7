-- One row per day, video, cut and slice of 1 % of the duration: who was still there and who left, always all 100 slices.
-- SET: playbacks that started, in mode main, not test, on demand, of known duration, that were watched or reached the end.
-- An exit is the end of the last viewed run of a play that neither completed nor reached the end; hazard = exits / at_risk.
-- Parameters: 95 % for a completion and for the end; edges within 1 s are one run.
CREATE TABLE gold.video_dropoff (
    report_date     DATE      NOT NULL COMMENT 'Day of the corrected start of the playback, in the reporting time zone',
    video_id        STRING    NOT NULL COMMENT 'Video',
    content_version BIGINT    NOT NULL COMMENT 'Cut of the video',
    slice           INT       NOT NULL COMMENT '1 to 100: an exit at exactly k % is in slice k',
    exits           BIGINT    NOT NULL COMMENT 'Plays that left in the slice',
    at_risk         BIGINT    NOT NULL COMMENT 'Plays that had not left before it',
    PRIMARY KEY (report_date, video_id, content_version, slice),
    CONSTRAINT slice_1_to_100 CHECK (slice BETWEEN 1 AND 100),
    CONSTRAINT exits_within_at_risk CHECK (exits BETWEEN 0 AND at_risk)
)
PARTITIONED BY (report_date);

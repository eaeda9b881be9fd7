-- One row per day, video, cut and slice of 1 % of the duration: how much of it was watched, always all 100 slices.
-- SET: playbacks that started, in mode main, not test, on demand, of known duration, finished or not, by the day of their start.
-- Audience watch ratio = watched_units / (duration * plays), and the sum over slices is 100 * the media played. Add up days freely.
-- Parameters: 100 slices; 2 s tolerance for contiguous viewing; edges within 1 s are one run.
CREATE TABLE gold.video_retention (
    report_date               DATE      NOT NULL COMMENT 'Day of the corrected start of the playback, in the reporting time zone',
    video_id                  STRING    NOT NULL COMMENT 'Video',
    content_version           BIGINT    NOT NULL COMMENT 'Cut of the video',
    slice                     INT       NOT NULL COMMENT '1 to 100: slice k ends at k % of the duration, exclusive',
    plays                     BIGINT    NOT NULL COMMENT 'Plays in the set: the same in every slice',
    watched_units             BIGINT    NOT NULL COMMENT 'Media watched in the slice, hundredths of a millisecond; repeats count',
    started_watching          BIGINT    NOT NULL COMMENT 'Runs that begin in the slice',
    stopped_watching          BIGINT    NOT NULL COMMENT 'Runs that end in the slice',
    total_segment_impressions BIGINT    NOT NULL COMMENT 'Runs that show some of the slice',
    PRIMARY KEY (report_date, video_id, content_version, slice),
    CONSTRAINT slice_1_to_100 CHECK (slice BETWEEN 1 AND 100),
    CONSTRAINT watched_not_negative CHECK (watched_units >= 0),
    CONSTRAINT runs_begin_and_end_in_it CHECK (total_segment_impressions >= started_watching AND total_segment_impressions >= stopped_watching),
    CONSTRAINT somebody_played CHECK (plays >= 1)
)
PARTITIONED BY (report_date);

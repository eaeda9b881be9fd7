//! What the demo shows: the top videos, one retention curve, the ad KPIs by campaign.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use engine::error::{Error, Result};
use engine::query::translate;
use engine::world::World;

use crate::cli::Tables;

const TOP: &str = "SELECT video_id, min(title) AS title, sum(plays) AS plays,
    sum(play_time_ms) / 3600000 AS hours,
    round(100.0 * sum(media_ms) / nullif(sum(known_duration_ms), 0), 1) AS avg_percent_viewed,
    round(100.0 * sum(completes) / nullif(sum(known_plays), 0), 1) AS completion_percent
FROM gold.video_daily
LEFT JOIN (SELECT video_id AS id, max(title) AS title FROM silver.videos WHERE is_current GROUP BY video_id) ON id = video_id
GROUP BY video_id ORDER BY plays DESC, video_id LIMIT 5";

const CURVE: &str = "SELECT slice, CAST(sum(watched_units) AS DOUBLE) / (sum(plays * d)) AS ratio
FROM gold.video_retention
JOIN (SELECT video_id AS id, content_version AS cut, max(duration_ms) AS d FROM silver.videos GROUP BY video_id, content_version)
  ON id = video_id AND cut = content_version
WHERE video_id = '{video}' GROUP BY slice ORDER BY slice";

const ADS: &str = "SELECT campaign_id, currency, sum(impressions) AS impressions,
    round(100.0 * sum(completes) / nullif(sum(starts), 0), 1) AS vcr_percent,
    round(100.0 * sum(clicked_impressions) / nullif(sum(impressions), 0), 2) AS ctr_percent,
    round(100.0 * sum(skips) / nullif(sum(skippable_starts), 0), 1) AS skip_percent,
    round(sum(revenue_micros) / 1000000.0, 2) AS revenue
FROM gold.ad_daily GROUP BY campaign_id, currency ORDER BY impressions DESC, campaign_id LIMIT 8";

/// Shows the results of the demo's lake.
pub(super) async fn show(world: &World) -> Result<()> {
    let tables = Tables::open(world, &[]).await?;
    let top = rows(&tables, TOP).await?;
    heading("Top videos");
    table(&top)?;
    if top.num_rows() > 0 {
        let text = |name: &str| -> Result<String> {
            let column =
                top.column_by_name(name).ok_or_else(|| Error::internal("the demo's query"))?;
            let column = cast(column, &DataType::Utf8).map_err(broken)?;
            Ok(column.as_string::<i32>().value(0).to_owned())
        };
        let (video, title) = (text("video_id")?, text("title")?);
        let curve = rows(&tables, &CURVE.replace("{video}", &video.replace('\'', "''"))).await?;
        let ratios = curve
            .column_by_name("ratio")
            .map(Arc::clone)
            .ok_or_else(|| Error::internal("the demo's curve"))?;
        let ratios: Vec<f64> =
            ratios.as_primitive::<Float64Type>().iter().map(Option::unwrap_or_default).collect();
        heading(&format!("Audience retention of \"{title}\" ({video})"));
        crate::cli::print(&super::chart::curve(&ratios));
    }
    heading("Ads by campaign");
    table(&rows(&tables, ADS).await?)
}

async fn rows(tables: &Tables, sql: &str) -> Result<RecordBatch> {
    let batches = tables
        .query
        .collect(sql)
        .await
        .map_err(|cause| translate("the demo's query failed", cause))?;
    let schema = batches.first().map(RecordBatch::schema);
    let schema = schema.unwrap_or_else(|| Arc::new(datafusion::arrow::datatypes::Schema::empty()));
    concat_batches(&schema, &batches).map_err(broken)
}

fn table(rows: &RecordBatch) -> Result<()> {
    let text = datafusion::arrow::util::pretty::pretty_format_batches(std::slice::from_ref(rows))
        .map_err(broken)?;
    crate::cli::print(&format!("{text}\n"));
    Ok(())
}

fn heading(text: &str) {
    crate::cli::print(&format!("\n{text}\n"));
}

fn broken(cause: datafusion::arrow::error::ArrowError) -> Error {
    Error::internal("the demo's result").caused_by(cause)
}

//! A Delta table as `DataFusion` reads it: one version, plain types, a LIMIT that counts.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::TableProvider;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
};
use deltalake::DeltaTable;
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext};

use crate::query::may_fail_on;

/// The provider of a table at the version that its handle sees.
pub(super) fn provider(table: &DeltaTable) -> Result<Arc<dyn TableProvider>> {
    let config = DeltaScanConfig {
        wrap_partition_values: false,
        schema_force_view_types: false,
        ..DeltaScanConfig::new()
    };
    let snapshot = table.snapshot().map_err(external)?.snapshot().clone();
    let schema = DeltaScanNext::new(snapshot.clone(), config.clone())?.schema();
    let config = DeltaScanConfig { schema: Some(Arc::clone(&schema)), ..config };
    let scan = DeltaScanNext::new(snapshot, config)?;
    Ok(Arc::new(Frozen { table: table.clone(), scan, schema }))
}

fn external(cause: deltalake::DeltaTableError) -> DataFusionError {
    DataFusionError::External(Box::new(cause))
}

struct Frozen {
    table: DeltaTable,
    scan: DeltaScanNext,
    schema: SchemaRef,
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frozen({} v{:?})", self.table.table_url(), self.table.version())
    }
}

#[async_trait]
impl TableProvider for Frozen {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushed = |filter: &&Expr| {
            if may_fail_on(filter, &self.schema) {
                TableProviderFilterPushDown::Unsupported
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.table.update_datafusion_session(state).map_err(external)?;
        let plan = self.scan.scan(state, projection, filters, limit).await?;
        // delta-rs ignores a LIMIT when only partition columns are read (delta-rs#4037).
        if plan.name() == "DeltaScanMetaExec" {
            return Ok(Arc::new(LimitBarrier(plan)));
        }
        Ok(plan)
    }
}

/// Passes rows through and refuses to take a LIMIT, so that `DataFusion` keeps its own above.
#[derive(Debug)]
struct LimitBarrier(Arc<dyn ExecutionPlan>);

impl DisplayAs for LimitBarrier {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitBarrier")
    }
}

impl ExecutionPlan for LimitBarrier {
    fn name(&self) -> &'static str {
        "LimitBarrier"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.0]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(child) if children.is_empty() => Ok(Arc::new(Self(child))),
            _ => Err(DataFusionError::Internal("LimitBarrier has one child".to_owned())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }
}

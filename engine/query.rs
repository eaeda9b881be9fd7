//! Runs SQL on tables at pinned versions. The door to `DataFusion`'s planner.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::{DFSchema, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan, Projection, Volatility};
use datafusion::optimizer::Analyzer;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};

use crate::contract::{CATALOG, TableName};
use crate::error::{Error, Result};
use crate::zone;

mod aliases;
mod bins;
mod bounded;
mod checked;
mod checked_sum;
mod clauses;
mod clocks;
mod constants;
mod distinct_sum;
mod double_sum;
mod drawn;
mod exact;
mod exact_moments;
mod exact_sum;
mod explain;
mod failing_row;
mod failure;
mod first_known;
mod fitted;
mod fixed_sum;
mod floats;
mod growth;
mod guard;
mod hash;
mod intervals;
mod joins;
mod json;
mod kinds;
mod lifted;
mod like;
mod list_sum;
mod local;
mod micros;
mod moments;
mod moving;
mod near;
mod nearest;
mod nested_order;
mod nodes;
mod null_lists;
mod nulls;
mod numbers;
mod one_value;
mod opaque;
mod order;
mod origin;
mod parse;
mod parts;
mod places;
mod pulled;
mod quotient;
mod reporting;
mod respelled;
mod rounded;
mod series;
mod shapes;
mod similar;
mod simple;
mod spans;
mod subqueries;
#[cfg(test)]
mod testing;
mod text;
mod times;
mod tuples;
mod using;
mod written;
mod zones;
pub use explain::explain;
pub use failing_row::RowKey;
pub use failure::translate;
pub use guard::may_fail_on;
pub use hash::ContentHash;
use origin::Origin;

/// What limits a query.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes that operators may hold before they spill.
    pub memory: usize,
    /// Where they spill to; nowhere if `None`.
    pub scratch: Option<std::path::PathBuf>,
    /// The zone of `reporting_date`.
    pub reporting_tz: chrono_tz::Tz,
}

impl Limits {
    /// Limits for planning, which holds no rows.
    pub fn planning(reporting_tz: chrono_tz::Tz) -> Self {
        Self { memory: 64 << 20, scratch: None, reporting_tz }
    }
}

/// A set of tables that SQL may read.
#[derive(Clone)]
pub struct Query {
    context: SessionContext,
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Query")
    }
}

impl Query {
    /// An empty set of tables.
    ///
    /// # Errors
    /// The scratch folder cannot be used.
    pub fn new(limits: &Limits) -> Result<Self> {
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, "public")
            .with_create_default_catalog_and_schema(true);
        let options = config.options_mut();
        options.sql_parser.collect_spans = true;
        options.sql_parser.parse_float_as_decimal = true;
        options.execution.parquet.pushdown_filters = true;
        // It ends queries where a condition counts as never NULL in one plan and not in the other,
        // as `b IS TRUE` does if it is computed once for two places (apache/datafusion#24096).
        options.execution.skip_physical_aggregate_schema_check = true;
        // Both keep the first rows only, though a window function above them needs all
        // (apache/datafusion#25066, #25471).
        options.optimizer.enable_topk_aggregation = false;
        options.optimizer.enable_window_limits = false;
        // Below a UNION it gives the columns of a branch that filters another order, and the query
        // another column's values (DataFusion 55.2).
        options.optimizer.enable_leaf_expression_pushdown = false;
        let disk = match &limits.scratch {
            Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
            None => DiskManagerMode::Disabled,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
            .build_arc()
            .map_err(|cause| translate("cannot prepare queries", cause))?;
        // The physical push-down of filters finds columns by name, also the other side's of a join
        // that was swapped, and rows are lost (DataFusion 55.2). Filters reach the scans before.
        let rules = PhysicalOptimizer::new().rules.into_iter();
        let rules = rules.filter(|rule| !rule.name().starts_with("FilterPushdown"));
        let rules = rules.chain([Arc::new(guard::GuardFilters) as _]).collect();
        let mut analysis = Analyzer::new().rules;
        analysis.push(Arc::new(micros::MicrosecondCasts));
        analysis.push(Arc::new(TypeCoercion::new()));
        analysis.push(Arc::new(clocks::LocalTimes));
        analysis.push(Arc::new(checked::CheckedArithmetic));
        analysis.push(Arc::new(one_value::RightValues));
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_analyzer_rules(analysis)
            .with_physical_optimizer_rules(rules)
            .with_type_planner(Arc::new(micros::Microseconds))
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_udf(reporting::reporting_date(limits.reporting_tz));
        let room = bounded::Room::of(limits.memory);
        for (name, function) in series::tables(&context, room) {
            context.register_udtf(name, function);
        }
        let functions = times::functions().into_iter().chain(bounded::functions(&context, room));
        let functions = functions.chain(series::lists(&context, room));
        let functions = functions.chain([bins::date_bin(), aliases::mark(), json::json_valid()]);
        let functions = functions.chain(list_sum::function(&context));
        let functions = functions.chain(rounded::functions(&context));
        functions
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|function| context.register_udf(function));
        Ok(Self { context })
    }

    /// Sets an option of `DataFusion`, so that a test can run a query in other ways.
    ///
    /// # Errors
    /// There is no such option, or the value does not fit.
    pub fn set(&self, option: &str, value: &str) -> Result<(), DataFusionError> {
        self.context.state_ref().write().config_mut().options_mut().set(option, value)
    }

    /// Lets SQL read `provider` as `name`.
    pub fn register(&self, name: &TableName, provider: Arc<dyn TableProvider>) -> Result<()> {
        let catalog = self.context.catalog(CATALOG).ok_or_else(|| Error::internal("no catalog"))?;
        if catalog.schema(&name.layer).is_none() {
            let added = catalog.register_schema(&name.layer, Arc::new(MemorySchemaProvider::new()));
            added.map_err(|cause| Error::internal("cannot add a schema").caused_by(cause))?;
        }
        let reference = TableReference::partial(name.layer.as_str(), name.table.as_str());
        let _ = self.context.deregister_table(reference.clone());
        let added = self.context.register_table(reference, provider);
        added
            .map(drop)
            .map_err(|cause| Error::internal(format!("cannot register {name}")).caused_by(cause))
    }

    /// Lets SQL read an empty table of this schema, for planning.
    pub fn register_empty(&self, name: &TableName, schema: SchemaRef) -> Result<()> {
        let table = MemTable::try_new(schema, vec![vec![]]);
        let table = table.map_err(|cause| Error::internal("no empty table").caused_by(cause))?;
        self.register(name, Arc::new(table))
    }

    /// Lets SQL read `this`.
    pub fn register_this(&self, provider: Arc<dyn TableProvider>) -> Result<()> {
        let _ = self.context.deregister_table("this");
        let added = self.context.register_table("this", provider);
        added
            .map(drop)
            .map_err(|cause| Error::internal("cannot register the new rows").caused_by(cause))
    }

    /// Lets SQL read the result of a query as `name`, computed when it is read.
    pub async fn register_view(&self, name: &TableName, sql: &str) -> Result<(), DataFusionError> {
        let view = self.plan(sql).await?.into_view();
        self.register(name, view).map_err(|error| DataFusionError::External(error.into()))
    }

    /// Plans a SELECT; SQL that would change anything is refused.
    pub async fn plan(&self, sql: &str) -> Result<DataFrame, DataFusionError> {
        self.plan_into(sql, None).await
    }

    /// Plans a SELECT for a table: what fits a wider type of its columns gets it.
    pub async fn plan_into(
        &self,
        sql: &str,
        table: Option<&Schema>,
    ) -> Result<DataFrame, DataFusionError> {
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let state = self.context.state();
        let plan = planned(&state, sql).await?;
        read_only.verify_plan(&plan)?;
        let (plan, literals) = numbers::settled(shapes::in_right_shapes(plan)?)?;
        let frame = self.context.execute_logical_plan(plan).await?;
        let (state, plan) = frame.into_parts();
        // The types of a result are known once the types of its parts agree.
        let plan = analyze(&state, plan).map_err(|cause| places::placed(cause, sql))?;
        let plan = match table {
            Some(table) => fitted::fitted(plan, table, &literals)?,
            None => plan,
        };
        // Optimising would analyze it once more, which is half the time of planning.
        let analyzed = SessionStateBuilder::new_from_existing(state).with_analyzer_rules(vec![]);
        let state = analyzed.build();
        constants::tried(&state, &plan, sql).await?;
        Ok(DataFrame::new(state, plan))
    }

    /// The rows of a planned query, in as many streams as it runs in.
    pub async fn streams(
        &self,
        frame: DataFrame,
    ) -> Result<Vec<SendableRecordBatchStream>, DataFusionError> {
        let task = frame.task_ctx();
        let plan = frame.create_physical_plan().await?;
        execute_stream_partitioned(plan, Arc::new(task))
    }

    /// The error of a planned query with the keys of a row that it is about, where these can be told.
    pub async fn with_place(frame: DataFrame, keys: &[RowKey], error: Error) -> Error {
        failing_row::with_place(frame, keys, error).await
    }

    /// Whether a planned query could be run: some of what can be planned cannot.
    pub async fn can_run(&self, frame: DataFrame) -> Result<(), DataFusionError> {
        frame.create_physical_plan().await.map(drop)
    }

    /// The columns of a planned query that hold values of a table's columns, views looked through.
    ///
    /// # Errors
    /// The plan cannot be brought into its last shape.
    pub fn columns_from(
        &self,
        frame: &DataFrame,
        table: &TableName,
        columns: &[&str],
    ) -> Result<Vec<String>, DataFusionError> {
        let (state, plan) = frame.clone().into_parts();
        let plan = state.optimize(&plan)?;
        let held = Origin { table, columns }.held_by(&plan)?;
        let names = plan.schema().fields().iter().map(|field| field.name().clone());
        Ok(names.zip(held).filter(|(_, held)| *held).map(|(name, _)| name).collect())
    }

    /// Runs a query and collects its rows.
    pub async fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
        self.plan(sql).await?.collect().await
    }

    /// A filter on rows of `schema`: true, false or NULL for each row.
    pub fn expression(
        &self,
        schema: &SchemaRef,
        sql: &str,
    ) -> Result<Arc<dyn datafusion::physical_plan::PhysicalExpr>, DataFusionError> {
        self.physical(&self.on_rows(schema, sql)?, schema)
    }

    /// As [`Query::expression`], for one that its constants allow to be computed.
    ///
    /// # Errors
    /// Also why it can be computed for no row.
    pub fn computable(
        &self,
        schema: &SchemaRef,
        sql: &str,
    ) -> Result<Arc<dyn datafusion::physical_plan::PhysicalExpr>, DataFusionError> {
        let plan = self.on_rows(schema, sql)?;
        constants::scalars(&self.context.state(), &plan, sql)?;
        self.physical(&plan, schema)
    }

    fn physical(
        &self,
        plan: &LogicalPlan,
        schema: &SchemaRef,
    ) -> Result<Arc<dyn datafusion::physical_plan::PhysicalExpr>, DataFusionError> {
        let expression = plan.expressions().pop().ok_or_else(|| {
            DataFusionError::Internal("an expression went while it was analyzed".to_owned())
        })?;
        let schema = DFSchema::try_from(schema.as_ref().clone())?;
        let expression = simple::simplified(&self.context.state(), expression, &schema)?;
        self.context.create_physical_expr(expression, &schema)
    }

    /// An expression as the column of a plan on rows of `schema`.
    fn on_rows(&self, schema: &SchemaRef, sql: &str) -> Result<LogicalPlan, DataFusionError> {
        let schema = DFSchema::try_from(schema.as_ref().clone())?;
        let state = self.context.state();
        let mut parsed = text::expression(sql)?;
        clauses::settled_in(&mut parsed.expr)?;
        zones::named_in(&mut parsed.expr)?;
        let expression = state.create_logical_expr_from_sql_expr(parsed, &schema)?;
        let rows = EmptyRelation { produce_one_row: false, schema: Arc::new(schema) };
        let rows = Arc::new(LogicalPlan::EmptyRelation(rows));
        let plan = LogicalPlan::Projection(Projection::try_new(vec![expression], rows)?);
        let (plan, _) = numbers::settled(plan)?;
        analyze(&state, plan)
    }

    /// Whether a function gives the same for the same arguments at every run. One that the planner
    /// does not know counts as steady: planning says that it is unknown.
    pub fn is_steady(&self, function: &str) -> bool {
        let state = self.context.state_ref();
        let found = state.read().scalar_functions().get(function).cloned();
        found.is_none_or(|found| found.signature().volatility == Volatility::Immutable)
            && function != "version"
    }

    /// Whether a function looks at many rows: an aggregate or a window function, and no other.
    pub fn is_of_many_rows(&self, function: &str) -> bool {
        let state = self.context.state_ref();
        let state = state.read();
        !state.scalar_functions().contains_key(function)
            && (state.aggregate_functions().contains_key(function)
                || state.window_functions().contains_key(function))
    }

    /// The names of all tables and their columns.
    pub async fn names(&self) -> Vec<(TableName, Vec<String>)> {
        let mut names = Vec::new();
        let Some(catalog) = self.context.catalog(CATALOG) else { return names };
        for layer in catalog.schema_names() {
            let Some(schema) = catalog.schema(&layer).filter(|_| layer != "information_schema")
            else {
                continue;
            };
            for table in schema.table_names() {
                if let Ok(Some(provider)) = schema.table(&table).await {
                    let columns = provider
                        .schema()
                        .fields()
                        .iter()
                        .map(|field| field.name().clone())
                        .collect();
                    names.push((TableName::new(&layer, &table), columns));
                }
            }
        }
        names.sort();
        names
    }
}

/// The plan of a statement as it is written.
async fn planned(state: &SessionState, sql: &str) -> Result<LogicalPlan, DataFusionError> {
    let mut statement = text::statement(sql)?;
    clauses::settled(&mut statement)?;
    drawn::require_once(state, &statement)?;
    using::with_merged_keys(state, &mut statement)?;
    zones::named(&mut statement)?;
    let again = statement.clone();
    let mut plan = state.statement_to_plan(statement).await;
    for with_columns in [false, true] {
        match &plan {
            Err(cause) if aliases::are_alike(cause) => {
                let mut statement = again.clone();
                aliases::told_apart(&mut statement, with_columns)?;
                plan = state.statement_to_plan(statement).await.and_then(aliases::unmarked);
            }
            _ => break,
        }
    }
    plan
}

/// Settles types, and puts what is ours into a plan: see `checked`, `guard` and `micros`.
fn analyze(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
}

/// The folder for spilled data, made when it is needed.
pub fn limits(settings: &crate::settings::Settings, scratch: Option<&Path>) -> Result<Limits> {
    let tz = settings.get("reporting_tz").unwrap_or("UTC");
    let reporting_tz = zone::setting(tz)?;
    let memory = usize::try_from(settings.bytes("query.memory")?).unwrap_or(usize::MAX);
    Ok(Limits { memory, scratch: scratch.map(Path::to_owned), reporting_tz })
}

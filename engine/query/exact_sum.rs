//! `sum` and `avg` of doubles that do not depend on the order of rows: each sum is rounded once.
//!
//! `DataFusion` adds up doubles as they come, so the last digits tell how rows were split into files,
//! batches and partitions. Here sums are exact until they are asked for (`double_sum`), also as parts
//! that are merged, over groups, distinct values and windows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt64Type};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, ExprSchemable, GroupsAccumulator,
    LogicalPlan, ReversedUDAF, Signature, Volatility, WindowFunctionDefinition,
};

use super::double_sum::{DoubleSum, Pair};
use super::exact_moments;
use super::fixed_sum::FixedSum;
use super::moments::Statistic;
use super::nodes::{input_schema, rewritten};

/// What the names of the functions begin with that round once.
pub(super) const PREFIX: &str = "exact_";

/// A node whose sums, averages and other statistics of doubles are exact.
pub(super) fn exactly(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)) {
        return Ok(Transformed::no(plan));
    }
    let schema = input_schema(&plan)?;
    rewritten(plan, |expr| expr.transform_up(|expr| replaced(expr, &schema)))
}

fn replaced(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::AggregateFunction(mut call) => {
            let params = &call.params;
            let exact = counterpart(call.func.name(), &params.args, params.distinct, schema)?;
            let found = exact.is_some();
            call.func = exact.unwrap_or(call.func);
            Transformed::new(Expr::AggregateFunction(call), found, TreeNodeRecursion::Continue)
        }
        Expr::WindowFunction(mut call) => {
            let params = &call.params;
            let exact = counterpart(call.fun.name(), &params.args, params.distinct, schema)?;
            let found = exact.is_some();
            call.fun = exact.map_or(call.fun, WindowFunctionDefinition::AggregateUDF);
            Transformed::new(Expr::WindowFunction(call), found, TreeNodeRecursion::Continue)
        }
        expr => Transformed::no(expr),
    })
}

/// The function that does the same without rounding in between.
fn counterpart(
    name: &str,
    args: &[Expr],
    distinct: bool,
    schema: &DFSchema,
) -> Result<Option<Arc<AggregateUDF>>> {
    for arg in args {
        if arg.get_type(schema)? != DataType::Float64 {
            return Ok(None);
        }
    }
    let mean = match (name, args) {
        ("sum", [_]) => false,
        ("avg", [_]) => true,
        (name, [_] | [_, _]) => {
            // Pairs of values that are distinct are not known here.
            let statistic = Statistic::of(name).filter(|of| !(distinct && of.is_of_two()));
            let statistic = statistic.map(exact_moments::function);
            return Ok(statistic.map(Arc::new));
        }
        _ => return Ok(None),
    };
    let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
    Ok(Some(Arc::new(AggregateUDF::from(Exact { mean, signature }))))
}

/// A sum or an average of doubles.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    mean: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Exact {
    /// Not the name of `DataFusion`'s: a rule of it takes `sum`s of sums that were rounded.
    fn name(&self) -> &'static str {
        if self.mean { "exact_avg" } else { "exact_sum" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Ok(Box::new(Distinct { mean: self.mean, ..Distinct::default() }));
        }
        Ok(Box::new(All { mean: self.mean, ..All::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = |part: &str| format_state_name(args.name, part);
        if args.is_distinct {
            let item = Field::new_list_field(DataType::Float64, true);
            return Ok(vec![Arc::new(Field::new_list(name("values"), item, true))]);
        }
        let field = |part, data_type| Arc::new(Field::new(name(part), data_type, true));
        Ok(vec![
            field("high", DataType::Float64),
            field("low", DataType::Float64),
            field("rest", DataType::Binary),
            field("count", DataType::UInt64),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        _: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { mean: self.mean, ..Groups::default() }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

fn as_double(n: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "no group has 2^53 rows")]
    let double = n as f64;
    double
}

fn doubles(values: &[ArrayRef]) -> &Float64Array {
    values[0].as_primitive::<Float64Type>()
}

fn rest_of(bytes: &[u8]) -> Result<FixedSum> {
    FixedSum::from_bytes(bytes).ok_or_else(broken_part)
}

/// The error of bytes that no sum has written.
pub(super) fn broken_part() -> DataFusionError {
    DataFusionError::Internal("a part of a sum is none".to_owned())
}

/// All values, of a query without groups or of a window.
#[derive(Debug, Default)]
struct All {
    mean: bool,
    sum: DoubleSum,
    n: u64,
}

impl Accumulator for All {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = doubles(values);
        self.n += (values.len() - values.null_count()) as u64;
        if values.null_count() == 0 {
            self.sum.add_all(values.values());
        } else {
            values.iter().flatten().for_each(|value| self.sum.add(value));
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in doubles(values).iter().flatten() {
            self.sum.remove(value);
            self.n -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = match self.n {
            0 => None,
            n if self.mean => Some(self.sum.mean(as_double(n))),
            _ => Some(self.sum.value()),
        };
        Ok(ScalarValue::Float64(value))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sum.heap_bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (pair, rest) = self.sum.parts();
        Ok(vec![
            ScalarValue::Float64(Some(pair.high)),
            ScalarValue::Float64(Some(pair.low)),
            ScalarValue::Binary(rest),
            ScalarValue::UInt64(Some(self.n)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let state = State::of(states);
        for row in 0..state.counts.len() {
            self.n += state.counts.value(row);
            self.sum.add(state.highs.value(row));
            self.sum.add(state.lows.value(row));
            if state.rests.is_valid(row) {
                self.sum.merge_rest(&rest_of(state.rests.value(row))?);
            }
        }
        Ok(())
    }
}

/// Parts of sums, as they travel.
struct State<'a> {
    highs: &'a Float64Array,
    lows: &'a Float64Array,
    rests: &'a BinaryArray,
    counts: &'a UInt64Array,
}

impl<'a> State<'a> {
    fn of(states: &'a [ArrayRef]) -> Self {
        Self {
            highs: states[0].as_primitive::<Float64Type>(),
            lows: states[1].as_primitive::<Float64Type>(),
            rests: states[2].as_binary::<i32>(),
            counts: states[3].as_primitive::<UInt64Type>(),
        }
    }
}

/// Each value once: how often it is in, and the sum. Both zeros are one value.
#[derive(Debug, Default)]
struct Distinct {
    mean: bool,
    counts: HashMap<u64, u64>,
    sum: DoubleSum,
}

impl Distinct {
    fn key(value: f64) -> u64 {
        if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
    }

    fn add(&mut self, value: f64) {
        let count = self.counts.entry(Self::key(value)).or_default();
        *count += 1;
        if *count == 1 {
            self.sum.add(value);
        }
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        doubles(values).iter().flatten().for_each(|value| self.add(value));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in doubles(values).iter().flatten() {
            let key = Self::key(value);
            let Some(count) = self.counts.get_mut(&key) else { continue };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
                self.sum.remove(value);
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = match self.counts.len() as u64 {
            0 => None,
            n if self.mean => Some(self.sum.mean(as_double(n))),
            _ => Some(self.sum.value()),
        };
        Ok(ScalarValue::Float64(value))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.sum.heap_bytes()
            + self.counts.capacity() * (size_of::<(u64, u64)>() + 1)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = self.counts.keys().map(|bits| f64::from_bits(*bits));
        let values: ArrayRef = Arc::new(values.collect::<Float64Array>());
        Ok(vec![SingleRowListArrayBuilder::new(values).build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[values])?;
        }
        Ok(())
    }
}

/// The sum of a group, as long as it has room in two doubles, and the number of its values.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    pair: Pair,
    n: u64,
}

/// The sums of groups.
#[derive(Debug, Default)]
struct Groups {
    mean: bool,
    sums: Vec<Group>,
    /// What has no room in two doubles.
    rests: BTreeMap<usize, FixedSum>,
    rest_bytes: usize,
}

impl Groups {
    #[inline]
    fn add(&mut self, at: usize, value: f64) {
        if !self.sums[at].pair.add(value) {
            self.add_to_rest(at, |rest| rest.add(value));
        }
    }

    fn add_to_rest(&mut self, at: usize, add: impl FnOnce(&mut FixedSum)) {
        const OF_ENTRY: usize = size_of::<(usize, FixedSum)>();
        let mut added = 0;
        let rest = self.rests.entry(at).or_insert_with(|| {
            added = OF_ENTRY;
            FixedSum::default()
        });
        let before = rest.heap_bytes();
        self.sums[at].pair.pour_into(rest);
        add(rest);
        self.rest_bytes += added + rest.heap_bytes() - before;
    }

    /// The groups that are asked for; those that stay begin at 0 again.
    fn take(&mut self, emit: EmitTo) -> (Vec<Group>, BTreeMap<usize, FixedSum>) {
        let groups = emit.take_needed(&mut self.sums);
        let mut rests = std::mem::take(&mut self.rests);
        let later = rests.split_off(&groups.len());
        self.rests = later.into_iter().map(|(at, rest)| (at - groups.len(), rest)).collect();
        let bytes = |rest: &FixedSum| size_of::<(usize, FixedSum)>() + rest.heap_bytes();
        self.rest_bytes = self.rests.values().map(bytes).sum();
        (groups, rests)
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        indices: &[usize],
        filter: Option<&BooleanArray>,
        n_groups: usize,
    ) -> Result<()> {
        self.sums.resize(n_groups, Group::default());
        let values = doubles(values);
        if values.null_count() == 0 && filter.is_none() {
            for (at, value) in indices.iter().zip(values.values()) {
                self.sums[*at].n += 1;
                self.add(*at, *value);
            }
            return Ok(());
        }
        for (row, at) in indices.iter().enumerate() {
            if values.is_valid(row) && passes(filter, row) {
                self.sums[*at].n += 1;
                self.add(*at, values.value(row));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let (groups, mut rests) = self.take(emit);
        let results = groups.into_iter().enumerate().map(|(at, Group { pair, n })| {
            let sum = DoubleSum::of_parts(pair, rests.remove(&at));
            match n {
                0 => None,
                n if self.mean => Some(sum.mean(as_double(n))),
                _ => Some(sum.value()),
            }
        });
        Ok(Arc::new(results.collect::<Float64Array>()))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (groups, rests) = self.take(emit);
        let highs = groups.iter().map(|group| group.pair.high);
        let lows = groups.iter().map(|group| group.pair.low);
        let counts = groups.iter().map(|group| group.n);
        let rests = (0..groups.len()).map(|at| rests.get(&at).map(FixedSum::to_bytes));
        Ok(vec![
            Arc::new(highs.collect::<Float64Array>()),
            Arc::new(lows.collect::<Float64Array>()),
            Arc::new(rests.collect::<BinaryArray>()),
            Arc::new(counts.collect::<UInt64Array>()),
        ])
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        indices: &[usize],
        n_groups: usize,
    ) -> Result<()> {
        self.sums.resize(n_groups, Group::default());
        let state = State::of(states);
        for (row, at) in indices.iter().enumerate() {
            self.sums[*at].n += state.counts.value(row);
            self.add(*at, state.highs.value(row));
            let low = state.lows.value(row);
            if low != 0.0 {
                self.add(*at, low);
            }
            if state.rests.is_valid(row) {
                let more = rest_of(state.rests.value(row))?;
                self.add_to_rest(*at, |rest| rest.merge(&more));
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = doubles(values);
        let taken = |row: usize| values.is_valid(row) && passes(filter, row);
        let highs = (0..values.len()).map(|row| if taken(row) { values.value(row) } else { 0.0 });
        let counts = (0..values.len()).map(|row| u64::from(taken(row)));
        Ok(vec![
            Arc::new(highs.collect::<Float64Array>()),
            Arc::new(Float64Array::from(vec![0.0; values.len()])),
            Arc::new(BinaryArray::new_null(values.len())),
            Arc::new(counts.collect::<UInt64Array>()),
        ])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Group>() + self.rest_bytes
    }
}

pub(super) fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

#[cfg(test)]
mod tests;

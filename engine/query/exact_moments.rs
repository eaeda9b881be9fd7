//! Variances, covariances and regressions that do not depend on the order of rows (`moments`), over
//! groups, distinct values and windows, where what has left a window leaves no trace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt64Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::exact_sum::{broken_part, passes};
use super::moments::{Moments, OF_ONE, OF_TWO, Statistic};
use super::near::{Near, Quad};

/// The doubles of a sum.
const QUAD: usize = size_of::<Quad>() / size_of::<f64>();

/// The function of a statistic.
pub(super) fn function(statistic: Statistic) -> AggregateUDF {
    let n_columns = if statistic.is_of_two() { 2 } else { 1 };
    let signature = Signature::exact(vec![DataType::Float64; n_columns], Volatility::Immutable);
    AggregateUDF::from(Exact { statistic, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    statistic: Statistic,
    signature: Signature,
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &'static str {
        self.statistic.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let statistic = self.statistic;
        if args.is_distinct {
            return Ok(Box::new(Distinct { statistic, counts: HashMap::new() }));
        }
        Ok(if statistic.is_of_two() {
            Box::new(All::<OF_TWO> { statistic, rows: Rows::default() })
        } else {
            Box::new(All::<OF_ONE> { statistic, rows: Rows::default() })
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            let item = Field::new_list_field(DataType::Float64, true);
            let name = format_state_name(args.name, "values");
            return Ok(vec![Arc::new(Field::new_list(name, item, true))]);
        }
        let n_sums = if self.statistic.is_of_two() { OF_TWO } else { OF_ONE };
        let field = |part: &str, data_type| {
            Arc::new(Field::new(format_state_name(args.name, part), data_type, true))
        };
        let mut fields = vec![field("count", DataType::UInt64), field("rest", DataType::Binary)];
        for n in 0..n_sums * QUAD {
            fields.push(field(&format!("part {n}"), DataType::Float64));
        }
        Ok(fields)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        _: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let statistic = self.statistic;
        Ok(if statistic.is_of_two() {
            Box::new(Groups::<OF_TWO>::of(statistic))
        } else {
            Box::new(Groups::<OF_ONE>::of(statistic))
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The values of rows, without those that have a NULL.
fn rows(values: &[ArrayRef]) -> impl Iterator<Item = (usize, f64, Option<f64>)> {
    let columns: Vec<&Float64Array> =
        values.iter().map(|column| column.as_primitive::<Float64Type>()).collect();
    (0..columns[0].len()).filter_map(move |row| {
        let known = columns.iter().all(|column| column.is_valid(row));
        known.then(|| (row, columns[0].value(row), columns.get(1).map(|x| x.value(row))))
    })
}

/// The rows of a group, of a window, or of all.
#[derive(Clone, Debug, Default)]
struct Rows<const N: usize> {
    near: Near<N>,
    rest: Option<Box<Moments>>,
}

impl<const N: usize> Rows<N> {
    fn put(&mut self, y: f64, x: Option<f64>, sign: i64) {
        if !self.near.put(y, x, if sign > 0 { 1.0 } else { -1.0 }) {
            let rest = self.rest.get_or_insert_default();
            self.near.pour_into(rest);
            rest.put(y, x, sign);
        }
    }

    fn merge(&mut self, near: &mut Near<N>, rest: Option<&Moments>) {
        if !self.near.merge(near) {
            near.pour_into(self.rest.get_or_insert_default());
        }
        if let Some(rest) = rest {
            self.rest.get_or_insert_default().merge(rest);
        }
    }

    fn value(&self, statistic: Statistic) -> Option<f64> {
        let mut all = self.rest.as_deref().cloned().unwrap_or_default();
        { self.near }.pour_into(&mut all);
        all.value(statistic)
    }

    fn heap_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| size_of::<Moments>() + rest.heap_bytes())
    }
}

/// Rows as they travel: their number, what has no room in doubles, and the doubles.
fn state_of<const N: usize>(rows: &[(Near<N>, Option<Vec<u8>>)]) -> Vec<ArrayRef> {
    let counts: UInt64Array = rows.iter().map(|(near, _)| Some(near.n)).collect();
    let rests: BinaryArray = rows.iter().map(|(_, rest)| rest.as_deref()).collect();
    let mut state: Vec<ArrayRef> = vec![Arc::new(counts), Arc::new(rests)];
    for n in 0..N * QUAD {
        let parts = rows.iter().map(|(near, _)| near.sums[n / QUAD][n % QUAD]);
        state.push(Arc::new(parts.collect::<Float64Array>()));
    }
    state
}

/// Rows that have travelled, one part after the other.
fn parts_of<const N: usize>(
    state: &[ArrayRef],
) -> impl Iterator<Item = Result<(Near<N>, Option<Moments>)>> + '_ {
    let (counts, rests) = (state[0].as_primitive::<UInt64Type>(), state[1].as_binary::<i32>());
    let parts: Vec<&Float64Array> =
        state[2..].iter().map(|parts| parts.as_primitive::<Float64Type>()).collect();
    (0..counts.len()).map(move |row| {
        let mut near = Near::<N> { n: counts.value(row), ..Near::default() };
        for (n, parts) in parts.iter().enumerate() {
            near.sums[n / QUAD][n % QUAD] = parts.value(row);
        }
        let rest = rests.is_valid(row).then(|| rests.value(row));
        let rest = rest.map(|bytes| Moments::from_bytes(bytes).ok_or_else(broken_part));
        Ok((near, rest.transpose()?))
    })
}

/// All rows, of a query without groups or of a window.
#[derive(Debug)]
struct All<const N: usize> {
    statistic: Statistic,
    rows: Rows<N>,
}

impl<const N: usize> Accumulator for All<N> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values).for_each(|(_, y, x)| self.rows.put(y, x, 1));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values).for_each(|(_, y, x)| self.rows.put(y, x, -1));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.rows.value(self.statistic)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.heap_bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let rest = self.rows.rest.as_ref().map(|rest| rest.to_bytes());
        let state = state_of(&[(self.rows.near, rest)]);
        state.iter().map(|part| ScalarValue::try_from_array(part, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for part in parts_of(states) {
            let (mut near, rest) = part?;
            self.rows.merge(&mut near, rest.as_ref());
        }
        Ok(())
    }
}

/// Each value of one column once. Both zeros are one value.
#[derive(Debug)]
struct Distinct {
    statistic: Statistic,
    counts: HashMap<u64, u64>,
}

fn key(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for (_, value, _) in rows(values) {
            *self.counts.entry(key(value)).or_default() += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for (_, value, _) in rows(values) {
            let Some(count) = self.counts.get_mut(&key(value)) else { continue };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key(value));
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut moments = Moments::default();
        self.counts.keys().for_each(|bits| moments.put(f64::from_bits(*bits), None, 1));
        Ok(ScalarValue::Float64(moments.value(self.statistic)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * (size_of::<(u64, u64)>() + 1)
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

/// The rows of groups.
#[derive(Debug)]
struct Groups<const N: usize> {
    statistic: Statistic,
    sums: Vec<Near<N>>,
    /// What has no room in doubles.
    rests: BTreeMap<usize, Moments>,
    rest_bytes: usize,
}

impl<const N: usize> Groups<N> {
    fn of(statistic: Statistic) -> Self {
        Self { statistic, sums: Vec::new(), rests: BTreeMap::new(), rest_bytes: 0 }
    }

    fn add_to_rest(&mut self, at: usize, add: impl FnOnce(&mut Moments)) {
        const OF_ENTRY: usize = size_of::<(usize, Moments)>();
        let before = self.rests.get(&at).map_or(0, |rest| OF_ENTRY + rest.heap_bytes());
        let rest = self.rests.entry(at).or_default();
        self.sums[at].pour_into(rest);
        add(rest);
        self.rest_bytes = self.rest_bytes + OF_ENTRY + rest.heap_bytes() - before;
    }

    /// The groups that are asked for; those that stay begin at 0 again.
    fn take(&mut self, emit: EmitTo) -> (Vec<Near<N>>, BTreeMap<usize, Moments>) {
        let groups = emit.take_needed(&mut self.sums);
        let mut rests = std::mem::take(&mut self.rests);
        let later = rests.split_off(&groups.len());
        self.rests = later.into_iter().map(|(at, rest)| (at - groups.len(), rest)).collect();
        let bytes = |rest: &Moments| size_of::<(usize, Moments)>() + rest.heap_bytes();
        self.rest_bytes = self.rests.values().map(bytes).sum();
        (groups, rests)
    }
}

impl<const N: usize> GroupsAccumulator for Groups<N> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        indices: &[usize],
        filter: Option<&BooleanArray>,
        n_groups: usize,
    ) -> Result<()> {
        self.sums.resize(n_groups, Near::default());
        for (row, y, x) in rows(values).filter(|(row, ..)| passes(filter, *row)) {
            if !self.sums[indices[row]].put(y, x, 1.0) {
                self.add_to_rest(indices[row], |rest| rest.put(y, x, 1));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let (groups, mut rests) = self.take(emit);
        let results = groups.into_iter().enumerate().map(|(at, near)| {
            let rest = rests.remove(&at).map(Box::new);
            Rows { near, rest }.value(self.statistic)
        });
        Ok(Arc::new(results.collect::<Float64Array>()))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (groups, rests) = self.take(emit);
        let groups = groups.into_iter().enumerate();
        let rows = groups.map(|(at, near)| (near, rests.get(&at).map(Moments::to_bytes)));
        Ok(state_of(&rows.collect::<Vec<_>>()))
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        indices: &[usize],
        n_groups: usize,
    ) -> Result<()> {
        self.sums.resize(n_groups, Near::default());
        for (at, part) in indices.iter().zip(parts_of(states)) {
            let (mut near, rest) = part?;
            if !self.sums[*at].merge(&near) {
                self.add_to_rest(*at, |rest| near.pour_into(rest));
            }
            if let Some(rest) = rest {
                self.add_to_rest(*at, |all| all.merge(&rest));
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut all = vec![(Near::<N>::default(), None); values[0].len()];
        for (row, y, x) in rows(values).filter(|(row, ..)| passes(filter, *row)) {
            let (near, rest) = &mut all[row];
            if !near.put(y, x, 1.0) {
                let mut moments = Moments::default();
                moments.put(y, x, 1);
                *rest = Some(moments.to_bytes());
            }
        }
        Ok(state_of(&all))
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Near<N>>() + self.rest_bytes
    }
}

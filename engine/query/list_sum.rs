//! `array_sum` of whole numbers and decimals, added up as such: `DataFusion` adds up doubles.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field};
use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::checked::leaves_range;

const DIGITS_MAX: u8 = 38;

/// The function, which replaces `DataFusion`'s of the same name.
pub(super) fn function(registry: &dyn FunctionRegistry) -> Option<ScalarUDF> {
    let inner = registry.udf("array_sum").ok()?;
    Some(ScalarUDF::from(ListSum { inner }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListSum {
    inner: Arc<ScalarUDF>,
}

/// The type of the elements of a list that has an exact sum.
fn element(list: &DataType) -> Option<DataType> {
    let (DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) =
        list
    else {
        return None;
    };
    match field.data_type() {
        DataType::UInt64 => Some(DataType::Decimal128(DIGITS_MAX, 0)),
        DataType::Decimal128(_, scale) => Some(DataType::Decimal128(DIGITS_MAX, *scale)),
        whole if whole.is_integer() => Some(DataType::Int64),
        _ => None,
    }
}

impl ScalarUDFImpl for ListSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types.first().and_then(element) {
            Some(element) => {
                Ok(vec![DataType::List(Arc::new(Field::new_list_field(element, true)))])
            }
            None => self.inner.coerce_types(types),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first().and_then(element) {
            Some(element) => Ok(element),
            None => self.inner.return_type(types),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(element) = element(&args.args[0].data_type()) else {
            return self.inner.invoke_with_args(args);
        };
        let lists = args.args[0].to_array(args.number_rows)?;
        let lists = lists.as_list::<i32>();
        let (wide, scale) = match element {
            DataType::Decimal128(_, scale) => (element.clone(), scale),
            _ => (DataType::Decimal128(DIGITS_MAX, 0), 0),
        };
        let values = cast(lists.values(), &wide)?;
        let values = values.as_primitive::<Decimal128Type>();
        let too_great = || leaves_range("array_sum(…)", &element, "");
        let mut sums: Vec<Option<i128>> = Vec::with_capacity(lists.len());
        for row in 0..lists.len() {
            let mut sum = None;
            let range = lists.value_offsets()[row]..lists.value_offsets()[row + 1];
            for at in range.filter_map(|at| usize::try_from(at).ok()) {
                if lists.is_valid(row) && values.is_valid(at) {
                    let total = sum.unwrap_or(0_i128).checked_add(values.value(at));
                    sum = Some(total.ok_or_else(too_great)?);
                }
            }
            sums.push(sum);
        }
        let sums: ArrayRef = if element == DataType::Int64 {
            let narrow = |sum: Option<i128>| sum.map(i64::try_from).transpose();
            let sums = sums.into_iter().map(narrow).collect::<Result<Int64Array, _>>();
            Arc::new(sums.map_err(|_| too_great())?)
        } else {
            let sums = Decimal128Array::from(sums).with_precision_and_scale(DIGITS_MAX, scale)?;
            sums.validate_decimal_precision(DIGITS_MAX).map_err(|_| too_great())?;
            Arc::new(sums)
        };
        Ok(ColumnarValue::Array(sums))
    }
}

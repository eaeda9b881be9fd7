//! Files that no version holds yet, as a table: checks look at them before they are committed.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::DataSourceExec;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::{Files, Table};
use crate::contract::Contract;
use crate::error::Error;

impl Table {
    /// Written files as a table, their folders' values included.
    pub fn staged(
        &self,
        files: &Files,
        contract: &Contract,
    ) -> crate::error::Result<Arc<dyn TableProvider>> {
        let failed =
            |cause| Error::internal(format!("the new files of {}", self.name)).caused_by(cause);
        let schema = contract.schema();
        if files.adds.is_empty() {
            return Ok(Arc::new(MemTable::try_new(schema, vec![vec![]]).map_err(failed)?));
        }
        let is_folder = |field: &FieldRef| contract.partition_by.contains(field.name());
        let inside: Vec<FieldRef> =
            schema.fields().iter().filter(|field| !is_folder(field)).cloned().collect();
        let folders =
            contract.partition_by.iter().filter_map(|name| schema.field_with_name(name).ok());
        let folders: Vec<FieldRef> = folders.map(|field| Arc::new(Field::clone(field))).collect();
        let mut found = Vec::new();
        for add in &files.adds {
            let values = folders.iter().map(|field| {
                let text = add.partition_values.get(field.name()).cloned().flatten();
                value(text, field.data_type())
            });
            let location = Path::parse(&add.path).map_err(|cause| failed(cause.into()))?;
            let size = u64::try_from(add.size).unwrap_or_default();
            let meta = ObjectMeta {
                location,
                last_modified: chrono::DateTime::default(),
                size,
                e_tag: None,
                version: None,
            };
            let mut file = PartitionedFile::from(meta);
            file.partition_values = values.collect::<Result<Vec<_>>>().map_err(failed)?;
            found.push(file);
        }
        let all = inside.iter().chain(&folders).cloned().collect::<Vec<_>>();
        Ok(Arc::new(Staged {
            store: self.delta.object_store(),
            schema: Arc::new(Schema::new(all)),
            inside: Arc::new(Schema::new(inside)),
            folders,
            files: found,
        }))
    }
}

fn value(text: Option<String>, data_type: &DataType) -> Result<ScalarValue> {
    match text {
        Some(text) => ScalarValue::try_from_string(text, data_type),
        None => ScalarValue::try_from(data_type),
    }
}

#[derive(Debug)]
struct Staged {
    store: Arc<dyn ObjectStore>,
    schema: SchemaRef,
    inside: SchemaRef,
    folders: Vec<FieldRef>,
    files: Vec<PartitionedFile>,
}

#[async_trait]
impl TableProvider for Staged {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::parse("staged://files")?;
        state.runtime_env().register_object_store(url.as_ref(), Arc::clone(&self.store));
        let schema = TableSchema::builder(Arc::clone(&self.inside))
            .with_table_partition_cols(self.folders.clone())
            .build();
        let groups = state.config().target_partitions().min(self.files.len()).max(1);
        let groups: Vec<FileGroup> = (0..groups)
            .map(|group| {
                FileGroup::new(self.files.iter().skip(group).step_by(groups).cloned().collect())
            })
            .collect();
        let config = FileScanConfigBuilder::new(url, Arc::new(ParquetSource::new(schema)))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

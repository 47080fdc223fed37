//! Which tables and columns a source has: what is missing is said, and read as nothing.

use std::collections::BTreeMap;

use super::{
    Source, SourceError,
    columns::{Column, is_utf8},
    tables::{ALL, Table},
};

impl Source {
    pub(super) async fn read_schema(&mut self) -> Result<(), SourceError> {
        let rows = self
            .fetch(
                "SELECT CAST(c.TABLE_NAME AS BINARY), CAST(c.COLUMN_NAME AS BINARY), \
                 CAST(c.DATA_TYPE AS BINARY), CAST(c.CHARACTER_SET_NAME AS BINARY), \
                 CAST(t.ENGINE AS BINARY) FROM information_schema.COLUMNS c \
                 JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA \
                 AND t.TABLE_NAME = c.TABLE_NAME WHERE c.TABLE_SCHEMA = DATABASE()"
                    .to_owned(),
            )
            .await?;
        let mut unsafe_tables = BTreeMap::new();
        for row in &rows {
            let [table, column, kind, charset, engine] = self.cells(row)?;
            let known = ALL.iter().any(|known| Some(known.name) == table.as_deref());
            let (Some(table), Some(column), true) = (table, column, known) else { continue };
            if let Some(engine) = engine.filter(|engine| !engine.eq_ignore_ascii_case("InnoDB")) {
                unsafe_tables.insert(table.clone(), engine);
            }
            let kind = kind.unwrap_or_default().to_ascii_lowercase();
            let columns = self.tables.entry(table).or_default();
            columns.insert(column, Column { kind, charset });
        }
        self.check_schema()?;
        for (table, engine) in unsafe_tables {
            self.remarks.push(format!(
                "table {table} is of the engine {engine}, which has no snapshots: what is written \
                 to it during the import may be missing"
            ));
        }
        Ok(())
    }

    /// Refuses what is no MultiFlexi, and says what is not there of one.
    fn check_schema(&mut self) -> Result<(), SourceError> {
        let has = |table: &Table, column: &str| {
            self.tables.get(table.name).is_some_and(|columns| columns.contains_key(column))
        };
        let missing: Vec<&str> =
            ALL.iter().filter(|t| t.needed && !has(t, "id")).map(|table| table.name).collect();
        if !missing.is_empty() {
            return Err(SourceError::Foreign {
                name: self.name.clone(),
                missing: missing.join(", "),
            });
        }
        for table in ALL {
            let Some(columns) = self.tables.get(table.name) else {
                self.remarks.push(format!(
                    "there is no table {}, or this user may not read it: nothing of it is imported",
                    table.name
                ));
                continue;
            };
            let missing: Vec<&str> = table
                .columns
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| !columns.contains_key(*name))
                .collect();
            let converted: Vec<String> = table
                .columns
                .iter()
                .filter_map(|(name, _)| {
                    let charset = columns.get(*name)?.charset.as_deref()?;
                    (!is_utf8(charset)).then(|| format!("{name} ({charset})"))
                })
                .collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                self.remarks.push(format!("table {} has no column {missing}", table.name));
            }
            if !converted.is_empty() {
                let converted = converted.join(", ");
                self.remarks.push(format!("table {}: {converted} is converted", table.name));
            }
        }
        Ok(())
    }
}

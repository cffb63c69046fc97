//! Queries whose conditions depend on what was asked. Only texts of this program become SQL; what comes from outside is bound.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

use crate::db::Db;
use crate::error::Result;

#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Integer(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

/// A query in the making.
#[derive(Debug, Default)]
pub struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub fn new(text: &'static str) -> Sql {
        Sql { text: text.to_owned(), values: Vec::new() }
    }

    pub fn push(&mut self, text: &'static str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Sql {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// `(a, b, c)`; of nothing, what is in no column.
    pub fn bind_all<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Sql {
        let before = self.values.len();
        self.text.push('(');
        for value in values {
            if self.values.len() > before {
                self.text.push_str(", ");
            }
            self.bind(value);
        }
        if self.values.len() == before {
            self.text.push_str("NULL");
        }
        self.text.push(')');
        self
    }

    pub async fn rows(self, db: &Db) -> Result<Vec<AnyRow>> {
        let Sql { text, values } = self;
        // Made of this program's own texts and `$1`, `$2`, ... alone.
        let query: Query<'_, Any, AnyArguments> = sqlx::query(AssertSqlSafe(text));
        let query = values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(number) => query.bind(number),
        });
        Ok(query.fetch_all(&db.pool).await?)
    }
}

/// Rows that one statement writes: SQLite takes 32,766 values at most, PostgreSQL 65,535.
pub const ROWS: usize = 100;

/// `INSERT ... VALUES ($1, $2), ($3, $4), ...`, for so many rows. What is there already stays.
pub fn insert(into: &'static str, columns: usize, rows: usize) -> AssertSqlSafe<String> {
    let row = |row: usize| {
        let values: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    AssertSqlSafe(format!("INSERT INTO {into} VALUES {} ON CONFLICT DO NOTHING", rows.join(", ")))
}

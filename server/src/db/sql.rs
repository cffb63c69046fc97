//! Helpers for queries: rows as structs, conditions that depend on the request, inserts of several rows. Only
//! text of this program becomes SQL; values from outside are bound.

use deskreel_model::{AgentId, CallId, InteractionId, Place, RecordingId};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::error::BoxDynError;
use sqlx::query::QueryAs;
use sqlx::{Any, AssertSqlSafe, Decode, FromRow, Row, Type};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::names::{PersonName, RecorderId, known_recording};
use crate::secret;

/// Defines a struct whose fields are read from the columns of the same names.
macro_rules! row {
    ($(#[$about:meta])* $vis:vis struct $name:ident {
        $($(#[$field_about:meta])* $field_vis:vis $field:ident: $type:ty),+ $(,)?
    }) => {
        $(#[$about])*
        $vis struct $name { $($(#[$field_about])* $field_vis $field: $type),+ }

        impl sqlx::FromRow<'_, sqlx::any::AnyRow> for $name {
            fn from_row(row: &sqlx::any::AnyRow) -> sqlx::Result<Self> {
                Ok($name { $($field: $crate::db::sql::column(row, stringify!($field))?),+ })
            }
        }
    };
}

pub(super) use row;

/// A type that a column can be read as.
pub trait Column: Sized {
    /// The column's own type.
    type Stored: for<'r> Decode<'r, Any> + Type<Any>;

    fn from_stored(stored: Self::Stored) -> Result<Self, BoxDynError>;
}

pub fn column<T: Column>(row: &AnyRow, name: &str) -> sqlx::Result<T> {
    let decoded = |source| sqlx::Error::ColumnDecode { index: name.to_owned(), source };
    T::from_stored(row.try_get(name)?).map_err(decoded)
}

impl Column for i64 {
    type Stored = i64;

    fn from_stored(stored: i64) -> Result<i64, BoxDynError> {
        Ok(stored)
    }
}

/// Sizes and media times. The index has none below zero.
impl Column for u64 {
    type Stored = i64;

    fn from_stored(stored: i64) -> Result<u64, BoxDynError> {
        Ok(u64::try_from(stored).unwrap_or(0))
    }
}

/// Numbers of parts and fragments.
impl Column for u32 {
    type Stored = i64;

    fn from_stored(stored: i64) -> Result<u32, BoxDynError> {
        Ok(u32::try_from(stored).unwrap_or(0))
    }
}

macro_rules! text_column {
    ($($name:ty: $read:expr),+ $(,)?) => { $(
        impl Column for $name {
            type Stored = String;

            fn from_stored(stored: String) -> Result<$name, BoxDynError> {
                let read: fn(String) -> Option<$name> = $read;
                read(stored).ok_or_else(|| "not an id".into())
            }
        }
    )+ };
}

text_column! {
    String: Some,
    AgentId: |text| Some(text.as_str().into()),
    CallId: |text| Some(text.as_str().into()),
    InteractionId: |text| Some(text.as_str().into()),
    Place: |text| Some(text.as_str().into()),
    RecordingId: |text| known_recording(&text),
    RecorderId: |text| Some(text.into()),
    PersonName: |text| Some(text.into()),
}

impl<T: Column> Column for Option<T> {
    type Stored = Option<T::Stored>;

    fn from_stored(stored: Option<T::Stored>) -> Result<Option<T>, BoxDynError> {
        stored.map(T::from_stored).transpose()
    }
}

row! {
    pub struct RecordingRow {
        pub recording: RecordingId,
    }
}

row! {
    pub struct InteractionRow {
        pub interaction: InteractionId,
    }
}

/// A value that is bound to a query.
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

macro_rules! bind_id {
    ($($name:ty),+) => { $(
        impl From<&$name> for Value {
            fn from(id: &$name) -> Value {
                Value::Text(id.as_str().to_owned())
            }
        }
    )+ };
}

bind_id!(AgentId, CallId, InteractionId, RecordingId);

/// A query that is put together from parts.
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

    /// Pushes `(a, b, c)`; without values `(NULL)`, which no column equals.
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

    /// Pushes `text` and the value, if there is one. The text ends where the value is to follow.
    pub fn push_if<V: Into<Value>>(&mut self, text: &'static str, value: Option<V>) -> &mut Sql {
        if let Some(value) = value {
            self.push(text).bind(value);
        }
        self
    }

    pub async fn rows<T>(self, db: &Db) -> Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        let Sql { text, values } = self;
        // Consists of this program's own texts and `$1`, `$2`, ... only.
        let query: QueryAs<'_, Any, T, AnyArguments> = sqlx::query_as(AssertSqlSafe(text));
        let query = values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(number) => query.bind(number),
        });
        Ok(query.fetch_all(&db.pool).await?)
    }
}

/// Rows that one statement writes: SQLite takes 32,766 values at most, PostgreSQL 65,535.
pub const ROWS: usize = 100;

/// `INSERT ... VALUES ($1, $2), ($3, $4), ...` for this number of rows. Rows that exist already stay
/// unchanged.
pub fn insert(into: &'static str, columns: usize, rows: usize) -> AssertSqlSafe<String> {
    let row = |row: usize| {
        let values: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    AssertSqlSafe(format!("INSERT INTO {into} VALUES {} ON CONFLICT DO NOTHING", rows.join(", ")))
}

/// A new id, which sorts by time.
pub fn new_id() -> Result<String> {
    random(secret::id())
}

pub fn random<T>(made: std::result::Result<T, getrandom::Error>) -> Result<T> {
    made.map_err(|error| Error::Corrupt(format!("the system has no randomness: {error}")))
}

pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

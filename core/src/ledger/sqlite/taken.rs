//! How are many rows read at little cost?
//!
//! To ask SQLite for a cell costs more than SQLite needs to find it. So a function of ours in its SQL,
//! `taken(...)`, keeps the cells of a row while SQLite runs over the rows, and they are read by the batch.
//! Nothing is judged while they are taken: a cell that is not of its type is an error when it is read.

use rusqlite::{
    Connection as Database, Error, Result,
    functions::{Context, FunctionFlags},
    types::{Type, ValueRef},
};

use crate::{
    ledger::entry::{Cell, Entry},
    policy::Amounts,
    sync::{Arc, Mutex, lock},
    value::Id,
};

const ROWS_MAX: usize = 256;
const BYTES_MAX: usize = 1 << 20;
/// In place of a cell that is neither a number nor bytes.
const NULL: i64 = -1;
const ODD: i64 = -2;

/// Each cell that is no number has a bit of 64, and the widest row has five columns beside these.
const _: () = assert!(Entry::COLUMNS.len() + 5 <= 64);

/// The cells of some rows, one row behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Of each row first which cells are no numbers, a bit each.
    cells: Vec<i64>,
    /// What the cells with bytes hold; the cell says where and how much.
    bytes: Vec<u8>,
    rows: usize,
}

/// Where SQLite puts the cells of a connection's rows.
pub(super) type Taken = Arc<Mutex<Batch>>;

/// Teaches a connection `taken(...)`, which is true when what is taken should be read.
pub(super) fn teach(db: &Database, taken: &Taken) -> Result<()> {
    let taken = Arc::clone(taken);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    db.create_scalar_function("taken", -1, flags, move |row| Ok(lock(&taken).take(row)))
}

impl Batch {
    fn take(&mut self, row: &Context<'_>) -> bool {
        let head = self.cells.len();
        self.cells.push(0);
        let mut odd = 0_u64;
        for column in 0..row.len() {
            let cell = match row.get_raw(column) {
                ValueRef::Integer(number) => {
                    self.cells.push(number);
                    continue;
                }
                ValueRef::Blob(bytes) => {
                    let from = self.bytes.len() << 32;
                    self.bytes.extend_from_slice(bytes);
                    (from | bytes.len()) as i64
                }
                ValueRef::Null => NULL,
                _ => ODD,
            };
            odd |= 1 << column;
            self.cells.push(cell);
        }
        self.cells[head] = odd as i64;
        self.rows += 1;
        self.rows >= ROWS_MAX || self.bytes.len() >= BYTES_MAX
    }

    pub fn clear(&mut self) {
        self.cells.clear();
        self.bytes.clear();
        self.rows = 0;
    }

    /// Its rows, of so many columns each.
    pub fn rows(&self, columns: usize) -> impl Iterator<Item = Cells<'_>> {
        let rows = self.cells.chunks_exact(columns + 1);
        rows.map(|row| Cells { odd: row[0] as u64, numbers: &row[1..], bytes: &self.bytes })
    }
}

/// The cells of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'a> {
    odd: u64,
    numbers: &'a [i64],
    bytes: &'a [u8],
}

impl<'a> Cells<'a> {
    /// A number.
    #[inline]
    pub fn get<T: Cell>(&self, column: usize) -> Result<T> {
        let cell = *self.numbers.get(column).ok_or_else(|| Error::InvalidColumnIndex(column))?;
        if self.odd >> column & 1 == 1 {
            return Err(odd(column, Type::Integer));
        }
        T::of(cell).ok_or_else(|| Error::IntegralValueOutOfRange(column, cell))
    }

    /// Bytes, or nothing.
    pub fn bytes(&self, column: usize) -> Result<Option<&'a [u8]>> {
        let cell = *self.numbers.get(column).ok_or_else(|| Error::InvalidColumnIndex(column))?;
        let is_number = self.odd >> column & 1 == 0;
        match cell {
            NULL if !is_number => Ok(None),
            _ if is_number || cell == ODD => Err(odd(column, Type::Blob)),
            _ => {
                let (from, length) = ((cell >> 32) as usize, cell as u32 as usize);
                Ok(self.bytes.get(from..from + length))
            }
        }
    }

    /// So many bytes, or nothing.
    pub fn exactly<const N: usize>(&self, column: usize) -> Result<Option<[u8; N]>> {
        let exact = |bytes: &[u8]| bytes.try_into().map_err(|_| odd(column, Type::Blob));
        self.bytes(column)?.map(exact).transpose()
    }

    pub fn id(&self, column: usize) -> Result<Id> {
        self.exactly(column)?.map(Id::from_bytes).ok_or_else(|| odd(column, Type::Null))
    }

    pub fn amounts(&self, first: usize) -> Result<Amounts> {
        Ok(Amounts([self.get(first)?, self.get(first + 1)?, self.get(first + 2)?, self.get(first + 3)?]))
    }
}

fn odd(column: usize, wanted: Type) -> Error {
    Error::InvalidColumnType(column, "a cell of another type than its column".to_owned(), wanted)
}

//! The rows of a ledger file, one statement each.

mod accounts;
mod alerts;
mod lines;
mod orders;
mod parts;
mod scan;

use std::sync::OnceLock;

use rusqlite::{
    Connection as Database, OptionalExtension as _, Params, Row, Statement, params, types::Value,
};

use super::{
    Session,
    rows::{CALL, SLOT, SUMS, TASK, balance_of, call_of, failed, id_of, pair, scope_of, tags_bytes, task_of},
};
use crate::{
    error::{Error, Result},
    ledger::{
        chain::{self, Link, Proof},
        entry::{Entry, under_bytes},
        store::{
            Account, Budget, Cache, CallRow, Filter, Head, Line, OwnerRow, Run, State, TaskRow, Tx, Which,
            Word,
        },
    },
    policy::{Amounts, Balance},
    value::{Id, Millis, Tags},
};

/// The statement that inserts an entry, made once from its columns.
pub(super) fn insert_entry() -> &'static str {
    static SQL: OnceLock<String> = OnceLock::new();
    SQL.get_or_init(|| {
        let marks = vec!["?"; Entry::COLUMNS.len() + 4].join(", ");
        let columns = Entry::COLUMNS.join(", ");
        format!("INSERT INTO entries ({columns}, call, under, proofs, link) VALUES ({marks})")
    })
}

pub(super) fn write_entry(
    insert: &mut Statement<'_>,
    entry: &Entry,
    link: Option<&Link>,
) -> rusqlite::Result<()> {
    let cells = entry.cells();
    for (index, cell) in cells.iter().enumerate() {
        insert.raw_bind_parameter(index + 1, cell)?;
    }
    let blob = |bytes: Vec<u8>| if bytes.is_empty() { Value::Null } else { Value::Blob(bytes) };
    insert.raw_bind_parameter(cells.len() + 1, entry.call.as_ref().map(Id::bytes))?;
    insert.raw_bind_parameter(cells.len() + 2, blob(entry.under_bytes()))?;
    insert.raw_bind_parameter(cells.len() + 3, blob(entry.proof_bytes()))?;
    insert.raw_bind_parameter(cells.len() + 4, link)?;
    insert.raw_execute().map(drop)
}

impl Session {
    fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.db()?.prepare_cached(sql).map_err(failed)?;
        statement.query_row(params, read).optional().map_err(failed)
    }

    fn every<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.db()?.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map(params, read).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    /// Hands out one row after the other, and keeps none.
    fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let mut statement = self.db()?.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            read(row).map_err(failed)?;
        }
        Ok(())
    }

    fn run(&self, sql: &str, params: impl Params) -> Result<&Database> {
        let db = self.db()?;
        db.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(failed)?;
        Ok(db)
    }

    fn inserted(&self, sql: &str, params: impl Params) -> Result<u32> {
        let no = self.run(sql, params)?.last_insert_rowid();
        u32::try_from(no).map_err(|_| Error::store("the ledger is full"))
    }
}

fn readable(row: Option<CallRow>) -> Result<CallRow> {
    row.ok_or_else(|| Error::corrupt("a call of the ledger cannot be read"))
}

impl Tx for Session {
    fn now(&mut self) -> Result<Millis> {
        Ok(self.now)
    }

    fn owner(&self) -> u32 {
        self.owner
    }

    fn cache(&mut self) -> &mut Cache {
        &mut self.cache
    }

    fn bump(&mut self) -> Result<()> {
        self.run("UPDATE meta SET value = value + 1 WHERE key = 'version'", [])?;
        self.names.clear();
        self.cache.refresh(self.cache.version + 1);
        Ok(())
    }

    fn append(&mut self, entry: &mut Entry) -> Result<()> {
        entry.owner = self.owner;
        self.entries.push(std::mem::take(entry));
        Ok(())
    }

    fn entries(&mut self, filter: Filter, visit: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        self.scan_entries(filter, visit)
    }

    fn movements(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan_movements(filter, visit)
    }

    fn counts(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan_counts(filter, visit)
    }

    fn requests(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan_requests(filter, visit)
    }

    fn bills(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan_bills(filter, visit)
    }

    fn payments(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan_payments(filter, visit)
    }

    fn attempts(&mut self, visit: &mut dyn FnMut(&Entry)) -> Result<()> {
        self.scan_attempts(visit)
    }

    fn lines(&mut self, visit: &mut dyn FnMut(Line) -> bool) -> Result<()> {
        self.scan_lines(visit)
    }

    fn last_line(&mut self) -> Result<u64> {
        self.number_of_last_line()
    }

    fn heads(&mut self) -> Result<Vec<(u32, Head)>> {
        self.every("SELECT no, links, head FROM owners ORDER BY no", [], lines::head_of)
    }

    fn words(&mut self, visit: &mut dyn FnMut(Word)) -> Result<()> {
        self.scan_words(visit)
    }

    fn every_task(&mut self, visit: &mut dyn FnMut(TaskRow)) -> Result<()> {
        self.scan_task_lines(visit)
    }

    fn intern(&mut self, key: &str, value: &str) -> Result<(u32, Option<Proof>)> {
        if let Some(no) = self.find_name(key, value)? {
            return Ok((no, None));
        }
        let salt = chain::salt()?;
        let sql = "INSERT INTO names (key, value, salt) VALUES (?, ?, ?)";
        let no = self.inserted(sql, params![key, value, salt])?;
        Ok((no, Some(chain::proof(&salt, key, value))))
    }

    fn find_name(&mut self, key: &str, value: &str) -> Result<Option<u32>> {
        let both = format!("{key}\0{value}");
        if let Some(no) = self.names.get(&both) {
            return Ok(Some(*no));
        }
        let sql = "SELECT no FROM names WHERE key = ? AND value = ?";
        let found = self.first(sql, [key, value], |row| row.get(0))?;
        if let Some(no) = found {
            self.names.insert(both, no);
        }
        Ok(found)
    }

    fn name(&mut self, no: u32) -> Result<Option<(String, Option<String>)>> {
        self.first("SELECT key, value FROM names WHERE no = ?", [no], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn names_of(&mut self, key: &str, visit: &mut dyn FnMut(u32, &str)) -> Result<()> {
        self.scan_names(key, visit)
    }

    fn erase_name(&mut self, no: u32) -> Result<()> {
        self.run("UPDATE names SET value = NULL, salt = NULL WHERE no = ?", [no])?;
        self.names.clear();
        Ok(())
    }

    fn task(&mut self, no: u32) -> Result<Option<TaskRow>> {
        self.first(&format!("SELECT {TASK} FROM tasks WHERE no = ?"), [no], task_of)
    }

    fn attempt(&mut self, no: u32) -> Result<Option<(u32, u32)>> {
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.first("SELECT attempts, owner FROM tasks WHERE no = ?", [no], read)
    }

    fn task_by_id(&mut self, id: &Id) -> Result<Option<u32>> {
        self.first("SELECT no FROM tasks WHERE id = ?", [id.bytes()], |row| row.get(0))
    }

    fn task_by_caller(&mut self, caller: u32) -> Result<Option<u32>> {
        let sql = "SELECT no FROM tasks WHERE caller = ? AND caller <> 0";
        self.first(sql, [caller], |row| row.get(0))
    }

    fn put_task(&mut self, row: &TaskRow) -> Result<u32> {
        if row.no != 0 {
            let sql = "UPDATE tasks SET attempts = ?, owner = ?, observes = ?, outcome = ? WHERE no = ?";
            self.run(sql, params![row.attempts, row.owner, row.observes, row.outcome, row.no])?;
            return Ok(row.no);
        }
        let sql = "INSERT INTO tasks (id, caller, name, parent, depth, tags, attempts, owner, opened_ms, \
                   observes, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let id = row.id.as_ref().map(Id::bytes);
        let tags = tags_bytes(&row.tags);
        let (place, state) = ((row.parent, row.depth), (row.attempts, row.owner));
        let params = params![
            id,
            row.caller,
            row.name,
            place.0,
            place.1,
            tags,
            state.0,
            state.1,
            row.opened_ms,
            row.observes,
            row.outcome
        ];
        self.inserted(sql, params)
    }

    fn tasks(&mut self, which: Which, most: usize) -> Result<Vec<TaskRow>> {
        self.scan_tasks(which, most)
    }

    fn runs(&mut self, since: Option<Millis>, most: usize, visit: &mut dyn FnMut(Run)) -> Result<()> {
        self.scan_runs(since, most, visit)
    }

    fn tasks_of(&mut self, owner: u32) -> Result<Vec<TaskRow>> {
        let sql = format!("SELECT {TASK} FROM tasks WHERE owner = ? AND owner <> 0");
        self.every(&sql, [owner], task_of)
    }

    fn budgets(&mut self) -> Result<Vec<Budget>> {
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?));
        let rows = self.every("SELECT no, scope, per FROM budgets ORDER BY no", [], read)?;
        rows.into_iter()
            .map(|(no, scope, per)| {
                let mut tags = Tags::new();
                for name in scope_of(&scope) {
                    if let Some((key, Some(value))) = self.name(name)? {
                        pair(&mut tags, &key, &value)?;
                    }
                }
                Ok(Budget { no, scope: tags, per })
            })
            .collect()
    }

    fn put_budget(&mut self, budget: &Budget) -> Result<u32> {
        let mut scope = Vec::new();
        for (key, value) in budget.scope.iter() {
            scope.push(self.intern(key, value)?.0);
        }
        let sql = "INSERT INTO budgets (scope, per) VALUES (?, ?)";
        self.inserted(sql, params![tags_bytes(&scope), budget.per])
    }

    fn accounts_of_task(&mut self, task: u32) -> Result<Vec<Account>> {
        self.accounts("task = ? AND task <> 0", [task])
    }

    fn accounts_of_budget(&mut self, budget: u32, value: u32) -> Result<Vec<Account>> {
        self.accounts("budget = ? AND value = ? AND budget <> 0", [budget, value])
    }

    fn all_accounts_of_budget(&mut self, budget: u32) -> Result<Vec<Account>> {
        self.accounts("budget = ? AND budget <> 0", [budget])
    }

    fn values(&mut self, budget: u32) -> Result<usize> {
        let sql =
            "SELECT count(DISTINCT value) FROM accounts WHERE budget = ? AND budget <> 0 AND value <> 0";
        let count: Option<i64> = self.first(sql, [budget], |row| row.get(0))?;
        Ok(count.unwrap_or(0) as usize)
    }

    fn drop_values(&mut self, budget: u32, oldest: Millis) -> Result<usize> {
        let sql = "DELETE FROM accounts WHERE budget = ?1 AND value NOT IN ( \
                   SELECT value FROM accounts WHERE budget = ?1 AND (value = 0 OR EXISTS ( \
                   SELECT 1 FROM balances WHERE account = accounts.no AND slot >= ?2)))";
        Ok(self.run(sql, params![budget, oldest])?.changes() as usize)
    }

    fn put_account(&mut self, account: &Account) -> Result<u32> {
        self.write_account(account)
    }

    fn balance(&mut self, account: u32, oldest: Millis) -> Result<Balance> {
        let sql = format!("SELECT {SUMS} FROM balances WHERE account = ? AND slot >= ? HAVING count(*) > 0");
        Ok(self.first(&sql, params![account, oldest], balance_of)?.unwrap_or_default())
    }

    fn slot(&mut self, account: u32, slot: Millis) -> Result<Balance> {
        let sql = format!("SELECT {SLOT} FROM balances WHERE account = ? AND slot = ?");
        Ok(self.first(&sql, params![account, slot], balance_of)?.unwrap_or_default())
    }

    fn last_slot(&mut self, account: u32) -> Result<Millis> {
        let sql = "SELECT coalesce(max(slot), 0) FROM balances WHERE account = ?";
        Ok(self.first(sql, [account], |row| row.get(0))?.unwrap_or(0))
    }

    fn put_slot(&mut self, account: u32, slot: Millis, balance: &Balance) -> Result<()> {
        let Balance { settled: Amounts(s), pending: Amounts(p), in_doubt: Amounts(d) } = balance;
        let sql = "INSERT OR REPLACE INTO balances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let params =
            params![account, slot, s[0], s[1], s[2], s[3], p[0], p[1], p[2], p[3], d[0], d[1], d[2], d[3]];
        self.run(sql, params).map(drop)
    }

    fn balances(&mut self, visit: &mut dyn FnMut(u32, Millis, Balance)) -> Result<()> {
        let sql = format!("SELECT {SLOT}, account, slot FROM balances");
        self.each(&sql, [], |row| {
            visit(row.get(12)?, row.get(13)?, balance_of(row)?);
            Ok(())
        })
    }

    fn call(&mut self, id: &Id) -> Result<Option<CallRow>> {
        let row = self.first(&format!("SELECT {CALL} FROM calls WHERE id = ?"), [id.bytes()], call_of)?;
        row.map(readable).transpose()
    }

    fn open_call(&mut self, row: CallRow, entry: &mut Entry) -> Result<()> {
        let held = row.held.0;
        let sql = "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?, ?)";
        let (most, state) = (row.max_output_tokens as i64, row.state as i64);
        let under = under_bytes(&row.under);
        let params = params![
            row.id.bytes(),
            row.task,
            row.attempt,
            row.owner,
            state,
            row.correctable,
            row.at_ms,
            held[0],
            held[1],
            held[2],
            held[3],
            most,
            row.request_hash,
            under
        ];
        self.run(sql, params)?;
        self.append(entry)
    }

    fn end_call(&mut self, row: &CallRow, entry: &mut Entry) -> Result<()> {
        let used = row.used.0;
        let sql = "UPDATE calls SET state = ?, correctable = ?, used_usd = ?, used_tokens = ?, \
                   used_llm_calls = ?, used_tool_calls = ? WHERE id = ?";
        let (state, id) = (row.state as i64, row.id.bytes());
        self.run(sql, params![state, row.correctable, used[0], used[1], used[2], used[3], id])?;
        self.append(entry)
    }

    fn open_calls(&mut self, owner: u32, most: usize) -> Result<Vec<Id>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT id FROM calls WHERE state IN (0, 4) AND owner = ? ORDER BY at_ms, id LIMIT ?";
        self.every(sql, params![owner, most], |row| id_of(row, 0))
    }

    fn open_calls_of(&mut self, task: u32, attempt: u32, owner: u32) -> Result<Vec<Id>> {
        let sql = "SELECT id FROM calls WHERE state IN (0, 4) AND owner = ? AND task = ? AND attempt = ?";
        self.every(sql, [owner, task, attempt], |row| id_of(row, 0))
    }

    fn calls_in_doubt(&mut self, most: usize) -> Result<Vec<CallRow>> {
        let sql = format!("SELECT {CALL} FROM calls WHERE state = 1 ORDER BY at_ms LIMIT ?");
        self.every(&sql, [most as i64], call_of)?.into_iter().map(readable).collect()
    }

    fn owners(&mut self) -> Result<Vec<OwnerRow>> {
        let read = |row: &Row<'_>| Ok(OwnerRow { no: row.get(0)?, id: id_of(row, 1)?, ended: false });
        self.every("SELECT no, id FROM owners WHERE ended_ms IS NULL ORDER BY no", [], read)
    }

    fn is_running(&mut self) -> Result<bool> {
        let own = self.owner();
        Ok(self.owners()?.iter().any(|row| row.no == own))
    }

    fn end_owner(&mut self, no: u32) -> Result<()> {
        let now = self.now;
        self.run("UPDATE owners SET ended_ms = ? WHERE no = ?", params![now, no]).map(drop)
    }
}

/// The states as the schema's partial indexes name them.
const _: () = assert!(State::Open as u8 == 0 && State::InDoubt as u8 == 1 && State::Kept as u8 == 4);

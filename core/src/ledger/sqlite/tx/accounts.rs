//! The rows of accounts: whose limits they are, and what they are called.

use rusqlite::{Params, params, types::Value};

use super::{
    super::{
        Session,
        rows::{ACCOUNT, account_of, limits_of, window_of},
    },
    Error, Result,
};
use crate::ledger::store::{Account, Tx as _};

impl Session {
    pub(super) fn accounts(&mut self, filter: &str, params: impl Params) -> Result<Vec<Account>> {
        let sql = format!("SELECT {ACCOUNT} FROM accounts WHERE {filter} ORDER BY no");
        let rows = self.every(&sql, params, account_of)?;
        rows.into_iter()
            .map(|(account, window, zone)| {
                let window = window_of(&window, zone.as_deref())?;
                let label = self.label(&account)?;
                Ok(Account { window, label, ..account })
            })
            .collect()
    }

    fn label(&mut self, account: &Account) -> Result<String> {
        let text = |tx: &mut Self, no| Ok::<_, Error>(tx.name(no)?.and_then(|(_, value)| value));
        if account.budget == 0 {
            let name = self.task(account.task)?.map_or(0, |row| row.name);
            return Ok(format!("task `{}`", text(self, name)?.as_deref().unwrap_or("erased")));
        }
        let value = text(self, account.value)?;
        let budget = self.budgets()?.into_iter().find(|budget| budget.no == account.budget);
        Ok(budget.map(|budget| budget.label(value.as_deref())).unwrap_or_default())
    }

    pub(super) fn write_account(&self, account: &Account) -> Result<u32> {
        if account.no != 0 {
            let sql = "UPDATE accounts SET hard_usd = ?, hard_tokens = ?, hard_llm_calls = ?, \
                       hard_tool_calls = ?, soft_usd = ?, soft_tokens = ?, soft_llm_calls = ?, \
                       soft_tool_calls = ?, deadline_ms = ?, soft_deadline_ms = ?, waited_ms = ?, \
                       counted_ms = ?, alerts = ? WHERE no = ?";
            let last = [Value::Text(account.alerts.to_string()), Value::Integer(i64::from(account.no))];
            self.run(sql, rusqlite::params_from_iter(limits_of(account).chain(last)))?;
            return Ok(account.no);
        }
        let (hard, soft) = (account.ceiling.hard, account.ceiling.soft);
        let sql = "INSERT INTO accounts (task, budget, value, window, zone, hard_usd, hard_tokens, \
                   hard_llm_calls, hard_tool_calls, soft_usd, soft_tokens, soft_llm_calls, soft_tool_calls, \
                   deadline_ms, soft_deadline_ms, alerts) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (window, zone) = (account.window.to_string(), account.window.zone());
        let params = params![
            account.task,
            account.budget,
            account.value,
            window,
            zone,
            hard[0],
            hard[1],
            hard[2],
            hard[3],
            soft[0],
            soft[1],
            soft[2],
            soft[3],
            account.until.times.hard,
            account.until.times.soft,
            account.alerts.to_string()
        ];
        self.inserted(sql, params)
    }
}

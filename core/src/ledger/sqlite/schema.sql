-- Schema 2 of an outlay ledger. Entries are never edited or deleted; all other rows are folds
-- over them (balances, calls, halts, asks, alerts, passing), the dictionary (names), or what a process needs
-- (meta, owners, consumers).
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE owners (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL, pid INTEGER NOT NULL, started_ms INTEGER NOT NULL,
    ended_ms INTEGER, links INTEGER NOT NULL DEFAULT 0, head BLOB NOT NULL DEFAULT (zeroblob(32)));
CREATE INDEX owners_running ON owners (no) WHERE ended_ms IS NULL;
CREATE TABLE names (
    no INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT, salt BLOB, UNIQUE (key, value));
CREATE TABLE tasks (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, caller INTEGER NOT NULL, name INTEGER NOT NULL,
    parent INTEGER NOT NULL, depth INTEGER NOT NULL, tags BLOB NOT NULL, attempts INTEGER NOT NULL,
    owner INTEGER NOT NULL, opened_ms INTEGER NOT NULL, observes INTEGER NOT NULL,
    outcome INTEGER NOT NULL);
CREATE UNIQUE INDEX tasks_caller ON tasks (caller) WHERE caller <> 0;
CREATE INDEX tasks_parent ON tasks (parent) WHERE parent <> 0;
CREATE INDEX tasks_open ON tasks (owner) WHERE owner <> 0;
CREATE TABLE budgets (no INTEGER PRIMARY KEY, scope BLOB NOT NULL, per TEXT);
CREATE TABLE accounts (
    no INTEGER PRIMARY KEY AUTOINCREMENT, task INTEGER NOT NULL, budget INTEGER NOT NULL, value INTEGER NOT NULL,
    window TEXT NOT NULL, zone TEXT,
    hard_usd INTEGER, hard_tokens INTEGER, hard_llm_calls INTEGER, hard_tool_calls INTEGER,
    soft_usd INTEGER, soft_tokens INTEGER, soft_llm_calls INTEGER, soft_tool_calls INTEGER,
    deadline_ms INTEGER, soft_deadline_ms INTEGER, waited_ms INTEGER NOT NULL DEFAULT 0,
    counted_ms INTEGER NOT NULL DEFAULT 0, alerts TEXT NOT NULL DEFAULT '');
CREATE INDEX accounts_task ON accounts (task) WHERE task <> 0;
CREATE INDEX accounts_budget ON accounts (budget, value) WHERE budget <> 0;
CREATE TABLE balances (
    account INTEGER NOT NULL, slot INTEGER NOT NULL,
    settled_usd INTEGER NOT NULL, settled_tokens INTEGER NOT NULL,
    settled_llm_calls INTEGER NOT NULL, settled_tool_calls INTEGER NOT NULL,
    pending_usd INTEGER NOT NULL, pending_tokens INTEGER NOT NULL,
    pending_llm_calls INTEGER NOT NULL, pending_tool_calls INTEGER NOT NULL,
    in_doubt_usd INTEGER NOT NULL, in_doubt_tokens INTEGER NOT NULL,
    in_doubt_llm_calls INTEGER NOT NULL, in_doubt_tool_calls INTEGER NOT NULL,
    PRIMARY KEY (account, slot)) WITHOUT ROWID;
CREATE TABLE calls (
    id BLOB PRIMARY KEY, task INTEGER NOT NULL, attempt INTEGER NOT NULL, owner INTEGER NOT NULL,
    state INTEGER NOT NULL, correctable INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    held_usd INTEGER NOT NULL, held_tokens INTEGER NOT NULL,
    held_llm_calls INTEGER NOT NULL, held_tool_calls INTEGER NOT NULL,
    used_usd INTEGER NOT NULL, used_tokens INTEGER NOT NULL,
    used_llm_calls INTEGER NOT NULL, used_tool_calls INTEGER NOT NULL,
    max_output_tokens INTEGER NOT NULL, request_hash INTEGER NOT NULL, under BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX calls_open ON calls (owner, task, attempt) WHERE state IN (0, 4);
CREATE INDEX calls_in_doubt ON calls (at_ms) WHERE state = 1;
CREATE TABLE halts (
    scope INTEGER PRIMARY KEY, by INTEGER NOT NULL, reason INTEGER NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE asks (
    id BLOB PRIMARY KEY, task INTEGER NOT NULL, account INTEGER NOT NULL, unit INTEGER NOT NULL,
    needed INTEGER NOT NULL, at_ms INTEGER NOT NULL, granted INTEGER NOT NULL, by INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX asks_open ON asks (task, account, unit) WHERE granted = 0;
CREATE INDEX asks_account ON asks (account);
CREATE TABLE alerts (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, account INTEGER NOT NULL, slot INTEGER NOT NULL,
    unit INTEGER NOT NULL, per_mille INTEGER NOT NULL, sustained_ms INTEGER NOT NULL, allowed INTEGER NOT NULL,
    spent INTEGER NOT NULL, task INTEGER NOT NULL, owner INTEGER NOT NULL, at_ms INTEGER NOT NULL);
CREATE UNIQUE INDEX alerts_once ON alerts (account, slot, unit, per_mille, sustained_ms, allowed);
CREATE TABLE passing (
    account INTEGER NOT NULL, slot INTEGER NOT NULL, unit INTEGER NOT NULL, per_mille INTEGER NOT NULL,
    sustained_ms INTEGER NOT NULL, allowed INTEGER NOT NULL, since_ms INTEGER NOT NULL,
    PRIMARY KEY (account, slot, unit, per_mille, sustained_ms, allowed)) WITHOUT ROWID;
CREATE TABLE consumers (name TEXT PRIMARY KEY, after INTEGER NOT NULL, delivered BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, {columns}, call BLOB, under BLOB, proofs BLOB, link BLOB);
CREATE INDEX entries_task ON entries (task) WHERE task <> 0;
CREATE INDEX entries_attempts ON entries (kind) WHERE kind IN (2, 3);
INSERT INTO meta VALUES ('version', 0);

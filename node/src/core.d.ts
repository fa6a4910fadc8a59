// Written by bindings/node/stubs.mjs from the Rust sources: change those, and `make stubs`.

/** A result or a failure. */
export type Tagged<T> = T | Failure;

/** That a share of a limit was spent. */
export interface AlertFacts {
  /** The same however often it is delivered. */
  id: string;
  /** Whose limit it is. */
  budget: string;
  /** What is limited. */
  unit: string;
  /** How much of it: nano-USD, or a count. */
  limit: bigint;
  /** What had been spent then. */
  spent: bigint;
  /** The share of the limit. */
  threshold: string;
  /** Over which time. */
  window: string;
  /** Since when, in RFC 3339; absent where the window is no part of the calendar. */
  windowStart?: string;
  /** The name of the task whose call passed it. */
  task: string;
  /** When, in RFC 3339. */
  at: string;
  /** The same as a line of text. */
  text: string;
}

/** What a task asks for that nobody has approved. */
export interface Asked {
  /** What to approve it by. */
  id: string;
  /** The name of the task. */
  task: string;
  /** Whose limit is in its way. */
  budget: string;
  /** What is limited. */
  unit: string;
  /** How much is needed at least, as a decimal number. */
  needed: string;
}

/** One attempt in a summary. */
export interface AttemptLine {
  /** Its number, from 1. */
  number: number;
  /** `running`, `succeeded`, `failed`, `stopped` or `lost`. */
  outcome: string;
  /** What was said of its end. */
  reason?: string;
  /** What became of its calls. */
  figures: Figures;
}

/** What an audit found. */
export interface Audit {
  /** Is everything as it was written? */
  isSound: boolean;
  /** How many entries were read. */
  entries: number;
  /** How many of them lie before the checkpoint. */
  checkpointEntries?: number;
  /** How many names are erased, as entries say. */
  erasedNames: number;
  /** What is wrong, the first bad entry first. */
  problems: Array<Problem>;
  /** The same as a few lines of text. */
  text: string;
}

/** A shared budget as its owner declares it. */
export interface BudgetSpec {
  /** The tags of the tasks that fall under it. */
  tags: Record<string, string>;
  /** Each value of this tag has a budget of its own. */
  per?: string;
  /** Its limits. */
  limits: Array<LimitSpec>;
  /** Who declares it. */
  by?: string;
  /** At which shares of its limits to tell. */
  alerts?: Array<string>;
}

/** How a call stands. */
export interface CallEnd {
  /** `open`, `settled`, `voided` or `in_doubt`. */
  state: string;
  /** What it cost, in nano-USD. */
  charge: bigint;
  /** What the charge was above the reservation. */
  overrun: bigint;
  /** Is it our count, not the provider's? */
  estimated: boolean;
}

/** What is known of a call from its reservation on. */
export interface CallFacts {
  /** Its id in the ledger. */
  id: string;
  /** The model it is reserved for. */
  model: string;
  /** The most output tokens each answer may have. */
  maxOutputTokens: number;
  /** Is this the first reservation under its id? */
  created: boolean;
  /** What is held for it, in nano-USD. */
  reserved: bigint;
  /** Does it pass a soft limit? */
  overSoft: boolean;
  /** Why it would have been denied, under a task that only observes. */
  wouldDeny?: string;
}

/** What a usage costs. Amounts are in nano-USD. */
export interface ChargeFacts {
  /** All of it. */
  total: bigint;
  /** What the input costs. */
  input: bigint;
  /** What the output costs. */
  output: bigint;
  /** Fees per request and search. */
  fees: bigint;
  /** How the name was found. */
  rule: string;
  /** The edition of the prices. */
  priceVersion: string;
  /** Who bills it. */
  provider: string;
  /** The main name of the model. */
  model: string;
  /** Each unit with its quantity and price. */
  lines: Array<ChargeLine>;
}

/** One unit of a charge. */
export interface ChargeLine {
  /** What is counted. */
  unit: string;
  /** How many. */
  quantity: number;
  /** USD per million tokens, or apiece for fees; in nano-USD. */
  price: bigint;
}

/** How many tokens something is to a model. */
export interface CountFacts {
  /** The count. */
  tokens: number;
  /** The most it is taken to be. */
  bound: number;
  /** `exact`, `reconstructed` or `calibrated`. */
  method: string;
}

/** A call in doubt. */
export interface Doubted {
  /** Its id in the ledger. */
  id: string;
  /** What it holds, in nano-USD. */
  held: bigint;
}

/** A kind of error. */
export interface ErrorCode {
  /** Its stable code. */
  code: string;
  /** The family it belongs to. */
  family: string;
}

/** What is known of an attempt from its reservation on. */
export interface ExchangeFacts {
  /** Its handle. */
  handle: number;
  /** Its call's id in the ledger. */
  id: string;
  /** The top-level fields to set in the body, as JSON; null if there are none. */
  patch?: string;
}

/** What stands in an export. */
export interface ExportedFacts {
  /** Rows or lines, without the heading. */
  rows: number;
  /** What was settled in the period, in nano-USD. */
  settled: bigint;
  /** Calls without a known price. */
  unpricedCalls: number;
  /** Older entries that a ledger in memory keeps no longer. */
  droppedEntries: number;
  /** The same as some lines of text. */
  text: string;
}

/** What is to be written, and where. */
export interface ExportSpec {
  /** `focus`, `csv` or `jsonl`. */
  format: string;
  /** The file. */
  path: string;
  /** From when on. */
  since?: string;
  /** Until when. */
  until?: string;
  /** Who pays. */
  account?: string;
}

/** What a response says. */
export interface ExtractedFacts {
  /** What it used, and the cost the provider tells. */
  usage: UsageSpec;
  /** The model that answered. */
  model?: string;
  /** The service tier that served it. */
  serviceTier?: string;
  /** What it has beside what we know, by path. */
  unknownFields: Array<string>;
}

/** An error of the core. */
export interface Failure {
  /** Its stable code. */
  code: string;
  /** One line for people. */
  message: string;
  /** What a program may want to act on. */
  fields: Array<FailureField>;
}

/** One field of an error: the one value that is there, or none. */
export interface FailureField {
  /** Its name, in snake case. */
  name: string;
  /** A name or a description. */
  text?: string;
  /** A count. */
  count?: number;
  /** An amount, in nano-USD. */
  money?: bigint;
  /** A yes or a no. */
  flag?: boolean;
  /** Several of these by name, as JSON. */
  object?: string;
}

/** What became of some calls. Amounts are in nano-USD. */
export interface Figures {
  /** Model calls that were made or may have been: settled, in doubt and pending. */
  calls: number;
  /** Calls of tools. */
  toolCalls: number;
  /** Calls that were reserved and not billed. */
  voidedCalls: number;
  /** Calls without a known price: their cost is unknown, and in no sum. */
  unpricedCalls: number;
  /** How many settled calls are estimated. */
  estimatedCalls: number;
  /** How many calls used more money or tokens than they had reserved. */
  overrunCalls: number;
  /** All input tokens, with what was read from and written to a cache. */
  inputTokens: number;
  /** Input read from a cache. */
  cacheReadTokens: number;
  /** Input written to a cache. */
  cacheWriteTokens: number;
  /** All output tokens, with reasoning. */
  outputTokens: number;
  /** Output the caller does not see. */
  reasoningTokens: number;
  /** Settled and in doubt together. */
  spent: bigint;
  /** What was used. */
  settled: bigint;
  /** What calls hold whose outcome nobody knows. */
  inDoubt: bigint;
  /** What open calls hold. */
  pending: bigint;
  /** Of what is settled: our count, not the provider's. */
  estimated: bigint;
  /** What calls cost above their reservations. */
  overrun: bigint;
}

/** A halt in force. */
export interface HaltInForce {
  /** What is halted. */
  scope: string;
  /** Who ordered it. */
  by: string;
  /** Why. */
  reason: string;
}

/** What became of logs that were imported. */
export interface Imported {
  /** Calls that are in the ledger now and were not before. */
  calls: number;
  /** What these cost, in nano-USD. */
  spent: bigint;
  /** Calls that were in the ledger already. */
  knownCalls: number;
  /** Calls that were in the ledger with less than they used in the end, and are corrected. */
  correctedCalls: number;
  /** Files that were read. */
  files: number;
  /** Lines, or records of a file that is no lines. */
  lines: number;
  /** Lines about a call that another line told of too. */
  repeatedLines: number;
  /** Lines that cannot be read. */
  malformedLines: number;
  /** Lines that tell of no call. */
  otherLines: number;
  /** Records of calls that nobody billed: failed, or answered from a cache. */
  unbilledCalls: number;
  /** Calls whose model has no known price: their cost is unknown, and in no sum. */
  unpricedCalls: number;
  /** Calls older than the ledger's last entry, which they are dated as. */
  redatedCalls: number;
  /** Where the first lines that cannot be read are, and why. */
  firstMalformed: Array<string>;
  /** The same as a few lines of text. */
  text: string;
}

/** What an open ledger is called. */
export interface LedgerFacts {
  /** Its handle. */
  handle: number;
  /** The store it was opened at. */
  store: string;
}

/** A limit on one unit. */
export interface LimitSpec {
  /** `usd`, `tokens`, `llm_calls` or `tool_calls`. */
  unit: string;
  /** The number as a person typed it. */
  amount: string;
  /** Is it only told, not enforced? */
  soft: boolean;
  /** `life`, `day`, `week`, `month` or `rolling:24h`. */
  window: string;
  /** The time zone of a calendar window. */
  tz?: string;
}

/** Spending that bought nothing, or of which nobody knows whether it did. */
export interface Loss {
  /** `failed attempts`, `stopped attempts`, `lost attempts`, `calls in doubt` or `estimated`. */
  what: string;
  /** How much of it, in nano-USD. */
  spent: bigint;
  /** How many calls of a model. */
  calls: number;
}

/** How far bounds were from the truth. */
export interface MeterReport {
  /** By provider and model. */
  rows: Array<MeterRow>;
  /** Entries a ledger in memory keeps no longer. */
  droppedEntries: number;
  /** The same as a table. */
  text: string;
}

/** How far counts and bounds of one kind of call were from the truth. */
export interface MeterRow {
  /** Who billed them, where the price list says. */
  provider?: string;
  /** The model that was asked for. */
  model?: string;
  /** Did they offer tools? */
  hasTools: boolean;
  /** How their input was bounded. */
  method: string;
  /** How many calls. */
  calls: number;
  /** How many of them had more input than their bound. */
  overruns: number;
  /** What the provider counted over what was counted here, for each rank from 1 to 1,000 per mille. */
  truthOverCount: Uint32Array;
  /** The bound over what the provider counted, likewise. */
  boundOverTruth: Uint32Array;
}

/** The calls of one task name that one limit would have refused. */
export interface Observed {
  /** The name of the tasks. */
  task?: string;
  /** Whose limit it is. */
  budget?: string;
  /** What is limited. */
  unit?: string;
  /** How many calls, of models and tools. */
  calls: number;
  /** What they cost, in nano-USD. */
  settled: bigint;
}

/** What is known of a request that was read. */
export interface OutgoingFacts {
  /** Its handle. */
  handle: number;
  /** How long an attempt of it waits for money that other calls hold, in milliseconds. */
  waitMs: number;
}

/** What a flow will cost. */
export interface Plan {
  /** How many tasks. */
  tasks: number;
  /** The chance that a run succeeds at once, from 0 to 1. */
  runSuccess: number;
  /** What a run costs in USD in which nothing fails. */
  idealUsd: number;
  /** Each policy. */
  rows: Array<PlanRow>;
  /** What checkpoints may cost a task more in USD before they do not pay. */
  checkpointGainUsd?: number;
  /** From which failure rate of a run on checkpoints pay. */
  checkpointFailureRate?: number;
  /** The same as a table. */
  text: string;
}

/** What a policy comes to. */
export interface PlanRow {
  /** `restart`, `checkpoint` or `abort`. */
  policy: string;
  /** How many of the tasks succeed, from 0 to 1. */
  success: number;
  /** Where that lies 19 times of 20: two numbers, or none where it has a formula. */
  successInterval: Array<number>;
  /** What a task costs in USD, whether it succeeds or not. */
  usd: number;
  /** Where that lies 19 times of 20. */
  usdInterval: Array<number>;
  /** What a task that succeeds costs in USD, with those that did not. */
  usdPerSuccess: number;
  /** What a task costs beside a run in which nothing fails. */
  overhead: number;
  /** What half of the tasks, 95 and 99 of a hundred cost at most in USD. */
  usdQuantiles: Array<number>;
}

/** Something that is not as it was written. */
export interface Problem {
  /** `entry`, `owner`, `name` or `balance`. */
  place: string;
  /** The number of the entry, owner or name, or of the balance's account. */
  number: number;
  /** The last entry that may be the bad one; for a balance its slot. */
  until?: number;
  /** What is wrong there. */
  what: string;
  /** Both, as one line. */
  text: string;
}

/** Where the money went. */
export interface Report {
  /** What the rows are. */
  by: string;
  /** The rows, the largest spender first. */
  rows: Array<ReportRow>;
  /** All rows together. */
  totals: Figures;
  /** Entries a ledger in memory keeps no longer. */
  droppedEntries: number;
  /** The same as a table. */
  text: string;
}

/** One line of a report. */
export interface ReportRow {
  /** The task's own id or name, the model or the value of the tag; `erased` where it was forgotten. */
  key?: string;
  /** The task's id in the ledger, in a report by task or attempt. */
  taskId?: string;
  /** The number of the attempt, in a report by attempt. */
  attempt?: number;
  /** Its part of all that was spent, per mille. */
  sharePerMille: number;
  /** What became of its calls. */
  figures: Figures;
}

/** What is known of a request before it is made. */
export interface RequestSpec {
  /** The model's name. */
  model: string;
  /** The most input tokens it has. */
  inputTokens?: number;
  /** The most output tokens of each answer. */
  maxOutputTokens?: number;
  /** How many answers it asks for. */
  choices?: number;
  /** Who bills it. */
  provider?: string;
  /** A name unique within the attempt. */
  id?: string;
  /** The most it can cost by the caller's own word. */
  maxUsd?: string;
  /** The service tier it asks for. */
  serviceTier?: string;
  /** What the user's input is called that it helps to answer. */
  turn?: string;
  /** Is it the last call of the attempt? */
  final?: boolean;
}

/** How a task stands against its hard limits. */
export interface StatusFacts {
  /** What is used and left, in words. */
  text: string;
  /** How much of the limit is used that is the most used up, in per cent. */
  usedPercent?: number;
}

/** What a task spent, over all attempts and everything inside it. */
export interface Summary {
  /** The task's name. */
  name: string;
  /** Its id in the ledger. */
  id: string;
  /** The id the caller gave it. */
  callerId?: string;
  /** How its latest attempt stands. */
  outcome: string;
  /** Settled and in doubt, in nano-USD. */
  spent: bigint;
  /** What open calls hold. */
  pending: bigint;
  /** What calls hold whose outcome nobody knows. */
  inDoubt: bigint;
  /** Calls made without a record, because the ledger could not answer. */
  unrecordedCalls: number;
  /** What is left for a call; null without a hard limit on money. */
  available?: bigint;
  /** All its calls together. */
  totals: Figures;
  /** Its attempts, the first one first. */
  attempts: Array<AttemptLine>;
  /** The models its calls asked for, the largest spender first. */
  byModel: Array<ReportRow>;
  /** Which part bought nothing, by kind. */
  boughtNothing: Array<Loss>;
  /** The same as a few lines of text. */
  text: string;
}

/** What a task has used, holds and cannot tell, over all attempts. */
export interface TaskBalance {
  /** Settled and in doubt, in nano-USD. */
  spent: bigint;
  /** What open calls hold. */
  pending: bigint;
  /** What calls hold whose outcome nobody knows. */
  inDoubt: bigint;
  /** Tokens used. */
  tokens: number;
  /** Calls of a model. */
  llmCalls: number;
  /** Calls of a tool. */
  toolCalls: number;
}

/** What is known of a task from its opening on. */
export interface TaskFacts {
  /** Its name. */
  name: string;
  /** Its id in the ledger. */
  id: string;
  /** Which attempt this is, from 1. */
  attempt: number;
  /** Its tags, inherited ones too. */
  tags: Record<string, string>;
  /** The store of its ledger. */
  store: string;
  /** Does a call of it wait for a file? */
  blocking: boolean;
  /** How long it waits for money other calls hold, in milliseconds. */
  waitMs: number;
  /** What a hard limit does to a call: `raise`, `ask` or `finish`. */
  onLimit: string;
}

/** How a task is opened. */
export interface TaskSpec {
  /** Its name. */
  name: string;
  /** The caller's id: entering it again is the next attempt. */
  id?: string;
  /** Its limits. */
  limits: Array<LimitSpec>;
  /** Its tags. */
  tags: Record<string, string>;
  /** Deny nothing, and record what would have been denied? */
  observe: boolean;
  /** Lower a request's own maximum of output where only that makes it fit? */
  clamp: boolean;
  /** How long to wait for money other calls hold, in milliseconds. */
  waitMs?: number;
  /** The handle of the task it lies in. */
  under?: number;
  /** Who opens it. */
  by?: string;
  /** Cheaper models, the first to be tried at the front. */
  fallback?: Array<string>;
  /** What a hard limit does to a call: `raise`, `ask` or `finish`. */
  onLimit?: string;
  /** When its last call may start, in milliseconds after its first opening. */
  deadlineMs?: number;
  /** The same, in milliseconds since 1970. */
  deadlineAtMs?: number;
  /** From when on its calls are late, in milliseconds after its first opening. */
  softDeadlineMs?: number;
  /** At which shares of its limits to tell. */
  alerts?: Array<string>;
  /** The most all attempts after the first may cost together. */
  retryUsd?: string;
  /** What is put by for one last call. */
  wrapUpUsd?: string;
}

/** What the caller knows about one request beside its body. */
export interface TermsSpec {
  /** The most it can cost, by the caller's own word. */
  maxUsd?: string;
  /** The most input it can have. */
  maxInputTokens?: number;
  /** The user input this call belongs to answering. */
  turn?: string;
  /** Is it the last call of its attempt? */
  final?: boolean;
  /** Does somebody above tell the breaker what is new in it? */
  watched?: boolean;
  /** Can whoever sends it send no other model? */
  keepsModel?: boolean;
  /** The host it goes to, which may speak a dialect of its API. */
  host?: string;
}

/** What a call came to. */
export interface TraceEnd {
  /** `open`, `settled`, `voided` or `in_doubt`. */
  state: string;
  /** What it cost, in nano-USD, if it is settled. */
  charge?: bigint;
  /** What the charge was above the reservation. */
  overrun?: bigint;
  /** Is it our count, not the provider's? */
  estimated: boolean;
  /** The model that answered. */
  model?: string;
  /** All input, all output, read from a cache, written to one, reasoning. */
  tokens?: Array<number>;
}

/** What OpenTelemetry calls a call, and what is known of it from its reservation on. */
export interface TraceNames {
  /** The operation. */
  operation: string;
  /** The provider; empty if nobody knows. */
  provider: string;
  /** The model it is reserved for. */
  model: string;
  /** Its id in the ledger. */
  id: string;
  /** What is held for it, in nano-USD. */
  reserved: bigint;
  /** The most output tokens each answer may have. */
  maxOutputTokens: number;
}

/** What one call used, in whole tokens; what is absent is none. */
export interface UsageSpec {
  /** All input tokens. */
  inputTokens?: number;
  /** All output tokens. */
  outputTokens?: number;
  /** Of the input: read from a cache. */
  cacheReadInputTokens?: number;
  /** Of the input: written to a cache, of whatever lifetime. */
  cacheCreationInputTokens?: number;
  /** Of what was written to a cache: what lives one hour. */
  cacheCreation1hInputTokens?: number;
  /** Of the output: reasoning the caller does not see. */
  reasoningOutputTokens?: number;
  /** Of the input: audio. */
  inputAudioTokens?: number;
  /** Of the input: images. */
  inputImageTokens?: number;
  /** Of the input: video. */
  inputVideoTokens?: number;
  /** Of what was read from a cache: audio. */
  cacheReadAudioTokens?: number;
  /** Of what was read from a cache: images. */
  cacheReadImageTokens?: number;
  /** Of the output: audio. */
  outputAudioTokens?: number;
  /** Of the output: images. */
  outputImageTokens?: number;
  /** Of the output: video. */
  outputVideoTokens?: number;
  /** Searches the provider bills apiece. */
  webSearches?: number;
  /** What the provider says it charges, in USD. */
  cost?: string;
}

/** What a breaker says about a step. */
export interface VerdictFacts {
  /** `ok`, `nudge`, `refuse`, `pause` or `stop`. */
  level: string;
  /** Who found something. */
  detector?: string;
  /** On what grounds, as JSON; null at `ok`. */
  evidence?: string;
  /** What to tell the model. */
  message: string;
}

/** The alerts recorded by whatever process, oldest first. */
export function alerts(ledger: number, since?: string | undefined | null): Promise<Array<AlertFacts> | Failure>;

/** Do billed methods that cannot be metered go through? */
export function allowsUnmetered(): Tagged<boolean>;

/** What tasks ask for that nobody has approved, oldest first. */
export function approvals(ledger: number): Promise<Array<Asked> | Failure>;

/** Gives a task what it asks for. */
export function approve(ledger: number, id: string, add: string, by: string, key?: string | undefined | null): Promise<number | Failure>;

/** Tells it what happened, as JSON; with `only_check`, asks what would follow and changes nothing. */
export function askBreaker(breaker: number, step: string, onlyCheck: boolean): Tagged<VerdictFacts>;

/** Ends it by the response. */
export function attemptAnswered(exchange: number, status: number, body: string): Promise<number | Failure>;

/**
 * Ends it without a response: `not_sent`, `given_back` (and never was to be), `timeout`, `connection` or
 * `cancelled`.
 */
export function attemptFailed(exchange: number, kind: string): Promise<number | Failure>;

/** Notes that the request is about to be sent. */
export function attemptSent(exchange: number): Tagged<boolean>;

/** Ends it with what it used, as a framework reports it. */
export function attemptSettle(exchange: number, used: UsageSpec): Promise<number | Failure>;

/** How its call stands: `open`, `settled`, `voided` or `in_doubt`. */
export function attemptState(exchange: number): Tagged<string>;

/** What an attempt came to. */
export function attemptTrace(exchange: number): Tagged<TraceEnd>;

/** Computes chains, balances and names again, and holds them against a checkpoint, by whose key. */
export function audit(ledger: number, checkpoint?: string | undefined | null, key?: string | undefined | null): Promise<Audit | Failure>;

/** Everything it knows. */
export function breakerState(breaker: number): Tagged<Buffer>;

/** How a call stands. */
export function callEnd(call: number): Tagged<CallEnd>;

/** What is known of a call from its reservation on. */
export function callFacts(call: number): Tagged<CallFacts>;

/** What a call came to. */
export function callTrace(call: number): Tagged<TraceEnd>;

/** Recomputes every balance from the entries. */
export function checkBalances(ledger: number): Promise<number | Failure>;

/** Looks at a limit without setting it. */
export function checkLimit(limit: LimitSpec): Tagged<boolean>;

/** What the ledger is now, signed by an Ed25519 key in PEM. */
export function checkpoint(ledger: number, key: string): Promise<string | Failure>;

/** Ends this process as an owner of its ledgers. */
export function closeAll(): Tagged<boolean>;

/** Changes options of the process, given as JSON. Negative if it failed. */
export function configure(json: string): number;

/** Counts messages, given as the JSON of a request's `messages`, `tools` and `tool_choice`. */
export function countMessages(model: string, request: string): Tagged<CountFacts>;

/** Counts a text. */
export function countText(model: string, text: string): Tagged<CountFacts>;

/** The handle of the task of calls under no other. */
export function defaultTask(ledger: number): Promise<number | Failure>;

/** The same, however long it waits. */
export function endCall(call: number, how: string): Promise<number | Failure>;

/** Ends the call as `void`, `doubt`, or `leave`, as the block round it ends. Negative if it failed. */
export function endCallSync(call: number, how: string): number;

/** Ends the attempt as `succeeded`, of which the value is kept, `failed` or `stopped`. */
export function endTask(task: number, outcome: string, reason?: string | undefined | null, value?: string | undefined | null): Promise<number | Failure>;

/** The codes of every kind of error. */
export function errorCodes(): Array<ErrorCode>;

/** A person lets the run go on. Negative if it failed. */
export function excuseBreaker(breaker: number): number;

/** Writes the ledger to a file. */
export function exportLedger(ledger: number, spec: ExportSpec): Promise<ExportedFacts | Failure>;

/** Reads the usage of a response, or of a list of a stream's events, from its JSON text. */
export function extractUsage(body: string, provider: string, api: string): Tagged<ExtractedFacts>;

/** Erases the value of a tag for ever. */
export function forget(ledger: number, key: string, value: string): Promise<number | Failure>;

/** What OpenTelemetry calls the operation and the provider of a request of this protocol. */
export function genaiNames(api: string, host?: string | undefined | null): Tagged<Array<string>>;

/** Negative with what stopped the run, if a request or a stream did. */
export function goOnBreaker(breaker: number): number;

/** Lets no call in a scope start until it is undone; answers how many open attempts lie in it. */
export function halt(ledger: number, scope: string, by: string, reason: string): Promise<number | Failure>;

/** The halts in force, oldest first. */
export function halts(ledger: number): Promise<Array<HaltInForce> | Failure>;

/** Brings in the logs of another tool. */
export function importLogs(source: string, path: string, store?: string | undefined | null): Promise<Imported | Failure>;

/** The calls in doubt, oldest first. */
export function inDoubt(ledger: number, most: number): Promise<Array<Doubted> | Failure>;

/** The number a model's name has in this process. */
export function internModel(model: string): number;

/** Was it approved? 1 or 0. */
export function isApproved(ledger: number, id: string): Promise<number | Failure>;

/** What the breaker of tasks of a kind goes by in a ledger, as JSON; nothing where none is configured. */
export function kindBreaker(ledger: number, kind: string): Tagged<string | undefined | null>;

/** How far bounds of input were from the truth. */
export function meterReport(ledger: number, since?: string | undefined | null): Promise<MeterReport | Failure>;

/** What the limits of tasks that only observe would have refused, the dearest first. */
export function observed(ledger: number, since?: string | undefined | null): Promise<Array<Observed> | Failure>;

/** Reads a piece of the model's answer. */
export function observeStream(breaker: number, text: string): Tagged<VerdictFacts>;

/** Hands each alert to the event loop for a callback, under the name of a consumer. */
export function onAlert(consumer: string, callback: (alert: AlertFacts) => void): Promise<number | Failure>;

/**
 * Makes a breaker from its configuration as JSON, or from its state, or from both. Negative if that
 * failed, else its handle.
 */
export function openBreaker(config?: string | undefined | null, state?: Uint8Array | undefined | null): number;

/** Opens a ledger, or gives the one that is open already. */
export function openLedger(store?: string | undefined | null): Promise<LedgerFacts | Failure>;

/** Opens a task; answers its handle. */
export function openTask(ledger: number, spec: TaskSpec): Promise<number | Failure>;

/** Reads a number of USD by its decimal form; in nano-USD. */
export function parseMoney(usd: string): Tagged<bigint>;

/** What a flow will cost, given as JSON or TOML. */
export function plan(flow: string, isJson: boolean): Promise<Plan | Failure>;

/** What a usage costs, at a time in milliseconds since 1970; now if there is none. */
export function priceUsage(model: string, used: UsageSpec, provider?: string | undefined | null, at?: number | undefined | null, serviceTier?: string | undefined | null): Tagged<ChargeFacts>;

/** Reads and counts a request from its JSON body, once for all its HTTP attempts. */
export function readRequest(task: number, api: string, body: string, terms: TermsSpec): Promise<OutgoingFacts | Failure>;

/** Are calls under no task refused? */
export function refusesUnbound(): Tagged<boolean>;

/** Forgets an attempt nobody can reach any more; if it is open, its call ends as it was left. */
export function releaseAttempt(exchange: number): void;

/** Forgets it. */
export function releaseBreaker(breaker: number): void;

/** Forgets a call nobody can reach any more; if it is open, it is in doubt from then on. */
export function releaseCall(call: number, blocking: boolean): void;

/** Forgets a ledger's handle; the ledger stays open. */
export function releaseLedger(ledger: number): void;

/** Forgets a request; it holds nothing. */
export function releaseRequest(outgoing: number): void;

/** Forgets a task nobody can reach any more; if its attempt is open, it ends. */
export function releaseTask(task: number): void;

/** Where the money went. */
export function report(ledger: number, by: string, since?: string | undefined | null): Promise<Report | Failure>;

/** The same with charts, as a page of HTML that loads nothing. */
export function reportHtml(ledger: number, by: string, since?: string | undefined | null): Promise<string | Failure>;

/** Another report, as `outlay report WORDS --json` prints it. */
export function reportJson(ledger: number, words: Array<string>): Promise<string | Failure>;

/** The same, however long it waits. With `poll`, 0 if only money that other calls hold is in the way. */
export function reserve(task: number, spec: RequestSpec, poll: boolean): Promise<number | Failure>;

/**
 * Reserves for one attempt, without waiting. With `poll`, null if only money that other calls hold
 * is in the way.
 */
export function reserveAttempt(outgoing: number, poll: boolean): Promise<ExchangeFacts | null | Failure>;

/** Reserves without waiting. Answers the handle of the call, or a negative number if it failed. */
export function reserveRequestSync(task: number, spec: RequestSpec, poll: boolean): number;

/**
 * Reserves without waiting: the hot form. A count below 0 is absent.
 * 
 * Answers the handle of the call, or a negative number if it failed.
 */
export function reserveSync(task: number, model: number, inputTokens: number, maxOutputTokens: number): number;

/** Gives every option of the process its default again. */
export function resetOptions(): void;

/** Ends a call in doubt: with its usage, or void without one; answers what it cost. */
export function resolve(ledger: number, id: string, used: UsageSpec | undefined | null, by: string): Promise<bigint | Failure>;

/** Runs the command line; answers its exit code. */
export function runCommand(arguments: Array<string>): Tagged<number>;

/** Declares a shared budget. */
export function setBudget(ledger: number, spec: BudgetSpec): Promise<number | Failure>;

/** The same, however long it waits. */
export function settle(call: number, used: UsageSpec): Promise<number | Failure>;

/** Ends the call with what it used: the hot form. Negative if it failed. */
export function settleSync(call: number, inputTokens: number, outputTokens: number): number;

/** Ends the call with what it used. Negative if it failed. */
export function settleUsageSync(call: number, used: UsageSpec): number;

/** An amount in nano-USD as a decimal number of USD. */
export function showMoney(nanos: bigint): Tagged<string>;

/** The one name of the store that would be opened. */
export function storeName(store?: string | undefined | null): Tagged<string>;

/** Ends the stream, read to its end or not; only the first end counts. */
export function streamEnd(exchange: number): Promise<number | Failure>;

/** Takes the end of the stream's bytes, and ends it; answers what was kept back. */
export function streamFinish(exchange: number): Promise<Buffer | null | Failure>;

/** Takes bytes of the stream; answers those to hand on, null if they are the same. */
export function streamPush(exchange: number, chunk: Uint8Array): Promise<Buffer | null | Failure>;

/** Ends owners that died; answers how many of their calls are in doubt now. */
export function sweep(ledger: number): Promise<number | Failure>;

/** The failure behind the last negative answer of a function that answers numbers. */
export function takeFailure(): Failure | null;

/** What is left, in nano-USD; null where no hard limit on money holds. */
export function taskAvailable(task: number): Promise<bigint | null | Failure>;

/** What it has used, holds and cannot tell. */
export function taskBalance(task: number): Promise<TaskBalance | Failure>;

/** What is known of a task from its opening on. */
export function taskFacts(task: number): Tagged<TaskFacts>;

/** What is used and left under a task's hard limits. */
export function taskStatus(task: number): Promise<StatusFacts | Failure>;

/** The latest verdict against it. */
export function taskStopped(task: number): Failure | null;

/** What it spent, by attempt and model, and which part bought nothing. */
export function taskSummary(task: number): Promise<Summary | Failure>;

/** Tells it what happened, where what it says may have to wait for a file. */
export function tellBreaker(breaker: number, step: string): Promise<VerdictFacts | Failure>;

/** The same, however long it waits. */
export function toolCall(task: number, tool: string, turn?: string | undefined | null): Promise<number | Failure>;

/** Counts a call of a tool. Negative if it failed. */
export function toolCallSync(task: number, tool: string, turn?: string | undefined | null): number;

/** Keeps what an attempt will be settled by. */
export function traceAttempt(exchange: number): Tagged<TraceNames>;

/** Keeps what a call will be settled by. */
export function traceCall(call: number): Tagged<TraceNames>;

/** The same for a ledger in a file, if nothing else uses it: -2 if it would have to wait. */
export function tryEndCall(call: number, how: string): number;

/** The same for a ledger in a file, if nothing else uses it: -2 if it would have to wait. */
export function tryReserve(task: number, spec: RequestSpec, poll: boolean): number;

/** The same for a ledger in a file, if nothing else uses it: -2 if it would have to wait. */
export function trySettle(call: number, used: UsageSpec): number;

/** The same for a ledger in a file, if nothing else uses it: -2 if it would have to wait. */
export function tryToolCall(task: number, tool: string, turn?: string | undefined | null): number;

/** A name for the turn that answers what the user said. */
export function turnOf(task: number, said: Array<string>): Tagged<string>;

/** Undoes a halt. */
export function unhalt(ledger: number, scope: string, by: string): Promise<number | Failure>;

/** Refuses a billed request that cannot be metered, if there is a hard limit on money over it. */
export function unmetered(task: number, what: string): Promise<number | Failure>;

/** The version of the package. */
export function version(): string;

/**
 * Asks it about the requests of a task from now on. What it says is recorded in the first task that it
 * watches. Negative if it failed.
 */
export function watchTask(task: number, breaker: number): number;

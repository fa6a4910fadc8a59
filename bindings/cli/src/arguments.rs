//! What can be asked? The commands, their options and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use outlay::{
    meter::Ability,
    report::{By, ExportFormat, Since, Source},
};

/// What AI agents spent: which task, which attempt, whose, and what bought nothing.
#[derive(Debug, Parser)]
#[command(
    name = "outlay",
    version,
    arg_required_else_help = true,
    after_help = "\
Amounts are exact and in USD, times are in UTC.
Exit codes: 0 done, 1 nothing found or refused, 2 not understood, 3 the ledger cannot be used.

Examples:
  outlay tasks
  outlay show refund-4711
  outlay report --by agent --since 7d
  outlay prices show claude-sonnet-4-5
  outlay --store sqlite:ledger.db report --by tag:tenant --csv > tenants.csv"
)]
pub(crate) struct Arguments {
    #[arg(
        long,
        global = true,
        value_name = "STORE",
        help = "\
The ledger, as sqlite:PATH [default: the configured one, $OUTLAY_STORE, or the user's own]"
    )]
    pub store: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List tasks, the newest first
    #[command(after_help = "Examples:\n  outlay tasks\n  outlay tasks --most 500 --json")]
    Tasks(Tasks),
    /// Show one task: attempts, models, limits, and what bought nothing
    #[command(after_help = "Examples:\n  outlay show refund-4711\n  outlay show 019a2b --json")]
    Show(Show),
    /// Watch what is running: what it spent of its limits, how fast it goes; halt it by a key
    #[command(after_help = "\
Keys: up and down select, h halts the selected task and u undoes it, each after a y; s sorts by what
was spent, by calls or by age; q leaves. Where there is no terminal, one table is printed.

Examples:
  outlay top
  outlay top --once --json")]
    Top(Top),
    /// Add up where the money went
    #[command(after_help = "\
Examples:
  outlay report
  outlay report --by model --since 24h
  outlay report observed --since 7d
  outlay report waste --since 30d
  outlay report kinds --since 30d
  outlay report margin --by tag:tenant --since 2026-11-01 --revenue invoices.csv
  outlay report whatif --model claude-haiku-4-5 --since 30d
  outlay report forecast --by tag:tenant
  outlay report --by tag:tenant --since 2026-11-01 --csv > november.csv
  outlay report --by tag:tenant --since 30d --html november.html")]
    Report(Report),
    /// Print the ledger, or a period of it, for other programs
    #[command(after_help = "\
focus is CSV in the columns of FOCUS 1.2, a row for each unit that was charged; csv and jsonl are the
entries of the ledger, one a line. A period that is over always gives the same rows. Prompts and
answers are in none of them: the ledger has none.

Examples:
  outlay export focus --since 2026-11-01 --until 2026-12-01 > november.csv
  outlay export jsonl --since 24h > entries.jsonl")]
    Export(Export),
    /// Show how far the bounds of input were from what providers counted
    #[command(after_help = "\
truth/count is what providers counted over what was counted here; bound/truth is what was reserved
for over what providers counted. Calls whose token counts were given are not in it.

Examples:
  outlay meter
  outlay meter --since 7d --csv > meter.csv")]
    Meter(Meter),
    /// End calls whose outcome nobody knows; without ID, list them
    #[command(after_help = "\
Until it is resolved, such a call counts as spent at its worst case. The provider's dashboard says
what it used.

Examples:
  outlay resolve
  outlay resolve 019a2b3c-0000-7000-8000-000000000001 --void
  outlay resolve 019a2b3c-0000-7000-8000-000000000001 --settle 1000,500 --by maria
  outlay resolve 019a2b3c-0000-7000-8000-000000000001 \\
      --settle-json '{\"input_tokens\": 1000, \"cache_read_tokens\": 800, \"output_tokens\": 500}'")]
    Resolve(Resolve),
    /// List shared budgets with what is left of them
    #[command(after_help = "Examples:\n  outlay budgets\n  outlay budgets --json")]
    Budgets(Json),
    /// List the limits and other options that the configuration gives to tasks of each kind
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  outlay limits\n  outlay limits suggest --kind refund --since 30d"
    )]
    Limits(Limits),
    /// Erase the value of a tag for ever; the amounts stay
    #[command(after_help = "\
Entries keep the number of the value; reports say `erased`. It cannot be undone.

Examples:
  outlay forget user=maria@example.com --yes
  outlay forget task=refund-4711 --yes")]
    Forget(Forget),
    /// Let no call in a scope start, in any process on the ledger; without SCOPE, list halts
    #[command(after_help = "\
SCOPE is `all`, a tag as KEY=VALUE, or the name or id of a task, with all that lies below it. Calls
are refused at once, streams cut within a second. It holds until `outlay unhalt`.

Examples:
  outlay halt
  outlay halt tenant=acme --by maria --reason \"wrong prompt rolled out\"
  outlay halt all --reason \"provider bills twice\"")]
    Halt(Halt),
    /// Undo a halt
    #[command(after_help = "Example:\n  outlay unhalt tenant=acme --by maria")]
    Unhalt(Unhalt),
    /// Give a task what it asks for: raise the limit that is in its way
    #[command(after_help = "\
Tasks opened with `on_limit=\"ask\"` ask when a hard limit refuses a call. The task goes on with its
next call, or its next attempt. Where the configuration names `approvers`, the key of one is needed;
else `--by` is a claim.

Examples:
  outlay approvals
  outlay approve 019a2b3c-0000-7000-8000-000000000001 --add 0.50 --by maria
  outlay approve 019a2b3c-0000-7000-8000-000000000001 --add 0.50 --by maria --key maria.pem")]
    Approve(Approve),
    /// List what tasks ask for that nobody has approved
    #[command(after_help = "Examples:\n  outlay approvals\n  outlay approvals --json")]
    Approvals(Json),
    /// List the alerts that were recorded
    #[command(after_help = "Examples:\n  outlay alerts\n  outlay alerts --since 7d --json")]
    Alerts(Alerts),
    /// Follow the ledger: print alerts and halts, send alerts to a webhook
    #[command(after_help = "\
An alert is printed, or posted, until it was: what a name has had is noted in the ledger, so it goes
on where it ended. The body is signed by the secret in the environment; docs/alerts.md tells how a
receiver checks it. The first time a name gets the alerts of the last day.

Examples:
  outlay watch
  outlay watch --once --json
  outlay watch --url https://hooks.example.com/outlay --secret-env HOOK_SECRET")]
    Watch(Watch),
    /// Recompute every balance from the entries and compare
    #[command(after_help = "Example:\n  outlay check && echo sound")]
    Check(Json),
    /// Bring in the logs of other tools as settled calls
    #[command(after_help = "\
A call is known by its id, so importing again adds what is new. Each is charged what its model cost
at its date. The ledger is made if there is none; docs/import.md tells what each source has.

Examples:
  outlay --store sqlite:past.db import claude-code ~/.claude/projects
  outlay --store sqlite:past.db import codex ~/.codex/sessions
  outlay --store sqlite:past.db report --by tag:project")]
    Import(Import),
    /// Say what a flow of steps will cost, before anything runs
    #[command(after_help = "\
FILE says what the steps cost and how often they succeed; docs/plan.md tells how. No ledger is opened.

Example:
  outlay plan flow.toml")]
    Plan(Plan),
    /// Prove that nobody edited the ledger: its chains, its balances, its names
    #[command(after_help = "\
Somebody who can write the file can also make it fit together again. A checkpoint kept elsewhere
shows any change of what lies before it; docs/verify_ledger.py does so without outlay.

Examples:
  outlay audit
  outlay audit keygen audit.pem
  outlay audit checkpoint --sign audit.pem > 2026-11-22.checkpoint
  outlay audit verify 2026-11-22.checkpoint --key 3d4017c3…")]
    Audit(Audit),
    /// Show what models cost, compare price books, use a newer one
    #[command(
        subcommand,
        after_help = "\
Nothing is fetched. Prices are the bundled book, or a newer one put in its place, and what the
configuration says over it.

Examples:
  outlay prices show claude-sonnet-4-5
  outlay prices diff book.txt && outlay prices update book.txt"
    )]
    Prices(Prices),
    /// Ask the loop breaker about recorded steps
    Breaker(Breaker),
    /// Ask which cheaper model would take a call
    Route(Route),
}

#[derive(Debug, Args)]
pub(crate) struct Limits {
    #[command(subcommand)]
    pub asked: Option<LimitsCommand>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Print limits for each kind, from what runs that succeeded have used, as TOML for outlay.toml
    #[command(after_help = "\
A run is a task in no other, with all its attempts. Runs without a kind are not in it. How many runs a
limit rests on, and how many of them used more, stands beside it.

Examples:
  outlay limits suggest
  outlay limits suggest --kind refund --since 30d --share 99")]
    Suggest(Suggest),
}

#[derive(Debug, Args)]
pub(crate) struct Suggest {
    /// Only tasks of this kind
    #[arg(long)]
    pub kind: Option<String>,
    /// Only tasks opened from then on: 7d, 24h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// How many of the runs that succeeded a limit is to cover
    #[arg(long, value_name = "PER CENT", default_value_t = 95)]
    pub share: u8,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Route {
    #[command(subcommand)]
    pub asked: RouteCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// Show which model takes a call once money gets short, and why not the others
    #[command(after_help = "\
Without --fallback the rules of the configuration answer. Nothing is asked of the ledger or of any
model. What a call needs beside text is said by --needs: chat (unless responses), responses, system,
tools, forced_tool, parallel_tools, images, documents, audio, schema, sampling, prefill,
later_system, effort, effort_none, effort_minimal, effort_xhigh, effort_max, thinking_budget,
adaptive_thinking.

Examples:
  outlay route explain gpt-4o --fallback gpt-4.1-mini,gpt-4o-mini --input 20000 --output 4000
  outlay route explain gpt-4o --fallback gpt-4,gpt-4o-mini --needs tools,schema
  outlay route explain claude-sonnet-4-5 --kind extractive --input 20000 --output 4000")]
    Explain(RouteExplain),
}

#[derive(Debug, Args)]
pub(crate) struct RouteExplain {
    /// The model asked for
    pub model: String,
    /// The models to try, the first that can take the call is taken
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub fallback: Option<Vec<String>>,
    /// The kind of the task, for rules that name one
    #[arg(long)]
    pub kind: Option<String>,
    /// Input tokens of the call
    #[arg(long, value_name = "TOKENS", default_value_t = 1_000)]
    pub input: u64,
    /// The most output tokens of the call
    #[arg(long, value_name = "TOKENS", default_value_t = 1_000)]
    pub output: u64,
    /// The call shows images
    #[arg(long)]
    pub images: bool,
    /// What else it needs, such as `tools,schema`; see below
    #[arg(long, value_name = "NEED", value_delimiter = ',', value_parser = crate::route::ability)]
    pub needs: Vec<Ability>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Prices {
    /// Show the prices of a model, by service tier and context
    #[command(after_help = "\
`disputed` columns are what another source says, where nobody has decided who is right: calls are
charged by the others and reserved by the dearer of the two.

Examples:
  outlay prices show gpt-5
  outlay prices show azure/gpt-4o --json
  outlay prices show gemini-2.5-pro --provider vertex_ai --at 2026-01-31")]
    Show(PriceShow),
    /// List prices that are not those of the bundled book, or that FILE would change
    #[command(after_help = "\
Examples:
  outlay prices diff
  outlay prices diff book.txt --json
  outlay prices diff book.txt --at 2027-01-01")]
    Diff(PriceDiff),
    /// Use a newer price book from now on
    #[command(after_help = "\
The book goes beside the configuration, or to `$OUTLAY_PRICES`. Processes that start later use it as
long as it is newer than the one they came with.

Example:
  outlay prices update book.txt")]
    Update {
        /// The book, as `core/prices/generate.py` of the sources writes it
        #[arg(value_name = "FILE")]
        file: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PriceShow {
    /// Its name, with or without its provider
    pub model: String,
    /// Who bills it
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// At which time: a date, a time, or so long ago [default: now]
    #[arg(long, value_name = "DATE")]
    pub at: Option<Since>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct PriceDiff {
    /// Another book to compare with the present prices
    #[arg(value_name = "FILE")]
    pub file: Option<String>,
    /// At which time: a date, a time, or so long ago [default: now]
    #[arg(long, value_name = "DATE")]
    pub at: Option<Since>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Breaker {
    #[command(subcommand)]
    pub asked: BreakerCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BreakerCommand {
    /// Say what it would have said of recorded steps, or said of a task: one verdict a line, as JSON
    #[command(after_help = "\
FILE holds JSON, a step a line: {\"kind\": \"tool\", \"name\": \"bash\", \"args\": {…}, \"result\": \"…\"}, or
a run a line: {\"run_id\": …, \"steps\": […]}. No ledger is opened.
Of a TASK the ledger keeps what was said on what grounds, and no steps: that is printed.

Examples:
  outlay breaker replay steps.jsonl
  outlay breaker replay runs.jsonl --config breaker.json
  outlay breaker replay refund-4711")]
    Replay(Replay),
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The recorded steps, or a task by its id, the beginning of it, or its name
    #[arg(value_name = "FILE|TASK")]
    pub steps: String,
    /// Thresholds and tools, as JSON [default: the default thresholds]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Alerts {
    /// Only from then on: a date, a time, or so long ago
    #[arg(long, value_name = "DATE")]
    pub since: Option<Since>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Where to post alerts
    #[arg(long)]
    pub url: Option<String>,
    /// Which variable of the environment holds the secret that signs them
    #[arg(long, value_name = "NAME", default_value = "OUTLAY_WEBHOOK_SECRET")]
    pub secret_env: String,
    /// Post in the clear to other machines too
    #[arg(long)]
    pub allow_http: bool,
    /// Under which name to note what was delivered [default: webhook, or watch without --url]
    #[arg(long)]
    pub name: Option<String>,
    /// Deliver what there is and end; 1 if some of it was not taken
    #[arg(long)]
    pub once: bool,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub every: Since,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Whose logs: claude-code, codex, litellm or csv
    pub source: Source,
    /// A file, or a folder with all below it
    pub path: PathBuf,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The flow, as TOML
    pub file: PathBuf,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub asked: Option<AuditCommand>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Make a key that signs checkpoints; print the public key
    Keygen {
        /// Where the secret key goes, as PEM; it must not exist
        file: PathBuf,
    },
    /// Print what the ledger is now, signed
    Checkpoint {
        /// The secret key, as PEM
        #[arg(long, value_name = "FILE")]
        sign: PathBuf,
    },
    /// Prove that nothing from before a checkpoint was edited
    Verify {
        /// The checkpoint
        file: PathBuf,
        /// The public key it must be signed by, as printed by `keygen`
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Tasks {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub most: u32,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Print one table and leave
    #[arg(long)]
    pub once: bool,
    /// Who halts [default: the user's name]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Why, for those whose runs are refused
    #[arg(long, value_name = "TEXT", default_value = "halted in `outlay top`")]
    pub reason: String,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The id its caller gave it, its id in the ledger or the beginning of that, or its name
    pub task: String,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Instead of where the money went
    #[arg(value_enum)]
    pub what: Option<What>,
    /// What the rows are: task, attempt, kind, agent, step, turn, model, provider or tag:NAME [default:
    /// task; of a forecast none, of margins tag:tenant]
    #[arg(long)]
    pub by: Option<By>,
    /// Only calls from then on: 7d, 24h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    #[command(flatten)]
    pub elsewhere: Elsewhere,
    /// Margin: what was earned, as CSV with the columns key and revenue_usd or a JSON object of USD by key:
    /// a file, or the object itself
    #[arg(long, value_name = "FILE")]
    pub revenue: Option<String>,
    #[command(flatten)]
    pub json: Json,
    /// Print CSV, without the totals
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Write a page of charts and tables to FILE, or print it
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = "-",
        conflicts_with_all = ["what", "json", "csv"]
    )]
    pub html: Option<PathBuf>,
}

impl Report {
    /// `--json` and `--csv`.
    pub fn form(&self) -> (bool, bool) {
        (self.json.json, self.csv)
    }
}

/// For `outlay report whatif`.
#[derive(Debug, Args)]
pub(crate) struct Elsewhere {
    /// What if: the model the calls would have gone to
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// What if: the provider
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// What if: the service tier, such as batch or flex
    #[arg(long, value_name = "TIER")]
    pub tier: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// What the file is: focus, csv or jsonl
    pub format: ExportFormat,
    /// Only what was written from then on: 7d, 24h, a date or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// Only what was written before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<Since>,
    /// For focus, who pays, as the provider calls the account [default: the ledger]
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum What {
    /// What limits of tasks that only observe would have refused
    Observed,
    /// What was paid for nothing, by kind, and what to do
    Waste,
    /// How often runs fail, and what that cost
    Tax,
    /// What the money bought, for runs that said what they were worth
    Value,
    /// What a run of each kind costs, how often it succeeds, and with which model
    Kinds,
    /// Whether runs cost what the configuration says they may
    Slo,
    /// What is left of the --revenue of each tenant, or whatever --by says; the largest loss first
    Margin,
    /// What the calls would have cost with another --model, --provider or --tier
    Whatif,
    /// What the month will cost by its end, and when budgets will be used up
    Forecast,
}

#[derive(Debug, Args)]
pub(crate) struct Meter {
    /// Only calls from then on: 7d, 24h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    #[command(flatten)]
    pub json: Json,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Resolve {
    /// The call
    #[arg(requires = "ending")]
    pub id: Option<String>,
    #[command(flatten)]
    pub ending: Ending,
    /// Who says so [default: the user's name]
    #[arg(long, value_name = "NAME", requires = "id")]
    pub by: Option<String>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
#[group(id = "ending", multiple = false, requires = "id")]
pub(crate) struct Ending {
    /// It was billed: this many tokens of input and output
    #[arg(long, value_name = "INPUT,OUTPUT")]
    pub settle: Option<String>,
    /// It was billed: this usage, as JSON
    #[arg(long, value_name = "JSON")]
    pub settle_json: Option<String>,
    /// It was not billed
    #[arg(long)]
    pub void: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Halt {
    /// What is halted
    #[arg(requires = "reason")]
    pub scope: Option<String>,
    /// Why, for those whose runs are refused
    #[arg(long, value_name = "TEXT", requires = "scope")]
    pub reason: Option<String>,
    /// Who says so [default: the user's name]
    #[arg(long, value_name = "NAME", requires = "scope")]
    pub by: Option<String>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Unhalt {
    /// What is halted
    pub scope: String,
    /// Who says so [default: the user's name]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The request, as the error and `outlay approvals` name it
    pub id: String,
    /// By how much: USD, tokens or calls, whatever the limit is of
    #[arg(long, value_name = "AMOUNT")]
    pub add: String,
    /// Who says so [default: the user's name]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Their private Ed25519 key, in PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The tag
    #[arg(value_name = "KEY=VALUE")]
    pub tag: String,
    /// Do it; without this nothing is erased
    #[arg(long)]
    pub yes: bool,
}

//! Who is told from outside of the programs that spend? `outlay watch` and `outlay alerts`.
//!
//! What was printed, or taken by a webhook, is noted behind the name of the consumer, after it was:
//! an alert may come twice, with the same id, and none is lost.

use std::{
    collections::BTreeMap,
    io::Write,
    net::IpAddr,
    thread::sleep,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use outlay::{
    Clock, Error, ErrorKind, Result,
    ledger::Alert,
    policy::limit::show_time,
    report::{
        Since,
        text::{Table, shown},
    },
};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    FAILED, OK,
    arguments::{Alerts, Watch},
    json,
    place::Opened,
};

const LISTED_MAX: usize = 10_000;
/// How many alerts are read at a time.
const PAGE: usize = 100;
/// How often `--once` tries to deliver one.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// Sends the body with these headers to the URL by POST, following no redirect; answers the status,
/// or why there is none.
pub type Post<'a> = &'a dyn Fn(&str, &[(&str, String)], &str) -> std::result::Result<u16, String>;

/// Where alerts go, and what signs them.
struct Webhook<'a> {
    url: &'a str,
    secret: String,
    post: Post<'a>,
}

/// When an alert is tried again, and how often it was.
#[derive(Clone, Copy)]
struct Tried {
    times: u32,
    due: Instant,
}

pub(crate) fn alerts(ledger: &Opened, asked: &Alerts) -> Result<String> {
    let since = asked.since.map_or(0, |since| since.at(Clock::System.now()));
    let alerts = ledger.alerts(since, LISTED_MAX)?;
    if asked.json.json {
        return Ok(json::printed(&alerts.iter().map(told).collect()));
    }
    if alerts.is_empty() {
        return Ok("no alert was recorded\n".to_owned());
    }
    let mut table = Table::new(["at", "budget", "passed", "unit", "spent", "limit", "task"]).left(4);
    for alert in alerts {
        let (spent, limit) = (alert.unit.show(alert.spent), alert.unit.show(alert.limit));
        let unit = alert.unit.name().replace('_', " ");
        let passed = alert.threshold.to_string();
        table.row([show_time(alert.at), alert.budget, passed, unit, spent, limit, alert.task]);
    }
    Ok(format!("{table}\n"))
}

/// What is told of an alert, whoever is.
fn told(alert: &Alert) -> Value {
    json!({
        "id": alert.id.to_string(),
        "type": "alert",
        "at": show_time(alert.at),
        "budget": alert.budget,
        "unit": alert.unit.name(),
        "threshold": alert.threshold.to_string(),
        "limit": alert.unit.show(alert.limit),
        "spent": alert.unit.show(alert.spent),
        "window": alert.window.to_string(),
        "window_start": alert.window_start.map(show_time),
        "task": alert.task,
        "text": alert.to_string(),
    })
}

/// Follows the ledger; with `--once` until what there is was delivered or given up.
pub(crate) fn watch(
    store: Option<&str>,
    asked: &Watch,
    post: Option<Post<'_>>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<i32> {
    let webhook = asked.url.as_deref().map(|url| webhook_of(url, asked, post)).transpose()?;
    let Since::Last(every) = asked.every else {
        return Err(invalid("`--every` is a length of time, as in `1s`".to_owned()));
    };
    let every = Duration::from_millis(every.clamp(100, 3_600_000) as u64);
    let ledger = Opened::new(store)?;
    let name = asked.name.as_deref().unwrap_or(if webhook.is_some() { "webhook" } else { "watch" });
    let mut tried: BTreeMap<String, Tried> = BTreeMap::new();
    let mut halts = Vec::new();
    loop {
        // Who died may have left calls whose worst case passes a share.
        ledger.sweep()?;
        let alerts = ledger.undelivered(name, PAGE)?;
        let left = alerts.len() == PAGE;
        tried.retain(|id, _| alerts.iter().any(|alert| alert.id.to_string() == *id));
        for alert in &alerts {
            let id = alert.id.to_string();
            let times = match tried.get(&id) {
                Some(before) if Instant::now() < before.due => continue,
                before => before.map_or(0, |before| before.times),
            };
            match webhook.as_ref().map_or(Ok(()), |webhook| webhook.send(alert)) {
                Ok(()) => {
                    ledger.delivered(name, alert)?;
                    tried.remove(&id);
                    let line = if asked.json.json { told(alert).to_string() } else { line_of(alert) };
                    say(out, &line)?;
                }
                Err(why) => {
                    say(errors, &format!("outlay: alert {id} was not taken: {why}"))?;
                    let pause = FIRST_PAUSE.saturating_mul(1 << times.min(16)).min(PAUSE_MAX);
                    tried.insert(id, Tried { times: times + 1, due: Instant::now() + pause });
                }
            }
        }
        halts = tell_halts(&ledger, halts, asked, out)?;
        let hopeful = tried.values().filter(|tried| !asked.once || tried.times < TRIES);
        let due = hopeful.map(|tried| tried.due.saturating_duration_since(Instant::now())).min();
        match due {
            // Of a full page all were delivered, and there may be more.
            None if left && tried.is_empty() => {}
            None if asked.once => return Ok(if tried.is_empty() { OK } else { FAILED }),
            due => sleep(due.unwrap_or(every).min(every).max(Duration::from_millis(10))),
        }
    }
}

/// Says which halts are new and which are gone; answers those in force.
fn tell_halts(
    ledger: &Opened,
    before: Vec<outlay::ledger::Halt>,
    asked: &Watch,
    out: &mut dyn Write,
) -> Result<Vec<outlay::ledger::Halt>> {
    let now = ledger.halts()?;
    let gone = before.iter().filter(|halt| !now.contains(halt)).map(|halt| ("unhalted", halt));
    let new = now.iter().filter(|halt| !before.contains(halt)).map(|halt| ("halted", halt));
    for (kind, halt) in gone.chain(new) {
        let at = show_time(halt.at_ms);
        let line = if asked.json.json {
            json!({ "type": kind, "scope": halt.scope, "by": halt.by, "reason": halt.reason, "since": at })
                .to_string()
        } else {
            format!("{at}  {kind}: `{}` by `{}`: {}", halt.scope, halt.by, halt.reason)
        };
        say(out, &line)?;
    }
    Ok(now)
}

fn line_of(alert: &Alert) -> String {
    format!("{}  {alert}", show_time(alert.at))
}

fn say(to: &mut dyn Write, line: &str) -> Result<()> {
    let written = writeln!(to, "{}", shown(line)).and_then(|()| to.flush());
    written
        .map_err(|error| Error::new(ErrorKind::Unsupported, format!("the output cannot be written: {error}")))
}

fn webhook_of<'a>(url: &'a str, asked: &Watch, post: Option<Post<'a>>) -> Result<Webhook<'a>> {
    let post = post.ok_or_else(|| {
        let message = "this `outlay` sends no webhooks; use the command of the Python package";
        Error::new(ErrorKind::Unsupported, message)
    })?;
    check_url(url, asked.allow_http)?;
    let name = &asked.secret_env;
    let secret = std::env::var(name).ok().filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(|| {
        invalid(format!("the environment has no `{name}`, the secret that signs what is sent"))
    })?;
    Ok(Webhook { url, secret, post })
}

/// Refuses to send in the clear, except to this machine. The URL itself may be a secret.
fn check_url(url: &str, allow_http: bool) -> Result<()> {
    let place = |rest: &str| {
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default().to_owned();
        authority.rsplit('@').next().unwrap_or_default().to_owned()
    };
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && url.strip_prefix("https://").is_some_and(|rest| !place(rest).is_empty()) {
        return Ok(());
    }
    let Some(host) = url.strip_prefix("http://").map(place).filter(|host| plain && !host.is_empty()) else {
        return Err(invalid("`--url` is no URL that begins with `https://`".to_owned()));
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_here = name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if is_here || allow_http {
        return Ok(());
    }
    Err(invalid("`--url` is not `https`; `--allow-http` sends in the clear".to_owned()))
}

impl Webhook<'_> {
    fn send(&self, alert: &Alert) -> std::result::Result<(), String> {
        let body = told(alert).to_string();
        let seconds = Clock::System.now() / 1_000;
        let signature = sign(&self.secret, seconds, &body)?;
        let headers = [
            ("Content-Type", "application/json".to_owned()),
            ("Outlay-Id", alert.id.to_string()),
            ("Outlay-Timestamp", seconds.to_string()),
            ("Outlay-Signature", format!("v1={signature}")),
        ];
        match (self.post)(self.url, &headers, &body)? {
            200..300 => Ok(()),
            status => Err(format!("the status was {status}")),
        }
    }
}

/// HMAC-SHA-256 over the time in seconds, a full stop and the body, in hexadecimal digits.
fn sign(secret: &str, seconds: i64, body: &str) -> std::result::Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|error| error.to_string())?;
    mac.update(format!("{seconds}.{body}").as_bytes());
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    Ok(mac.finalize().into_bytes().iter().flat_map(digits).collect())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_told_in_the_clear() {
        for url in ["https://a.example/x?y", "http://localhost:80/", "http://127.0.0.1:8/", "http://[::1]:8/"]
        {
            assert!(check_url(url, false).is_ok(), "{url}");
        }
        for url in ["http://a.example/", "http://localhost@a.example/", "http://localhost.a.example/"] {
            assert!(check_url(url, false).is_err() && check_url(url, true).is_ok(), "{url}");
        }
        for url in ["", "a.example", "ftp://a.example", "https://", "https:///x", "https://a b/", "file:///x"]
        {
            assert!(check_url(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn the_signature_is_the_published_hmac() {
        // Worked out with `openssl dgst -sha256 -hmac key`.
        let signed = sign("key", 1_795_348_800, "{}").unwrap();
        assert_eq!(signed, "706f545aa9e881001584ac8eec5613f4e7a75ff82cc78f43673f88f69b8c3c6d");
    }
}

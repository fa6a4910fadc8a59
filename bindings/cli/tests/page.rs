//! Does the page say what the report says, in a real browser, whatever things are called?

mod fixture;

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command, sync::Arc};

use fixture::outlay;
use outlay::{Attempt, Config, Ledger, Limit, Request, TaskOptions, Usage};
use serde_json::Value;
use tempfile::TempDir;

const HOSTILE: [&str; 6] = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "--><svg/onload=document.title='owned'>",
    "' \" & &lt; \u{202e}gnp.exe",
    "]]></style><style>*{display:none}",
    "退款 é",
];
/// As it starts where nothing but a file may be read, and nobody has used it before.
const BROWSER: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--dump-dom",
];

/// A ledger with a task of each name, a failed attempt first, and calls of different cost.
fn filled(folder: &TempDir, names: &[String]) -> String {
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    for (no, name) in names.iter().enumerate() {
        for end in [Attempt::Failed, Attempt::Succeeded] {
            let id = format!("{name} {no}");
            let options = TaskOptions::new(name).id(&id).tag("tenant", name).unwrap();
            let task = ledger.open_task(options.limit(Limit::usd("1").unwrap())).unwrap();
            for output in 1..4 {
                let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(4_000);
                let call = task.reserve(&request).unwrap();
                call.settle(&Usage::tokens(1_000, output * (no as u64 + 1))).unwrap();
            }
            task.end(end, None).unwrap();
        }
    }
    ledger.close().unwrap();
    store
}

fn json(store: &str, by: &str) -> Value {
    let (code, out, errors) = outlay(&["--store", store, "report", "--by", by, "--json"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    serde_json::from_str(&out).unwrap()
}

/// What a browser makes of a page; nothing where no browser starts.
fn dom(page: &Path) -> Option<String> {
    let profile = tempfile::tempdir().unwrap();
    let show = |page: &str| {
        let folder = format!("--user-data-dir={}", profile.path().display());
        Command::new("chromium").args(BROWSER).args([&folder, page]).output()
    };
    if !show("about:blank").is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no chromium here that starts");
        return None;
    }
    let output = show(&format!("file://{}", page.display())).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The cells of the rows of the first table behind a heading.
fn rows(dom: &str, section: &str) -> Vec<Vec<String>> {
    let section = dom.split(&format!("aria-labelledby=\"{section}-title\"")).nth(1).unwrap();
    let table = section.split("<div class=\"table\">").nth(1).unwrap();
    let body = table.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    let row = |row: &str| {
        let cells = row.split("</t").filter_map(|cell| cell.rsplit_once('>').map(|(_, text)| text));
        let plain = |text: &str| text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        cells.map(plain).collect::<Vec<_>>()
    };
    let all = body.split("<tr>").skip(1).map(|one| row(one.split("</tr>").next().unwrap()));
    all.collect()
}

#[test]
fn a_browser_shows_the_figures_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder, &HOSTILE.map(str::to_owned));
    let file = folder.path().join("page.html");
    let (code, out, _) =
        outlay(&["--store", &store, "report", "--by", "tag:tenant", "--html", file.to_str().unwrap()]);
    assert_eq!((code, out), (0, format!("the page is in {}\n", file.display())));
    let Some(dom) = dom(&file) else { return };
    assert!(dom.contains("<title>Outlay: spending by tag:tenant</title>"), "a name ran as a script");
    assert!(!dom.contains("<img") && !dom.contains("<svg"), "a name became an element");
    assert_eq!(dom.matches("<div class=\"uplot").count(), 4, "a chart is missing");
    let report = json(&store, "tag:tenant");
    let told = rows(&dom, "time");
    let (totals, told) = told.split_last().unwrap();
    let wanted = report["rows"].as_array().unwrap();
    assert_eq!((told.len(), wanted.len()), (HOSTILE.len(), HOSTILE.len()));
    for (row, wanted) in told.iter().zip(wanted).chain([(totals, &report["totals"])]) {
        let key = wanted["key"].as_str().unwrap_or("total").replace('\u{202e}', "\\u{202e}");
        assert_eq!(row[0], key);
        assert_eq!(row[1].replace(',', ""), wanted["calls"].to_string());
        assert_eq!(row[3].replace(',', ""), wanted["input_tokens"].to_string());
        assert_eq!(row[5].replace(',', ""), wanted["output_tokens"].to_string());
        let money = ["spent_usd", "in_doubt_usd", "pending_usd"].map(|key| wanted[key].as_str().unwrap());
        assert_eq!(row[7..10], money);
    }
    let tasks = json(&store, "task");
    for row in rows(&dom, "course") {
        let wanted = tasks["rows"].as_array().unwrap().iter();
        let wanted = wanted.map(|row| (row["key"].as_str().unwrap().replace('\u{202e}', "\\u{202e}"), row));
        let (_, wanted) = wanted.into_iter().find(|(key, _)| *key == row[0]).unwrap();
        assert_eq!((row[3].as_str(), row[4].as_str()), ("6", wanted["spent_usd"].as_str().unwrap()));
    }
    let (_, waste, _) = outlay(&["--store", &store, "report", "waste", "--json"]);
    let waste: Value = serde_json::from_str(&waste).unwrap();
    assert_eq!(rows(&dom, "waste")[0][3], waste["wasted_usd"].as_str().unwrap());
}

#[test]
fn a_page_has_a_bound_and_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..150).map(|no| format!("{}{no}", "n".repeat(100))).collect();
    let store = filled(&folder, &names);
    let (code, page, _) = outlay(&["--store", &store, "report", "--html"]);
    assert_eq!(code, 0);
    assert!(page.len() < 250_000, "{} bytes", page.len());
    for word in ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!page.contains(word), "{word}");
    }
    let told = rows(&page, "time");
    assert_eq!(told.len(), 101);
    assert_eq!(told[99][0], "the rest: 51 rows");
    let nanos = |text: &str| outlay::Money::parse(text).unwrap().nanos();
    let sum: i64 = told[..100].iter().map(|row| nanos(&row[7])).sum();
    assert_eq!(sum, nanos(&told[100][7]));
    assert_eq!(told[100][7], json(&store, "task")["totals"]["spent_usd"].as_str().unwrap());
}

#[test]
fn a_page_is_for_its_owner_alone_and_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder, &["refund".to_owned()]);
    let file = folder.path().join("page.html");
    std::fs::write(&file, "before").unwrap();
    let words = ["--store", &store, "report", "--html", file.to_str().unwrap()];
    assert_eq!(outlay(&words).0, 0);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().ends_with("</html>\n"));
    let nowhere = folder.path().join("no/page.html");
    let (code, out, errors) = outlay(&["--store", &store, "report", "--html", nowhere.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains("cannot be written"), "{errors}");
    for words in [["waste", "--html"], ["--csv", "--html"], ["--json", "--html"]] {
        assert_eq!(outlay(&[&["--store", &store, "report"], &words[..]].concat()).0, 2, "{words:?}");
    }
}

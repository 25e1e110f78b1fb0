//! The pages as a site: each is in its table of contents, and a browser reads it.
//!
//! mdBook and a browser are more than every machine is to have for this. `TMUX_JANITOR_BROWSER` names the browser,
//! Chromium or a relative of it, which is spoken to through a pipe
//! (<https://chromedevtools.github.io/devtools-protocol/>).

use super::{REPOSITORY, pages};
use crate::common::wait;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

#[test]
fn the_table_of_contents_has_each_page() {
    let contents = "docs/SUMMARY.md";
    let pages = pages();
    let table = pages.iter().find(|page| page.name == contents).expect("there is a table of contents");
    let listed: Vec<_> = table.links.iter().map(|(_, link)| format!("docs/{link}")).collect();
    let there = pages.iter().map(|page| page.name.clone());
    let there: BTreeSet<_> = there.filter(|name| name.starts_with("docs/") && name != contents).collect();
    assert_eq!(listed.len(), there.len(), "one stands there twice: {listed:?}");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), there);
}

#[test]
fn a_browser_reads_the_site() {
    let Some(program) = std::env::var_os("TMUX_JANITOR_BROWSER") else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    let mut mdbook = Command::new("mdbook");
    mdbook.args(["build", REPOSITORY, "--dest-dir"]).arg(&site).env("MDBOOK_LOG", "warn");
    let built = mdbook.output().expect("mdbook is installed, as .ci/run does it");
    assert!(built.status.success() && built.stderr.is_empty(), "{built:?}");

    let mut browser = Browser::start(Path::new(&program), &folder.path().join("profile"));
    for (page, heading) in [
        ("index.html", "The documentation"),
        ("errors.html", "By error message"),
        ("json.html", "JSON and exit codes"),
    ] {
        browser.open(&format!("file://{}/{page}", site.display()));
        browser.until(&format!("document.querySelector('main h1').textContent == '{heading}'"));
        if let Some(shots) = std::env::var_os("TMUX_JANITOR_SCREENSHOTS") {
            let shot = browser.call("Page.captureScreenshot", &json!({}));
            let file = Path::new(&shots).join(format!("{page}.png.base64"));
            fs::write(file, shot["data"].as_str().unwrap()).unwrap();
        }
    }
    // On a phone a page is as wide as the screen: what is wider scrolls by itself.
    let phone = json!({ "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": true });
    browser.call("Emulation.setDeviceMetricsOverride", &phone);
    for page in pages() {
        let Some(name) = page.name.strip_prefix("docs/").and_then(|name| name.strip_suffix(".md")) else {
            continue;
        };
        let page = match name {
            "SUMMARY" => continue,
            "README" => "index.html".to_owned(),
            name => format!("{name}.html"),
        };
        browser.open(&format!("file://{}/{page}", site.display()));
        let is_there = format!("location.pathname.endsWith('/{page}') && document.readyState == 'complete'");
        browser.until(&is_there);
        let width = browser.evaluate("document.querySelector('.content').scrollWidth");
        assert!(width.as_u64().is_some_and(|width| width <= 400), "{page} is {width} wide");
    }
    browser.call("Emulation.clearDeviceMetricsOverride", &json!({}));
    browser.open(&format!("file://{}/index.html", site.display()));
    browser.until("document.querySelector('main a[href=\"lost-sessions.html\"]') != null");
    browser.evaluate("document.querySelector('main a[href=\"lost-sessions.html\"]').click()");
    browser.until("location.pathname.endsWith('/lost-sessions.html')");
    browser.until("document.querySelector('main h1').textContent == 'Two in the morning'");
    browser.open(&format!("file://{}/index.html?search=quarantine", site.display()));
    browser.until("document.querySelectorAll('[id$=searchresults] li a').length > 2");
}

/// A browser with one page. It ends with this.
struct Browser {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    asked: u64,
    page: Option<Value>,
}

impl Browser {
    fn start(program: &Path, profile: &Path) -> Self {
        // It reads orders from descriptor 3 and answers on 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"]).arg(program);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--no-first-run",
        ]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh is there");
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut browser = Self { child, orders, answers, asked: 0, page: None };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let wanted = json!({ "targetId": target["targetId"], "flatten": true });
        browser.page = Some(browser.call("Target.attachToTarget", &wanted)["sessionId"].clone());
        browser
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.ask(method, parameters).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Asks for something, and waits for the answer; what it tells meanwhile is not heard.
    fn ask(&mut self, method: &str, parameters: &Value) -> Result<Value, String> {
        self.asked += 1;
        let mut order = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(page) = &self.page {
            order["sessionId"] = page.clone();
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut answer = Vec::new();
            self.answers.read_until(0, &mut answer).expect("the browser answers");
            assert_eq!(answer.pop(), Some(0), "the browser has ended");
            let answer: Value = serde_json::from_slice(&answer).expect("it speaks JSON");
            if answer["id"] == self.asked {
                let is_done = answer["error"].is_null();
                return is_done.then(|| answer["result"].clone()).ok_or(format!("{method}: {answer}"));
            }
        }
    }

    fn open(&mut self, address: &str) {
        let gone = self.call("Page.navigate", &json!({ "url": address }));
        assert!(gone["errorText"].is_null(), "{address}: {gone}");
    }

    /// Null, too, where the page gives way to another one meanwhile.
    fn evaluate(&mut self, expression: &str) -> Value {
        let said = self.ask("Runtime.evaluate", &json!({ "expression": expression }));
        said.map_or(Value::Null, |said| said["result"]["value"].clone())
    }

    /// Waits until an expression holds; one that fails, as in a page that is still loading, does not.
    #[track_caller]
    fn until(&mut self, expression: &str) {
        wait::until(expression, || self.evaluate(expression) == true);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

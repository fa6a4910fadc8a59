//! The breaker.

use std::{collections::HashMap, sync::Arc};

use outlay::{
    policy::{self, Step},
    run::Watch,
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple},
};
use serde_json::{Map, Value, json};

use crate::error::{guard, invalid, waiting};

/// Deeper values of a step are taken by their text.
const DEPTH_MAX: u32 = 32;

/// What the breaker says about a step.
///
/// `level` is "ok", "nudge", "refuse", "pause" or "stop"; `detector` says who found something, None at
/// "ok"; `message` is for the model. `evidence` is a dict: `count`, `period`, `threshold`,
/// `first_step`, `last_step`, `message` and, where they apply, `tool`, `elapsed_ms`, `wait_ms` and
/// `capped`. Steps are numbered from 1 as they were observed.
#[pyclass(frozen, eq, module = "outlay")]
#[derive(PartialEq)]
pub(crate) struct Verdict(policy::Verdict);

#[pymethods]
impl Verdict {
    /// How far up the ladder.
    #[getter]
    fn level(&self) -> &'static str {
        self.0.level.name()
    }

    /// Who found something.
    #[getter]
    fn detector(&self) -> Option<&'static str> {
        self.0.detector.map(policy::Detector::name)
    }

    /// On what grounds.
    #[getter]
    fn evidence<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        match self.0.to_json()["evidence"].as_object() {
            Some(evidence) => dict_of(py, evidence),
            None => Ok(PyDict::new(py)),
        }
    }

    /// What to tell the model; empty at "ok".
    #[getter]
    fn message(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        let detector = self.0.detector.map_or("None".to_owned(), |one| format!("'{}'", one.name()));
        format!("Verdict(level='{}', detector={detector}, count={})", self.level(), self.0.evidence.count)
    }
}

/// Texts, flags and counts by name.
pub(crate) fn dict_of<'py>(py: Python<'py>, members: &Map<String, Value>) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    for (name, value) in members {
        match value {
            Value::String(text) => told.set_item(name, text)?,
            Value::Bool(flag) => told.set_item(name, flag)?,
            other => told.set_item(name, other.as_u64())?,
        }
    }
    Ok(told)
}

/// What a tool's `loop_key` and `progress` are, where they are functions.
#[derive(Default)]
struct Hooks {
    loop_key: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
}

/// Watches one run for loops: repeats, cycles, the same error again and again, chants, futile polls.
///
/// Args:
///     config: thresholds by detector (`{"no_progress": {"nudge": 3, "refuse": 5, "pause": 8,
///         "stop": 12}}`, None for never), `hard_cap`, `volatile` (arguments that never matter) and
///         `tools`: by name, `loop_key` (the arguments that matter, or a function of them), `progress`
///         (the fields of a JSON result that matter, or a function of the result), `ignore`,
///         `mutates`, `poll` and `allow`. Without it, the defaults.
///     state: what `state()` gave: goes on from there, under `config` if that is given too. Functions
///         are not in a state; give them again.
///
/// Raises:
///     InvalidInput: an option that does not exist or has no meaning, or bytes that are no state.
///
/// Example:
///     >>> import outlay
///     >>> breaker = outlay.Breaker()
///     >>> step = {"kind": "tool", "name": "bash", "args": {"command": "ls"}, "result": "a.txt"}
///     >>> print(*(breaker.observe(step).level for _ in range(5)))
///     ok ok nudge nudge refuse
///     >>> outlay.Breaker(state=breaker.state()).observe(step)
///     Verdict(level='refuse', detector='no_progress', count=6)
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Breaker {
    pub(crate) watch: Arc<Watch>,
    hooks: HashMap<String, Hooks>,
}

#[pymethods]
impl Breaker {
    #[new]
    #[pyo3(signature = (config=None, *, state=None))]
    fn new(
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        state: Option<&Bound<'_, PyBytes>>,
    ) -> PyResult<Self> {
        let (config, hooks) = config.map(|config| configuration(config)).transpose()?.unzip();
        let breaker = guard(py, || {
            let breaker = match state {
                Some(state) => policy::Breaker::from_state(state.as_bytes())?,
                None => policy::Breaker::default(),
            };
            config.map_or(Ok(breaker.clone()), |config| breaker.reconfigured(&config))
        })?;
        Ok(Self { watch: Arc::new(Watch::new(breaker)), hooks: hooks.unwrap_or_default() })
    }

    /// Tells the breaker what happened, and hears what it has to say.
    ///
    /// Args:
    ///     step: a dict with `kind` ("tool", "llm", "user", "thought", "compaction") and, where they
    ///         are known, `name`, `args`, `result` and `error`. Besides: `malformed`, `unknown_tool`,
    ///         `mutates`, `refused` (the call was not made, because the breaker said so), `batch` (the
    ///         same for all calls of a parallel batch, which counts once), `conversation` (the same for all
    ///         steps of one: streaks are counted in each), `parts` (a list of what was given beside the
    ///         text, as images, of which a digest is taken) and `at_ms` (when it ended).
    ///
    /// Raises:
    ///     InvalidInput: it has no kind, or a value of the wrong type.
    fn observe(&self, step: &Bound<'_, PyAny>) -> PyResult<Verdict> {
        self.ask(step, Watch::observe)
    }

    /// Would this call be refused, if it gave what it gave before? Changes nothing.
    ///
    /// Args:
    ///     step: a dict as for `observe`, without a result.
    ///
    /// Raises:
    ///     InvalidInput: as for `observe`.
    ///
    /// Example:
    ///     >>> import outlay
    ///     >>> breaker = outlay.Breaker()
    ///     >>> call = {"kind": "tool", "name": "bash", "args": {"command": "ls"}}
    ///     >>> for _ in range(4):
    ///     ...     _ = breaker.observe({**call, "result": "a.txt"})
    ///     >>> breaker.check(call).level
    ///     'refuse'
    fn check(&self, step: &Bound<'_, PyAny>) -> PyResult<Verdict> {
        self.ask(step, |watch, step| Ok(watch.check(step)))
    }

    /// Reads a piece of the model's answer as it streams in; how the text is cut does not matter.
    ///
    /// Example:
    ///     >>> import outlay
    ///     >>> outlay.Breaker().observe_stream("Let me check that again, to be sure. " * 15).detector
    ///     'chant'
    fn observe_stream(&self, py: Python<'_>, text: &str) -> PyResult<Verdict> {
        waiting(py, self.watch.is_blocking(), || self.watch.observe_stream(text)).map(Verdict)
    }

    /// Raises what stopped the run, if a request or a stream did.
    fn _go_on(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, || self.watch.go_on())
    }

    /// A person lets the run go on: what repeats now is forgiven. The hard cap keeps counting.
    fn excuse(&self) {
        self.watch.excuse();
    }

    /// Everything it knows, configuration included, as at most 8,192 bytes; digests stand for texts.
    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.watch.state())
    }
}

impl Breaker {
    fn ask(
        &self,
        told: &Bound<'_, PyAny>,
        act: impl FnOnce(&Watch, &Step<'_>) -> outlay::Result<policy::Verdict> + Send,
    ) -> PyResult<Verdict> {
        let py = told.py();
        let mut step = json_of(told, 0)?;
        if !self.hooks.is_empty() {
            self.hook(told, &mut step)?;
        }
        let judge = || act(&self.watch, &Step::from_json(&step)?);
        waiting(py, self.watch.is_blocking(), judge).map(Verdict)
    }

    /// Adds what the functions of the tool say.
    fn hook(&self, told: &Bound<'_, PyAny>, step: &mut Value) -> PyResult<()> {
        let name = step.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(hooks) = self.hooks.get(name) else { return Ok(()) };
        for (key, of, hook) in
            [("loop_key", "args", &hooks.loop_key), ("progress", "result", &hooks.progress)]
        {
            let (Some(hook), Ok(value)) = (hook, told.get_item(of)) else { continue };
            let said = hook.call1(told.py(), (value,))?;
            step[key] = json!(said.bind(told.py()).repr()?.to_string_lossy());
        }
        Ok(())
    }
}

/// The configuration without the functions in it, and those.
fn configuration(config: &Bound<'_, PyAny>) -> PyResult<(Value, HashMap<String, Hooks>)> {
    let py = config.py();
    let mut hooks: HashMap<String, Hooks> = HashMap::new();
    let mut value = json_of(config, 0)?;
    let tools = config.get_item("tools").ok().and_then(|tools| tools.cast_into::<PyDict>().ok());
    for (name, rule) in tools.iter().flat_map(PyDictMethods::iter) {
        let name = name.str()?.to_string_lossy().into_owned();
        for option in ["loop_key", "progress"] {
            let Some(hook) = rule.get_item(option).ok().filter(Bound::is_callable) else { continue };
            if let Some(rule) = value.get_mut("tools").and_then(|tools| tools.get_mut(&name)) {
                rule.as_object_mut().map(|rule| rule.remove(option));
            }
            let of_tool = hooks.entry(name.clone()).or_default();
            let place = if option == "loop_key" { &mut of_tool.loop_key } else { &mut of_tool.progress };
            *place = Some(hook.unbind());
        }
    }
    if value.is_object() { Ok((value, hooks)) } else { Err(invalid(py, "`config` is not a dict".to_owned())) }
}

/// A value of Python as JSON; what JSON does not have is taken by its text.
fn json_of(value: &Bound<'_, PyAny>, depth: u32) -> PyResult<Value> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::String(text.to_string_lossy().into_owned()));
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        if let Ok(number) = value.extract::<i64>() {
            return Ok(json!(number));
        }
    } else if value.is_instance_of::<PyFloat>() {
        return Ok(json!(value.extract::<f64>()?));
    }
    if depth < DEPTH_MAX {
        if let Ok(members) = value.cast::<PyDict>() {
            let member = |(key, member): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
                PyResult::Ok((key.str()?.to_string_lossy().into_owned(), json_of(&member, depth + 1)?))
            };
            return members.iter().map(member).collect::<PyResult<Map<_, _>>>().map(Value::Object);
        }
        if let Ok(items) = value.cast::<PyList>() {
            return items.iter().map(|item| json_of(&item, depth + 1)).collect();
        }
        if let Ok(items) = value.cast::<PyTuple>() {
            return items.iter().map(|item| json_of(&item, depth + 1)).collect();
        }
    }
    // What cannot be shown, as a list that holds itself, is taken by its type.
    let shown = value.str().or_else(|_| value.get_type().name())?;
    Ok(Value::String(shown.to_string_lossy().into_owned()))
}

"""How are the results read? As four plain tables."""

from __future__ import annotations

from typing import Any

from adapter import CALL_USD

ARMS = {
    "threads": "threads",
    "tasks": "asyncio",
    "stream-threads": "streams",
    "stream-tasks": "async streams",
}


def render(whole: dict[str, Any]) -> str:
    """Return the tables as text."""
    machine = whole["machine"]
    heading = (
        f"Peers, {machine['date']}: Python {machine['python']}, {machine['system']}, "
        f"{machine['cpus']} CPUs"
    )
    parts = [heading, _races(whole), _edges(whole), _speed(whole), _prices(whole)]
    if whole["failures"]:
        parts.append("\n".join(["Failed:", *(f"  {line}" for line in whole["failures"])]))
    return "\n\n".join(parts)


def _rows(whole: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (name, mode, found)
        for name, peer in whole["peers"].items()
        for mode, found in peer["modes"].items()
    ]


def _races(whole: dict[str, Any]) -> str:
    title = (
        "USD really spent under a cap of 1.00 by 64 workers looping 0.05 USD calls of 5 ms "
        "(calls)\n* some worker was never refused: the bench stopped it after "
        f"{whole['calls_max']} calls"
    )
    rows = [
        [name, mode, *(_race(found["races"][arm]) for arm in ARMS)]
        for name, mode, found in _rows(whole)
    ]
    return _table(title, ["peer", "mode", *ARMS.values()], rows)


def _race(race: dict[str, Any]) -> str:
    if "usd" not in race:
        return _missing(race)
    if race["errors"]:
        return f"{race['first_error'].split(':')[0]} x{race['errors']}"
    star = "*" if race["exhausted"] else ""
    return f"{float(race['usd']):.2f} ({race['calls']}){star}"


def _edges(whole: dict[str, Any]) -> str:
    title = (
        "Left stream: USD served -> recorded. Dear stream: USD served of a 0.05 stream with 0.02 "
        "left.\nUnknown model: USD recorded for a served call of 5,000 tokens.\n"
        "kill -9: USD of calls returned / served -> found by the next process."
    )
    rows = []
    for name, mode, found in _rows(whole):
        cells = [_left(found["abandon"]), _dear(found["dear"]), _unknown(found["unknown"])]
        rows.append([name, mode, *cells, _crash(found.get("crash"))])
    columns = ["peer", "mode", "left stream", "dear stream", "unknown model", "kill -9"]
    return _table(title, columns, rows)


def _left(found: dict[str, Any]) -> str:
    if "served_usd" not in found:
        return _missing(found)
    return f"{_usd(found['served_usd'])} -> {_usd(found['recorded_usd'])}"


def _dear(found: dict[str, Any]) -> str:
    return _usd(found["served_usd"]) if "served_usd" in found else _missing(found)


def _unknown(found: dict[str, Any]) -> str:
    if "calls" not in found:
        return _missing(found)
    if found["calls"] == 0:
        return f"refused: {found['ended'].split(':')[0]}"
    return f"{_usd(found['recorded_usd'])}{', warns' if found['warned'] else ''}"


def _crash(found: dict[str, Any] | None) -> str:
    if found is None:
        return "kept nowhere"
    returned = float(CALL_USD) * found["returned"]
    served = f"{float(CALL_USD) * found['served']:.2f}" if found["served"] else "?"
    head = f"{returned:.2f} / {served} -> {_found(found['at_once'])}"
    if "later" not in found:
        return head
    return f"{head}, after {found['later_s']} s {_found(found['later'])}"


def _found(reading: dict[str, Any]) -> str:
    if reading.get("recorded_usd") is None:
        return str(reading.get("error") or "not measured").split(":")[0]
    tail = "" if reading["goes_on"] else f", next call: {reading['error'].split(':')[0]}"
    return f"{float(reading['recorded_usd']):.4g}{tail}"


def _speed(whole: dict[str, Any]) -> str:
    title = "What the guard adds to one call, no network (median; ratio of CPU time to outlay's)"
    rows = []
    for name, mode, found in _rows(whole):
        speed = found["speed"]
        if "cpu_us" not in speed:
            continue
        ours = _outlay_speed(whole, found["beside"])
        ratio = f"{speed['cpu_us'] / ours:.1f}" if ours else "-"
        rows.append([name, mode, f"{speed['cpu_us']:.2f}", f"{speed['wall_us']:.2f}", ratio])
    return _table(title, ["peer", "mode", "CPU us", "wall us", "x outlay"], rows)


def _outlay_speed(whole: dict[str, Any], mode: str) -> float | None:
    modes = whole["peers"].get("outlay", {}).get("modes", {})
    value = modes.get(mode, {}).get("speed", {}).get("cpu_us")
    return None if value is None else float(value)


def _prices(whole: dict[str, Any]) -> str:
    title = "Pricing one usage, and importing the package (CPU time)"
    ours = whole["peers"].get("outlay", {}).get("import_ms")
    rows = []
    for name, peer in whole["peers"].items():
        price = peer.get("price", {}).get("cpu_us")
        shown = "-" if price is None else f"{price:.2f}"
        unknown = peer.get("price_unknown", {}).get("answer", "-")
        ratio = f"{peer['import_ms'] / ours:.1f}" if ours else "-"
        versions = ", ".join(f"{what} {version}" for what, version in peer["versions"].items())
        rows.append([name, shown, unknown, f"{peer['import_ms']:.0f}", ratio, versions])
    columns = ["peer", "price us", "unknown model", "import ms", "x outlay", "versions"]
    return _table(title, columns, rows)


def _missing(found: dict[str, Any]) -> str:
    return "not measured" if "failed" in found else "-"


def _usd(text: str) -> str:
    return f"{float(text):.4g}"


def _table(title: str, columns: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
    lines = ["  ".join(cell.ljust(widths[at]) for at, cell in enumerate(columns)).rstrip()]
    lines.append("  ".join("-" * width for width in widths))
    for row in rows:
        lines.append("  ".join(cell.ljust(widths[at]) for at, cell in enumerate(row)).rstrip())
    return "\n".join([title, "", *lines])

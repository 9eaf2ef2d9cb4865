"""docs/troubleshooting.md has a row for every message about a failure that stands in the sources, and no row without a
message; each has a cause and a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "troubleshooting.md"
LITERAL = r'"(?:[^"\\]|\\.)*"'
TEXT = re.compile(rf"{LITERAL}(?:(?:\s|[A-Z]\w+)*{LITERAL})*")  # also over constants between its parts
SPEC = re.compile(r"%[-0-9.* ]*(?:hh|h|ll|l|z|j)?[a-zA-Z]")
LEAST = 5   # letters of a message; what has fewer is a part of another one
WHOLE = 12  # letters of a pattern from which it may stand anywhere in a message; a shorter one is the whole of it

# Functions that messages go through: the place of the text among the arguments. Those with PRINTF_FMT say it
# themselves (see _formats); the others take a finished text.
TAKES_TEXT = {"refused": None, "refuse": None, "set_problem": 1, "peer_failed": 2}
# Reasons that are put together before somebody says them: why a table, a record or a link waits.
REASONS = re.compile(r"&?(?:r->)?(?:problem|text|reason|what|message|out)")
NO_REASON = re.compile(r"SELECT|less than 1 s|SET @|SET GLOBAL|LIMIT|since 1970|--peer \0 --repair|; Path=/|^table \0: \0; $|^tandem ?[a-z1]* |^[^a-z]*$")
NO_FAILURE = {"buf_fmt", "fill", "log_line", "log_info", "log_debug", "sheet_fmt", "screen_fmt", "screen_item_fmt", "cli_say"}  # lists and tables for people


def _formats() -> dict[str, int]:
    """The functions that take a format, by their declarations: the place of the format."""
    found: dict[str, int] = {"log_warning": 1, "log_error": 1, "REFUSE": 1}
    for path in (ROOT / "agent").rglob("*.[ch]"):
        for name, place in re.findall(r"(\w+)\([^;{]*\)\s*PRINTF_FMT\((\d+),", path.read_text(encoding="utf-8")):
            found.setdefault(name, int(place) - 1)
    return {name: place for name, place in found.items() if name not in NO_FAILURE}


def _calls(source: str, names: str) -> Iterator[tuple[str, list[str]]]:
    """Every call of one of these functions: its name, its arguments."""
    for begin in re.finditer(rf"\b({names})\(", source):
        depth, at, start, arguments, quoted = 1, begin.end(), begin.end(), [], False
        while depth > 0 and at < len(source):
            sign = source[at]
            if quoted:
                at += sign == "\\"
                quoted = sign != '"'
            elif sign == '"':
                quoted = True
            elif sign in "([{":
                depth += 1
            elif sign in ")]}":
                depth -= 1
            elif sign == "," and depth == 1:
                arguments.append(source[start:at])
                start = at + 1
            at += 1
        yield begin.group(1), [*arguments, source[start:at - 1]]


def _texts(argument: str) -> list[str]:
    """The texts of an argument; one that chooses has two."""
    found = []
    for text in TEXT.findall(argument):
        parts = re.findall(rf"{LITERAL}|[A-Z]\w+", text)
        whole = "".join(part[1:-1] if part.startswith('"') else "d" if part.startswith("PRI") else "\0" for part in parts)
        whole = whole.replace('\\"', '"').replace("\\\\", "\\").replace("\\n", "")
        found.append(SPEC.sub("\0", whole.replace("%%", "%")))
    return found


def _messages() -> dict[str, str]:
    """Every message, with its values as NUL: the file it stands in."""
    formats = _formats()
    names = "|".join([*formats, *TAKES_TEXT])
    found: dict[str, str] = {}
    for path in sorted((ROOT / "agent").rglob("*.c")):
        source = path.read_text(encoding="utf-8")
        where = str(path.relative_to(ROOT))
        for name, arguments in _calls(source, names):
            place = formats.get(name, TAKES_TEXT.get(name))
            if name == "findings_add" and not {"PROBLEM", "WARNING"} & set(re.findall(r"[A-Z]+", arguments[1])):
                continue
            taken = arguments if place is None else arguments[place:place + 1]
            for text in [text for argument in taken for text in _texts(argument)]:
                found.setdefault(text, where)
        for _, arguments in _calls(source, "snprintf|buf_fmt") if not where.startswith("agent/app/") else ():
            place = 2 if "sizeof" in arguments[1] or "MAX" in arguments[1] or arguments[1].strip() == "size" else 1
            for text in _texts(arguments[place]) if place < len(arguments) and REASONS.fullmatch(arguments[0].strip()) else ():
                if text.count(" ") >= 2 and not NO_REASON.search(text):
                    found.setdefault(text, where)
        # What the door says, and what goes to people past the errors.
        for text in re.findall(rf"problem = strdup\(({LITERAL})", source):
            found.setdefault(text.strip('"'), where)
        for text in re.findall(rf"struct refusal \w+ = \{{[^}}]*?,\s*{LITERAL},\s*({LITERAL})", source):
            found.setdefault(text.strip('"'), where)
        for text in re.findall(rf"(?:fprintf|fputs)\((?:stderr, )?((?:{LITERAL}\s*)+)", source):
            for said in _texts(text):
                if said.startswith("agent: ") and said.strip("agent: \0\n"):
                    found.setdefault(said, where)
    # A text of one word is a code or a part of another message.
    return {text: where for text, where in found.items() if len(re.sub(r"[^a-z]", "", text.lower())) >= LEAST and " " in text.strip("\0 ")}


def _rows() -> list[tuple[str, list[str], str, str]]:
    """The rows of all tables: section, patterns, cause, remedy."""
    rows, section = [], ""
    for line in DOC.read_text(encoding="utf-8").splitlines():
        if line.startswith("# What happened"):
            break
        if line.startswith("## "):
            section = line[3:]
        if not line.startswith("| `"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert len(cells) == 3, f"a row is message, cause, remedy: {line}"
        patterns = re.findall(r"``(.+?)``|`([^`]+)`", cells[0])
        rows.append((section, [(a or b).strip() for a, b in patterns], cells[1], cells[2]))
    return rows


def _pattern(text: str) -> re.Pattern[str]:
    """... stands for anything."""
    parts = ".*".join(re.escape(part) for part in text.split("..."))
    return re.compile(parts if len(re.sub("[^a-zA-Z]", "", text)) >= WHOLE else rf"\A{parts}\Z", re.DOTALL)


def test_every_message_about_a_failure_has_its_row_and_every_row_its_message() -> None:
    messages, rows = _messages(), _rows()
    assert len(messages) > 300 and len(rows) > 100
    patterns = [(text, _pattern(text)) for _, texts, _, _ in rows for text in texts]
    without = [f"{where}: {message}".replace("\0", "%") for message, where in messages.items() if not any(pattern.search(message) for _, pattern in patterns)]
    assert not without, f"{len(without)} without a row in docs/troubleshooting.md:\n" + "\n".join(without)
    gone = [text for text, pattern in patterns if not any(pattern.search(message) for message in messages)]
    assert not gone, "nothing says this any more:\n" + "\n".join(gone)


def test_every_row_has_a_cause_and_a_remedy_and_the_tables_are_sorted() -> None:
    rows = _rows()
    for section, patterns, cause, remedy in rows:
        assert patterns and len(cause) > 3 and len(remedy) > 3, f"{section}: {patterns}"
    for section in {row[0] for row in rows}:
        keys = [re.sub(r"[^a-z]", "", row[1][0].lower()) for row in rows if row[0] == section]
        assert keys == sorted(keys), f"{section} is not sorted: {[a for a, b in zip(keys, sorted(keys)) if a != b][:1]}"

"""Measured figures: medians, targets, and the tables that show them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def median(values: Sequence[float]) -> float:
    """The middle one; of an even number the mean of the two in the middle."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of the values do not exceed."""
    ordered = sorted(values)
    rank = max(0, -(-len(ordered) * percent // 100) - 1)  # ceiling, counted from 0
    return ordered[int(rank)]


@dataclass
class Figure:
    """One line of the result. at_least, at_most: its target, if it has one."""
    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    samples: list[float] = field(default_factory=list)

    def target(self) -> str:
        """The target in words."""
        if self.at_least is not None:
            return f">= {number(self.at_least)} {self.unit}".rstrip()
        if self.at_most is not None:
            return f"<= {number(self.at_most)} {self.unit}".rstrip()
        return ""

    def met(self) -> bool | None:
        """Is the target met? None: there is none."""
        if self.at_least is not None:
            return self.value >= self.at_least
        if self.at_most is not None:
            return self.value <= self.at_most
        return None

    def verdict(self) -> str:
        """The last column of the table."""
        met = self.met()
        return "" if met is None else "met" if met else "MISSED"

    def spread(self) -> str:
        """Smallest and greatest sample."""
        if len(self.samples) < 2:
            return ""
        return f"{number(min(self.samples))} .. {number(max(self.samples))}"


@dataclass
class Table:
    """Rows of text under a title, for what is no single figure."""
    title: str
    head: list[str]
    rows: list[list[str]] = field(default_factory=list)


@dataclass
class Part:
    """What one part of the benchmark found."""
    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, samples: Sequence[float], unit: str = "", **target: float) -> Figure:
        """The median of the samples as a figure."""
        figure = Figure(what, median(samples), unit, samples=list(samples), **target)
        self.figures.append(figure)
        return figure

    def put(self, what: str, value: float, unit: str = "", **target: float) -> Figure:
        """A figure that is no median."""
        figure = Figure(what, value, unit, **target)
        self.figures.append(figure)
        return figure

    def as_json(self) -> dict[str, Any]:
        """For the result file."""
        return {"name": self.name, "title": self.title, "notes": self.notes,
                "figures": [{**vars(f), "met": f.met()} for f in self.figures],
                "tables": [vars(t) for t in self.tables]}


def number(value: float) -> str:
    """Three significant digits, thousands with commas, no exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well as text and as Markdown: first column left, the others right."""
    every = [list(head), *map(list, rows)]
    widths = [max(len(row[i]) for row in every) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(width) if i else cell.ljust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-")
                          for i, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def show(part: Part) -> str:
    """The part as Markdown."""
    text = [f"### {part.title}", ""]
    if part.figures:
        rows = [[f.what, f"{number(f.value)} {f.unit}".rstrip(), f.spread(), f.target(),
                 f.verdict()] for f in part.figures]
        text += [grid(["", "measured", "smallest .. greatest", "target", "verdict"], rows), ""]
    for table in part.tables:
        text += [f"{table.title}:", "", grid(table.head, table.rows), ""]
    return "\n".join(text + [f"{note}\n" for note in part.notes])

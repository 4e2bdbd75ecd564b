"""The workflows that come with the server, and the example to write your own by.

A workflow is a graph of plain functions. Each node gets the state and returns what it changes;
edges say what runs next. Put a `workflows.py` like this one in an app of yours, name the app in
FASTGRAPH_APPS, and it is there. The analysis itself is in `examples/`.
"""

from __future__ import annotations

import asyncio
import json
import operator
import time
from typing import Annotated, TypedDict

from artifacts.store import read as read_artifact
from fastgraph_site.examples import chart, profile, report, table, terms, text
from runs.engine import END, START, Command, Context, Send, StateGraph, SyncContext
from runs.workflows import register

# --- text_report: three analyses at once, then one report -----------------------------------


class TextResult(TypedDict, total=False):
    """What is left at the end, and saved as `result.json`."""

    counts: text.Counts
    scores: text.Readability
    terms: list[terms.Term]
    summary: str


class TextState(TextResult, total=False):
    input: str
    paragraphs: list[list[str]]


def parse(state: TextState) -> TextState:
    """Take the text apart into paragraphs of sentences."""
    return {"paragraphs": text.paragraphs(text.clean(state["input"]))}


def count_words(state: TextState) -> TextState:
    """Count words, sentences and the time it takes to read them."""
    return {"counts": text.count(state["paragraphs"])}


def readability(state: TextState) -> TextState:
    """Score how hard the text is to read."""
    return {"scores": text.readability(state["paragraphs"])}


def key_terms(state: TextState) -> TextState:
    """Find the words and phrases that the text is about."""
    return {"terms": terms.key_terms(state["paragraphs"])}


def write_report(state: TextState, ctx: SyncContext) -> TextState:
    """Write it all up as Markdown."""
    markdown = report.markdown(state["counts"], state["scores"], state["terms"])
    ctx.save_artifact("report.md", markdown)
    return {"summary": report.summary(state["counts"], state["scores"])}


text_report = StateGraph(TextState, output_schema=TextResult)
text_report.add_node("parse", parse)
text_report.add_node("count_words", count_words)
text_report.add_node("readability", readability)
text_report.add_node("key_terms", key_terms)
text_report.add_node("report", write_report)
text_report.add_edge(START, "parse")
for analysis in ("count_words", "readability", "key_terms"):  # these three run at the same time
    text_report.add_edge("parse", analysis)
text_report.add_edge(["count_words", "readability", "key_terms"], "report")  # waits for all three
text_report.add_edge("report", END)

register(
    "text_report",
    text_report.compile(name="text_report"),
    description="Words and sentences, readability and key terms of an English text, as a report.",
    input_schema={
        "type": "object",
        "properties": {
            "input": {
                "type": "string",
                "title": "Text",
                "description": "English prose: a paragraph, an article, a chapter of a book.",
                "format": "textarea",
                "minLength": 1,
                "maxLength": 2_000_000,
                "examples": [
                    "Alice was beginning to get very tired of sitting by her sister on the bank, "
                    "and of having nothing to do. Once or twice she had peeped into the book her "
                    "sister was reading, but it had no pictures or conversations in it."
                ],
            }
        },
        "required": ["input"],
        "additionalProperties": False,
    },
)


# --- csv_profile: one task per column -------------------------------------------------------


class CsvResult(TypedDict, total=False):
    rows: int
    delimiter: str
    notes: list[str]
    columns: Annotated[list[profile.Profile], operator.add]  # every column's task adds its own


class CsvState(CsvResult, total=False):
    input: str
    artifact: str


class ColumnTask(TypedDict):
    """What one task of the fan-out is given instead of the state."""

    name: str
    values: list[str]
    decimal: str


def read_table(state: CsvState) -> Command[str]:
    """Read the CSV and send each column off to a task of its own."""
    stored = state.get("artifact")
    csv = table.decode(read_artifact(stored)) if stored else state["input"]
    found = table.read(csv)
    return Command(
        update={"rows": found.rows, "delimiter": found.delimiter, "notes": found.notes},
        goto=[
            Send(
                "profile_column",
                ColumnTask(name=column.name, values=column.values, decimal=found.decimal),
            )
            for column in found.columns
        ],
    )


def profile_column(task: ColumnTask) -> CsvState:
    """Tell the type of one column and describe its values."""
    return {"columns": [profile.profile(task["name"], task["values"], decimal=task["decimal"])]}


def draw(state: CsvState, ctx: SyncContext) -> None:
    """Save the profiles as JSON and as a picture."""
    result = {key: state[key] for key in ("rows", "delimiter", "notes", "columns")}
    ctx.save_artifact("profile.json", json.dumps(result, indent=2, ensure_ascii=False))
    ctx.save_artifact("chart.svg", chart.svg(state["columns"], rows=state["rows"]))


csv_profile = StateGraph(CsvState, output_schema=CsvResult)
csv_profile.add_node("read", read_table, destinations=["profile_column"])
csv_profile.add_node("profile_column", profile_column)
csv_profile.add_node("draw", draw)
csv_profile.add_edge(START, "read")
csv_profile.add_edge("profile_column", "draw")
csv_profile.add_edge("draw", END)

register(
    "csv_profile",
    csv_profile.compile(name="csv_profile"),
    description="Types, missing values, quantiles and top values of every column of a CSV file.",
    input_schema={
        "type": "object",
        "properties": {
            "input": {
                "type": "string",
                "title": "CSV",
                "description": "A header row and data; comma, semicolon, tab or | between fields.",
                "format": "textarea",
                "minLength": 1,
                "maxLength": 8_000_000,
                "examples": [
                    "city,population,founded\nOslo,717710,1040-01-01\nBergen,291940,1070-01-01\n"
                    "Tromsø,78745,1794-06-20\n"
                ],
            },
            "artifact": {
                "type": "string",
                "title": "Artifact",
                "description": "Instead of the text: the id of an artifact that holds the CSV.",
                "format": "uuid",
                "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
            },
        },
        "oneOf": [{"required": ["input"]}, {"required": ["artifact"]}],
        "additionalProperties": False,
    },
)


# --- steps: a chain of known length, for trying out and measuring ---------------------------


SECONDS = 1.0


class StepsState(TypedDict, total=False):
    steps: int
    seconds: float
    fail_at: int
    done: Annotated[list[int], operator.add]


async def step(state: StepsState) -> StepsState:
    """Wait, then note the number of this step. A thread that has some goes on after them."""
    last = state["done"][-1] if state.get("done") else 0
    number = last + 1 if last < state["steps"] else 1
    await asyncio.sleep(state.get("seconds", SECONDS))
    if number == state.get("fail_at"):
        raise RuntimeError(f"Step {number} fails because the payload says so (fail_at).")
    return {"done": [number]}


def more_steps(state: StepsState) -> str:
    """Back to the same node until the last step is done."""
    return "step" if state["done"][-1] < state["steps"] else END


steps = StateGraph(StepsState)
steps.add_node("step", step)
steps.add_edge(START, "step")
steps.add_conditional_edges("step", more_steps, ["step", END])

register(
    "steps",
    steps.compile(name="steps"),
    description="A number of steps that each wait: to watch a run, to measure, to make one fail.",
    input_schema={
        "type": "object",
        "properties": {
            "steps": {
                "type": "integer",
                "title": "Steps",
                "description": "How many, one after another.",
                "minimum": 1,
                "maximum": 10_000,
                "default": 5,
            },
            "seconds": {
                "type": "number",
                "title": "Seconds",
                "description": "How long each of them waits.",
                "minimum": 0,
                "maximum": 3600,
                "default": SECONDS,
            },
            "fail_at": {
                "type": "integer",
                "title": "Fail at step",
                "description": "The step that raises an error; leave it out and none does.",
                "minimum": 1,
            },
        },
        "required": ["steps"],
        "additionalProperties": False,
    },
)


# --- ledger: a book that shows whether anything was booked twice, or not at all -------------


class Entry(TypedDict):
    transfer: int
    account: str
    amount: int


class LedgerState(TypedDict, total=False):
    transfers: int
    seconds: float
    entries: Annotated[list[Entry], operator.add]
    balance: int


def _next_transfer(state: LedgerState) -> int:
    return len(state.get("entries", [])) // 2 + 1  # two entries make one


def price(transfer: int) -> int:
    """What a transfer moves: another amount each time, so that none can stand in for another."""
    return 100 + transfer


async def debit(state: LedgerState, ctx: Context) -> LedgerState:
    """Take the amount from the payer. Asking the price is a durable step of its own."""
    transfer = _next_transfer(state)
    amount = await ctx.step("price", price, transfer)
    await asyncio.sleep(state.get("seconds", 0.0))
    return {"entries": [Entry(transfer=transfer, account="payer", amount=-amount)]}


def credit(state: LedgerState) -> LedgerState:
    """Give it to the payee; in a thread, at the same time as the debit."""
    transfer = _next_transfer(state)
    return {"entries": [Entry(transfer=transfer, account="payee", amount=price(transfer))]}


def balance(state: LedgerState) -> LedgerState:
    """Add it all up: zero, or something was booked twice or got lost."""
    return {"balance": sum(entry["amount"] for entry in state["entries"])}


def more_transfers(state: LedgerState) -> list[str]:
    """Both sides of the next transfer, until the last one is booked."""
    return ["debit", "credit"] if _next_transfer(state) <= state["transfers"] else [END]


ledger = StateGraph(LedgerState)
ledger.add_node("debit", debit)
ledger.add_node("credit", credit)
ledger.add_node("balance", balance)
ledger.add_edge(START, "debit")
ledger.add_edge(START, "credit")
ledger.add_edge(["debit", "credit"], "balance")
ledger.add_conditional_edges("balance", more_transfers, ["debit", "credit", END])

register(
    "ledger",
    ledger.compile(name="ledger"),
    description="Transfers between two accounts: any that were booked twice, or lost, would show.",
    input_schema={
        "type": "object",
        "properties": {
            "transfers": {
                "type": "integer",
                "title": "Transfers",
                "description": "How many, one after another; each is two entries.",
                "minimum": 1,
                "maximum": 5_000,
                "default": 5,
            },
            "seconds": {
                "type": "number",
                "title": "Seconds",
                "description": "How long each debit waits.",
                "minimum": 0,
                "maximum": 3600,
                "default": 0,
            },
        },
        "required": ["transfers"],
        "additionalProperties": False,
    },
)


# --- tokens: many small events from one node ------------------------------------------------


INTERVAL = 0.05


class TokensState(TypedDict, total=False):
    count: int
    interval: float
    sent: int


async def emit(state: TokensState, ctx: Context) -> TokensState:
    """Put one event after the other on the run's stream, as a language model does with tokens."""
    for number in range(state["count"]):
        if number:
            await asyncio.sleep(state.get("interval", INTERVAL))
        ctx.emit({"i": number, "t_ns": time.time_ns()})
    return {"sent": state["count"]}


tokens = StateGraph(TokensState)
tokens.add_node("emit", emit)
tokens.add_edge(START, "emit")
tokens.add_edge("emit", END)

register(
    "tokens",
    tokens.compile(name="tokens"),
    description="Many small events from one node, each with the time it was sent.",
    input_schema={
        "type": "object",
        "properties": {
            "count": {
                "type": "integer",
                "title": "Events",
                "description": "How many are sent.",
                "minimum": 0,
                "maximum": 100_000,
                "default": 100,
            },
            "interval": {
                "type": "number",
                "title": "Interval",
                "description": "Seconds between two of them.",
                "minimum": 0,
                "maximum": 60,
                "default": INTERVAL,
            },
        },
        "required": ["count"],
        "additionalProperties": False,
    },
)

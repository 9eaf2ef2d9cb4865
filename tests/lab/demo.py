"""What scripts/demo shows: two laptops with real data, apart and together again.

One database, campus_store, carries the tables of the ride-sharing app and of the Chinook music
shop side by side. Each step prints the commands it runs and what came of them; each claim is
checked by asking the databases, never by the agent's word, and the exit code says whether all held.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import pymysql

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import compare, places
from lab.node import Node
from lab.pair import Pair
from lab.waiting import until

DATABASE = "campus_store"
SYNC = f"{DATABASE}_sync"
IDLE_SECONDS = 3.0
LIVE_ROUNDS = 5
LIVE_LOOK = 0.0005  # seconds between two looks while a journey is timed
STEP_TIMEOUT = 60
OUTPUT_LINES = 14  # of a command; the rest is cut

Edit = tuple[str, str]  # what a person would say, SQL

ANNA_OFFLINE: list[Edit] = [
    ("three new riders", """INSERT INTO riders (full_name, email, created_at) VALUES
       ('Zoë Ångström', 'zoe@campus.example', NOW()), ('李小龙', 'li@campus.example', NOW()),
       ('Pat O\\'Neill', 'pat@campus.example', NOW())"""),
    ("every ride to the airport costs a tenth more",
     "UPDATE bookings SET fare = ROUND(fare * 1.1, 2) WHERE dropoff = 'Airport T2'"),
    ("a rider leaves; the notifications go with them",
     "DELETE FROM notifications WHERE rider_id = 17"),
    ("old password resets are thrown away", "DELETE FROM password_resets WHERE used = 1"),
    ("a sale, one transaction over three tables", """BEGIN;
       INSERT INTO Invoice (CustomerId, InvoiceDate, BillingCountry, Total)
         VALUES (5, NOW(), 'Czech Republic', 1.98);
       SET @invoice = LAST_INSERT_ID();
       INSERT INTO InvoiceLine (InvoiceId, TrackId, UnitPrice, Quantity)
         VALUES (@invoice, 1, 0.99, 1), (@invoice, 2, 0.99, 1);
       UPDATE Customer SET Company = 'JetBrains s. r. o.' WHERE CustomerId = 5;
       COMMIT"""),
    ("both change rider 42: Anna first",
     "UPDATE riders SET phone = '+49 30 111111' WHERE id = 42"),
]
BERT_OFFLINE: list[Edit] = [
    ("a new artist with an album and two tracks, one transaction", """BEGIN;
       INSERT INTO Artist (Name) VALUES ('Sigur Rós'); SET @artist = LAST_INSERT_ID();
       INSERT INTO Album (Title, ArtistId) VALUES ('Ágætis byrjun', @artist);
       SET @album = LAST_INSERT_ID();
       INSERT INTO Track (Name, AlbumId, MediaTypeId, GenreId, Milliseconds, UnitPrice)
         VALUES ('Svefn-g-englar', @album, 1, 1, 604000, 0.99),
                ('Starálfur', @album, 1, 1, 406000, 0.99);
       COMMIT"""),
    ("half of the drivers go home",
     "UPDATE drivers SET status = 'offline', shift_start = NULL WHERE id % 2 = 0"),
    ("a playlist is emptied", "DELETE FROM PlaylistTrack WHERE PlaylistId = 16"),
    ("new bookings", """INSERT INTO bookings (rider_id, driver_id, pickup, dropoff, pickup_at, fare,
       note) SELECT id, 3, 'Library', 'Café Zürich', '2025-03-01 08:15:00', 6.50, 'Bitte läuten 🔔'
         FROM riders WHERE id BETWEEN 30 AND 39"""),
    ("a booking is cancelled and the wallet paid back, one transaction", """BEGIN;
       UPDATE bookings SET status = 'cancelled' WHERE id = 12;
       UPDATE riders SET wallet_balance = wallet_balance + 12.34
         WHERE id = (SELECT rider_id FROM bookings WHERE id = 12);
       COMMIT"""),
    ("both change rider 42: Bert a moment later, so his stays",
     "UPDATE riders SET phone = '+49 30 222222' WHERE id = 42"),
]


class Failed(Exception):
    """A claim of the demo did not hold."""


class Demo:
    """The transcript: numbered headings, commands, outputs, claims."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.step = 0
        self.failures: list[str] = []

    # printing ----------------------------------------------------------------------------------

    def heading(self, text: str) -> None:
        """The next step."""
        self.step += 1
        print(f"\n{self.step}. {text}\n", flush=True)

    def claim(self, text: str, holds: bool) -> None:
        """Something that must be so."""
        print(f"   {'ok  ' if holds else 'FAIL'}  {text}", flush=True)
        if not holds:
            self.failures.append(text)

    def run(self, node: Node, *args: str, expect: tuple[int, ...] = (0,)) -> None:
        """A verb of the agent, with its output and exit code."""
        print(f"   {node.name}$ agent {shlex.join(args)}")
        ran = node.agent(*args, timeout=STEP_TIMEOUT)
        self.show(ran.stdout + ran.stderr)
        print(f"     exit code {ran.returncode}", flush=True)
        if ran.returncode not in expect:
            raise Failed(f"agent {' '.join(args)} on {node.name} ended with {ran.returncode}"
                         f" instead of {' or '.join(map(str, expect))}")

    def show(self, text: str) -> None:
        """Output of a command, indented, cut when it is long."""
        lines = text.rstrip().splitlines()
        for line in lines[:OUTPUT_LINES]:
            print(f"     {line}")
        if len(lines) > OUTPUT_LINES:
            print(f"     ... {len(lines) - OUTPUT_LINES} more lines")

    def edit(self, node: Node, edits: list[Edit]) -> None:
        """What the apps write on one laptop."""
        for why, text in edits:
            node.server.script(text, DATABASE)
            print(f"   {node.name}> {' '.join(text.split())[:84]}   -- {why}", flush=True)

    def queue(self, node: Node) -> dict[str, int]:
        """Print and return the queue of a node by status."""
        print(f"   {node.name}> SELECT status, COUNT(*) FROM {SYNC}.sync_queue GROUP BY status")
        found = node.queue()
        for status, count in found.items():
            print(f"     {status:<12}{count:>8}")
        if not found:
            print("     (empty)")
        return found

    # the steps ---------------------------------------------------------------------------------

    def servers(self) -> None:
        self.heading("Two laptops, each with a MariaDB server and real data of its own")
        for node in self.pair.nodes:
            version = node.sql("SELECT VERSION()")[0][0]
            print(f"   {node.name}: MariaDB {version}, {node.server.socket}")
        marks = compare.fingerprint(self.pair.anna.side())
        rows = sum(count for count, _ in marks.values())
        print(f"   database {DATABASE}: {len(marks)} tables, {rows} rows (campus and Chinook)")
        self.claim("both begin with the same rows", not self.pair.differences())

    def configuration(self) -> None:
        self.heading("agent.conf of anna (bert's is its mirror image)")
        for line in self.pair.anna.conf_path.read_text().splitlines():
            secret = line.split(" = ")[0] in ("key", "monitor_key", "password")
            self.show(line.split(" = ")[0] + " = (secret)" if secret else line or " ")

    def install(self) -> None:
        self.heading("The doctor looks, then triggers and queue are installed")
        self.run(self.pair.anna, "--check", expect=(0, 1, 4, 5))  # the peer is still away
        for node in self.pair.nodes:
            self.run(node, "--install")

    def offline(self) -> None:
        self.heading("Both are OFFLINE: no agent runs, no line between them; the apps write on")
        for link in self.pair.wire.values():
            link.set_mode("refuse")
        self.edit(self.pair.anna, ANNA_OFFLINE)
        self.edit(self.pair.bert, BERT_OFFLINE)
        self.heading("The queues fill; a drain says that the peer is away, and loses nothing")
        for node in self.pair.nodes:
            before = self.queue(node).get("pending", 0)
            self.run(node, "--drain", expect=(4,))
            after = node.queue()
            self.claim(f"{before} changes wait on {node.name}, none was lost by the failed drain",
                       before > 0 and after == {"pending": before})
        self.claim("the databases differ now", bool(self.pair.differences()))

    def reconnect(self) -> None:
        self.heading("The reconnect: agent --serve on both")
        began = time.monotonic()
        for link in self.pair.wire.values():
            link.set_mode("pass")
        for node in self.pair.nodes:
            print(f"   {node.name}$ agent --serve &")
        self.pair.start_serve()
        self.pair.wait_quiet(STEP_TIMEOUT)
        print(f"   nothing is pending any more after {time.monotonic() - began:.1f} s")

    def equal(self) -> None:
        self.heading("Are they equal? By our own look at every value, and the server's checksum")
        found = self.pair.differences()
        ours, theirs = (compare.fingerprint(node.side()) for node in self.pair.nodes)
        print(f"   {'table':<18}{'anna rows':>10}{'bert rows':>10}{'checksum':>14}{'checksum':>14}")
        for table in sorted(ours.keys() | theirs.keys()):
            (left, mark), (right, other) = ours.get(table, (0, 0)), theirs.get(table, (0, 0))
            print(f"   {table:<18}{left:>10}{right:>10}{mark:>14}{other:>14}")
        self.show("\n".join(found))
        self.claim("all tables are equal, byte for byte", not found and ours == theirs)
        phones = [node.sql("SELECT phone FROM riders WHERE id = 42")[0][0]
                  for node in self.pair.nodes]
        self.claim("rider 42, changed on both: the later change stands on both",
                   phones == ["+49 30 222222"] * 2)
        self.conflicts()

    def conflicts(self) -> None:
        for node in self.pair.nodes:
            if node.sql("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
                        " AND TABLE_NAME = 'sync_conflict'", [SYNC]):
                kept = node.sql(f"SELECT COUNT(*) FROM `{SYNC}`.sync_conflict")[0][0]
                print(f"   {node.name}: {kept} losing version(s) kept in sync_conflict")

    def live(self) -> None:
        self.heading("Live: from the commit here to the row there")
        anna, bert = self.pair.nodes
        for sender, receiver in ((anna, bert), (bert, anna)):
            took = sorted(self._travel(sender, receiver, i) for i in range(LIVE_ROUNDS))
            times = ", ".join(f"{ms:.0f}" for ms in took)
            self.claim(f"{sender.name} to {receiver.name}: {took[len(took) // 2]:.0f} ms"
                       f" (median of {times})", True)
        self.pair.wait_quiet(STEP_TIMEOUT)
        for node in self.pair.nodes:
            left = set(self.queue(node)) - {"synced", "superseded"}
            self.claim(f"nothing is pending on {node.name}", not left)
        self.claim("both are equal", not self.pair.differences())

    @staticmethod
    def _travel(sender: Node, receiver: Node, i: int) -> float:
        """Milliseconds from a commit on one side until the other side's app can read it."""
        rider, text = 50 + i, f"seen by {sender.name} at {time.time_ns()}"
        writer, reader = sender.connect(), receiver.connect()
        try:
            writer.cursor().execute("UPDATE riders SET bio = %s WHERE id = %s", [text, rider])
            began = time.monotonic()

            def arrived() -> bool:
                with reader.cursor() as cursor:
                    return cursor.execute("SELECT 1 FROM riders WHERE id = %s AND bio = %s",
                                          [rider, text]) == 1

            until(arrived, STEP_TIMEOUT, f"a change of {sender.name} arrives at {receiver.name}",
                  longest=LIVE_LOOK)
            return (time.monotonic() - began) * 1000
        finally:
            writer.close()
            reader.close()

    def idle(self) -> None:
        self.heading("Idle: with nothing to say, nothing is said")
        last, since = self._traffic(), time.monotonic()

        def calm() -> bool:
            nonlocal last, since
            if self._traffic() != last:
                last, since = self._traffic(), time.monotonic()
            return time.monotonic() - since > 0.5

        until(calm, STEP_TIMEOUT, "the last answers are through")
        before = self._traffic()
        time.sleep(IDLE_SECONDS)  # the measurement itself, not a wait for something
        sent = self._traffic() - before
        self.claim(f"{sent} bytes went over the links in {IDLE_SECONDS:g} idle seconds", sent == 0)

    def _traffic(self) -> int:
        return sum(proxy.bytes_passed for proxy in self.pair.wire.values())

    def reach(self) -> None:
        self.heading("Look yourself")
        for node in self.pair.nodes:
            print(f"   {node.name}: {shlex.join(node.server.client(DATABASE))}\n"
                  f"         monitor http://127.0.0.1:{node.monitor_port}/"
                  f"   key {node.monitor_key}\n"
                  f"         {shlex.join(node.command('--status'))}")
        print("\n   A change in one client shows in the other at once."
              " Ctrl-C ends everything and removes it.", flush=True)

    def play(self) -> None:
        """All steps; a step that cannot go on ends the transcript."""
        try:
            for step in (self.servers, self.configuration, self.install, self.offline,
                         self.reconnect, self.equal, self.live, self.idle):
                step()
        except (Failed, AssertionError, RuntimeError, pymysql.MySQLError) as stopped:
            self.failures.append(str(stopped).splitlines()[0])
            print(f"   FAIL  {stopped}", flush=True)
            print("\n".join(node.logs() for node in self.pair.nodes), flush=True)


def _wait_for_interrupt() -> None:
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        print("\nending ...", flush=True)


def _interrupt(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # once: the ending shall not be interrupted
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _show(once: bool) -> list[str]:
    with Pair(schemas=("campus", "chinook"), database=DATABASE, proxied=True, tls=True) as pair:
        demo = Demo(pair)
        demo.play()
        if not once and not demo.failures:
            demo.reach()
            _wait_for_interrupt()
        if not demo.failures:
            pair.stop_serve()
        return demo.failures


def main() -> int:
    """0: everything held. 1: something did not. 130: interrupted on the way."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Two laptops with real data,"
                                     " apart and together again, on this machine alone.")
    parser.add_argument("--once", action="store_true",
                        help="end after the last step instead of waiting for Ctrl-C")
    options = parser.parse_args()
    if not os.access(places.agent_binary(), os.X_OK):
        print(f"demo: {places.agent_binary()} is not built; run scripts/demo", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        failures = _show(options.once)
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything is ended and removed", file=sys.stderr)
        return 130
    print("\ndemo: " + (f"{len(failures)} claim(s) did not hold: " + "; ".join(failures)
                        if failures else "everything held"))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""A shop of a million rows in three tables with a foreign key, about 200 bytes a row: what a new node is filled
with, and what is compared."""

from __future__ import annotations

from lab import Server

from bench import work

DATABASE = work.DATABASE
NAMES = ("customer", "article", "sale")

_TABLES = (
    "CREATE TABLE customer (id INT PRIMARY KEY, name VARCHAR(60) NOT NULL, city VARCHAR(40), born DATE, note VARCHAR(200), KEY (city))",
    "CREATE TABLE article (id VARCHAR(20) PRIMARY KEY, name VARCHAR(60), price DECIMAL(9,2), stock INT, text VARCHAR(200))",
    "CREATE TABLE sale (id BIGINT PRIMARY KEY, customer INT NOT NULL, at DATETIME, sum DECIMAL(12,2), text VARCHAR(200), KEY (customer),"
    " FOREIGN KEY (customer) REFERENCES customer (id))",
)


def make_tables(server: Server) -> None:
    """The tables, empty."""
    for table in _TABLES:
        server.sql(table, db=DATABASE)


def fill(server: Server, rows: int) -> None:
    """So many rows in all, the same on every server."""
    third = rows // 3
    server.script(
        "SET sql_log_bin=0;"
        f"INSERT INTO customer SELECT seq, CONCAT('name ', MD5(seq)), CONCAT('city ', seq MOD 997), '1970-01-01' + INTERVAL seq MOD 9000 DAY,"
        f" REPEAT(MD5(seq), 4) FROM seq_1_to_{third};"
        f"INSERT INTO article SELECT CONCAT('A', LPAD(seq, 9, '0')), MD5(seq), seq / 7, seq MOD 100, REPEAT(MD5(-seq), 4) FROM seq_1_to_{third};"
        f"INSERT INTO sale SELECT seq, 1 + seq MOD {third}, '2026-01-01' + INTERVAL seq SECOND, seq / 3, REPEAT(MD5(seq), 5)"
        f" FROM seq_1_to_{rows - 2 * third};"
        "ANALYZE TABLE customer, article, sale;", DATABASE)


def mebibytes(server: Server) -> float:
    """What the tables take in the server, indexes included."""
    return float(server.sql("SELECT SUM(DATA_LENGTH + INDEX_LENGTH) / 1048576 FROM information_schema.TABLES"
                            f" WHERE TABLE_SCHEMA = '{DATABASE}' AND TABLE_NAME IN {NAMES}")[0][0])


def _spots(rows: int) -> list[tuple[str, str, str]]:
    """A hundred rows all over the tables: table, column, keys as a list of SQL."""
    step = rows // 3 // 34
    some = (("customer", "note", "{}", 34), ("article", "text", "'A{:09d}'", 33), ("sale", "text", "{}", 33))
    return [(table, column, ",".join(key.format(1 + i * step) for i in range(count))) for table, column, key, count in some]


def spoil(server: Server, rows: int, bare: str) -> None:
    """A hundred rows get another text; bare: the statement that keeps triggers and logs from it."""
    connection = server.connect(DATABASE)
    with connection.cursor() as cursor:
        cursor.execute(bare)
        changed = sum(cursor.execute(f"UPDATE {table} SET {column}='spoilt' WHERE id IN ({keys})") for table, column, keys in _spots(rows))
    connection.close()
    assert changed == 100, changed


def spoilt(server: Server, rows: int) -> int:
    """How many of those rows are still as spoil() left them."""
    return sum(int(server.sql(f"SELECT COUNT(*) FROM {table} WHERE id IN ({keys}) AND {column}='spoilt'", db=DATABASE)[0][0])
               for table, column, keys in _spots(rows))


def assert_equal(a: Server, b: Server) -> None:
    """Both hold the same rows."""
    for name in NAMES:
        work.assert_equal(a, b, name)

/* Collapsing changes: which version a record has in a group, what is sent, how it grows. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change/collapse.h"
#include "seed.h"

#define T1 "2026-11-21 02:03:04.000001"
#define T2 "2026-11-21 02:03:04.000002"
#define T3 "2026-11-21 02:03:04.000003"

static uint64_t next_id;

static int
begin(void **state)
{
	static struct collapse c;

	next_id = 1;
	collapse_init(&c, "mia", "ben");
	*state = &c;
	return 0;
}

static int
end(void **state)
{
	collapse_free(*state);
	return 0;
}

static struct change
change(enum operation operation, const char *key, const char *changed_at)
{
	return (struct change){ .id = next_id++, .operation = operation, .table = "t", .key = key, .key_len = strlen(key), .changed_at = changed_at };
}

/* A change that was made at origin and came by via. */
static struct change
relayed(struct change c, const char *origin, const char *via)
{
	c.origin = origin;
	c.via = via;
	return c;
}

static void
add(struct collapse *c, const struct change *one)
{
	struct err e;

	if (!collapse_add(c, one, &e))
		fail_msg("%s", e.msg);
}

#define ADD(c, ...) \
	do { \
		struct change one_change = __VA_ARGS__; \
		add(c, &one_change); \
	} while (0)

static struct entry *
find(struct collapse *c, const char *key)
{
	struct entry *entry = collapse_find(c, "t", key, strlen(key));

	assert_non_null(entry);
	assert_int_equal(entry->key_len, strlen(key));
	assert_memory_equal(collapse_text(c, entry->key), key, strlen(key));
	assert_string_equal(collapse_table_name(c, entry->table), "t");
	return entry;
}

static void
assert_version(struct collapse *c, const char *key, const char *changed_at, const char *origin)
{
	struct entry *entry = find(c, key);

	assert_string_equal(collapse_text(c, entry->changed_at), changed_at);
	if (origin == NULL)
		assert_int_equal(entry->origin, 0);
	else
		assert_string_equal(collapse_text(c, entry->origin), origin);
}

static void
test_empty(void **state)
{
	struct collapse *c = *state;

	assert_null(collapse_find(c, "t", "1", 1));
	assert_true(collapse_table_index(c, "t") == SIZE_MAX);
	assert_null(collapse_text(c, 0));
	assert_int_equal(c->n, 0);
}

static void
test_one(void **state)
{
	struct collapse *c = *state;
	struct entry *entry;

	ADD(c, change(OP_UPDATE, "1", T1));
	assert_int_equal(c->n, 1);
	entry = find(c, "1");
	assert_int_equal(entry->first, OP_UPDATE);
	assert_int_equal(entry->last_id, 1);
	assert_true(entry->send);
	assert_false(entry->whole || entry->owed || entry->absent || entry->done);
	assert_int_equal(entry->link, 0);
	assert_int_equal(entry->via, 0);
	assert_version(c, "1", T1, NULL);
	assert_null(collapse_find(c, "t", "2", 1));
	assert_null(collapse_find(c, "u", "1", 1));
	assert_null(collapse_find(c, "t", "", 0));
}

/* A table of a key and three columns, one of which counts. */
static const struct catalog *
counted(void)
{
	static char name[] = "t", names[4][2] = { "k", "a", "b", "n" }, empty[] = "";
	static struct column columns[4];
	static struct table table = { .name = name, .columns = columns, .ncolumns = 4, .nkey = 1, .ncounters = 1, .policy = POLICY_MERGE };
	static const struct catalog catalog = { .tables = &table, .ntables = 1 };

	for (size_t i = 0; i < 4; i++)
		columns[i] = (struct column){ .name = names[i], .type = empty, .charset = empty, .in_key = i == 0, .counts = i == 3 };
	return &catalog;
}

/* An update of these columns, with this difference. */
static struct change
told(struct change c, unsigned bits, const char *difference, struct buf *bytes)
{
	struct mask m = { { 0 } };

	for (size_t i = 0; i < 4; i++)
		if ((bits & 1u << i) != 0)
			mask_set(&m, i);
	buf_reset(bytes);
	mask_write(counted()->tables, &m, bytes);
	c.columns = bytes->data;
	c.columns_len = bytes->len;
	c.difference = difference;
	return c;
}

static void
test_columns_and_differences(void **state)
{
	struct collapse *c = *state;
	struct entry *entry;
	struct buf bytes;

	c->catalog = counted();
	buf_init(&bytes, MASK_BYTES);
	ADD(c, told(change(OP_UPDATE, "1", T1), 2, "18446744073709551615", &bytes));
	ADD(c, told(change(OP_UPDATE, "1", T2), 4, NULL, &bytes));
	ADD(c, told(relayed(change(OP_UPDATE, "1", T1), "zoe", "mia"), 4, "-0.5", &bytes));
	entry = find(c, "1");
	assert_false(entry->whole || entry->weak);
	assert_string_equal(entry->difference, "18446744073709551614.5");
	assert_string_equal(buf_cstr(entry->ids), "1,2,3");
	assert_string_equal(versions_of(entry->versions, 1)->changed_at, T1);
	assert_string_equal(versions_of(entry->versions, 2)->changed_at, T2);
	assert_string_equal(versions_of(entry->versions, 2)->node, "mia");
	assert_null(versions_of(entry->versions, 3));
	/* Nothing on purpose: the version stays the one that was meant, whatever the time says. */
	ADD(c, told(change(OP_UPDATE, "1", T3), 0, NULL, &bytes));
	assert_version(c, "1", T2, NULL);
	/* Columns that are not told are all of them; what cannot be added makes the record whole. */
	ADD(c, change(OP_UPDATE, "1", T3));
	assert_string_equal(versions_of(find(c, "1")->versions, 1)->changed_at, T3);
	ADD(c, told(change(OP_UPDATE, "1", T3), 2, "1,2", &bytes));
	assert_true(find(c, "1")->whole);
	ADD(c, told(change(OP_UPDATE, "2", T1), 0, "7", &bytes));
	assert_true(find(c, "2")->weak);
	assert_string_equal(find(c, "2")->difference, "7");
	buf_free(&bytes);
}

static void
test_newest_time_wins(void **state)
{
	static const char *const times[3] = { T1, T2, T3 };

	for (int order = 0; order < 6; order++) {
		static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
		struct collapse *c = *state;

		collapse_reset(c);
		for (int i = 0; i < 3; i++)
			ADD(c, change(OP_UPDATE, "1", times[orders[order][i]]));
		assert_int_equal(c->n, 1);
		assert_version(c, "1", T3, NULL);
		assert_int_equal(find(c, "1")->last_id, next_id - 1);
	}
}

static void
test_equal_times(void **state)
{
	struct collapse *c = *state;

	ADD(c, relayed(change(OP_UPDATE, "1", T1), "zoe", "carl"));
	ADD(c, relayed(change(OP_UPDATE, "1", T1), "adam", "carl"));
	ADD(c, change(OP_UPDATE, "1", T1)); /* mia, ourselves: between the two */
	assert_version(c, "1", T1, "zoe");
	assert_string_equal(collapse_text(c, find(c, "1")->via), "carl");
	ADD(c, change(OP_UPDATE, "2", T1));
	ADD(c, relayed(change(OP_UPDATE, "2", T1), "adam", "carl"));
	assert_version(c, "2", T1, NULL);
	ADD(c, relayed(change(OP_UPDATE, "2", T1), "zoe", "carl"));
	assert_version(c, "2", T1, "zoe");
	ADD(c, change(OP_UPDATE, "2", T2)); /* ours again: neither origin nor via is left over */
	assert_version(c, "2", T2, NULL);
	assert_int_equal(find(c, "2")->via, 0);
}

static void
test_first_operation(void **state)
{
	struct collapse *c = *state;

	ADD(c, change(OP_INSERT, "1", T1));
	ADD(c, change(OP_UPDATE, "1", T2));
	ADD(c, change(OP_DELETE, "1", T3));
	assert_int_equal(find(c, "1")->first, OP_INSERT);
	ADD(c, change(OP_DELETE, "2", T1));
	ADD(c, change(OP_INSERT, "2", T2));
	assert_int_equal(find(c, "2")->first, OP_DELETE);
}

static void
test_whole(void **state)
{
	struct collapse *c = *state;

	ADD(c, change(OP_INSERT, "insert", T1));
	ADD(c, change(OP_UPDATE, "insert", T2));
	ADD(c, change(OP_UPDATE, "delete", T1));
	ADD(c, change(OP_DELETE, "delete", T2));
	ADD(c, change(OP_UPDATE, "update", T1));
	ADD(c, change(OP_UPDATE, "update", T2));
	ADD(c, { .id = 9, .operation = OP_UPDATE, .table = "t", .key = "verdict", .key_len = 7, .changed_at = T1, .whole = true });
	ADD(c, change(OP_UPDATE, "verdict", T2));
	assert_true(find(c, "insert")->whole);
	assert_true(find(c, "delete")->whole);
	assert_false(find(c, "update")->whole);
	assert_true(find(c, "verdict")->whole);
}

static void
test_from_the_peer(void **state)
{
	struct collapse *c = *state;
	struct entry *entry;

	ADD(c, relayed(change(OP_INSERT, "1", T3), "ben", "ben"));
	entry = find(c, "1");
	assert_int_equal(c->n, 1);
	assert_false(entry->send);
	assert_false(entry->whole);
	assert_int_equal(entry->last_id, 1);
	assert_int_equal(entry->changed_at, 0);
	ADD(c, change(OP_UPDATE, "1", T1));
	entry = find(c, "1");
	assert_int_equal(c->n, 1);
	assert_true(entry->send);
	assert_false(entry->whole); /* the peer has the insert */
	assert_int_equal(entry->first, OP_UPDATE);
	assert_version(c, "1", T1, NULL);
	ADD(c, relayed(change(OP_DELETE, "1", T3), "zoe", "ben"));
	entry = find(c, "1");
	assert_true(entry->send);
	assert_int_equal(entry->last_id, 3);
	assert_version(c, "1", T1, NULL);
}

static void
test_of_the_peer_by_another_way(void **state)
{
	struct collapse *c = *state;

	/* A verdict's requeue of the peer's own version: made here, so it goes to the peer as well. */
	ADD(c, relayed(change(OP_UPDATE, "1", T1), "ben", NULL));
	ADD(c, relayed(change(OP_UPDATE, "2", T1), "ben", "carl"));
	ADD(c, relayed(change(OP_UPDATE, "3", T1), "zoe", "benn"));
	assert_true(find(c, "1")->send);
	assert_version(c, "1", T1, "ben");
	assert_true(find(c, "2")->send);
	assert_true(find(c, "3")->send);
}

static void
test_links(void **state)
{
	struct collapse *c = *state;
	struct change moved = change(OP_INSERT, "new", T1);

	moved.link = 77;
	add(c, &moved);
	ADD(c, change(OP_UPDATE, "new", T2));
	assert_int_equal(find(c, "new")->link, 77);
}

static void
test_odd_keys(void **state)
{
	static const struct {
		const char *key;
		size_t len;
	} keys[] = { { "", 0 }, { "\0", 1 }, { "\0\0", 2 }, { "a", 1 }, { "a\0", 2 }, { "a\0b", 3 }, { "a\0c", 3 }, { "\xff", 1 }, { "\xff\0", 2 } };
	struct collapse *c = *state;
	enum { KEYS = sizeof keys / sizeof keys[0] };

	for (int twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < KEYS; i++)
			ADD(c, { .id = i + 1, .operation = OP_UPDATE, .table = "t", .key = keys[i].key, .key_len = keys[i].len, .changed_at = T1 });
	assert_int_equal(c->n, KEYS);
	for (size_t i = 0; i < KEYS; i++) {
		struct entry *entry = collapse_find(c, "t", keys[i].key, keys[i].len);

		assert_non_null(entry);
		assert_int_equal(entry->last_id, i + 1);
		assert_memory_equal(collapse_text(c, entry->key), keys[i].key, keys[i].len + 1);
	}
}

static void
test_tables(void **state)
{
	struct collapse *c = *state;

	ADD(c, { .id = 1, .operation = OP_INSERT, .table = "a", .key = "bc", .key_len = 2, .changed_at = T1 });
	ADD(c, { .id = 2, .operation = OP_UPDATE, .table = "ab", .key = "c", .key_len = 1, .changed_at = T2 });
	ADD(c, { .id = 3, .operation = OP_DELETE, .table = "b", .key = "bc", .key_len = 2, .changed_at = T3 });
	ADD(c, { .id = 4, .operation = OP_DELETE, .table = "B", .key = "bc", .key_len = 2, .changed_at = T3 });
	assert_int_equal(c->n, 4);
	assert_int_equal(c->ntables, 4);
	assert_int_equal(collapse_find(c, "a", "bc", 2)->last_id, 1);
	assert_int_equal(collapse_find(c, "ab", "c", 1)->last_id, 2);
	assert_int_equal(collapse_find(c, "b", "bc", 2)->last_id, 3);
	assert_int_equal(collapse_find(c, "B", "bc", 2)->last_id, 4);
	assert_string_equal(collapse_table_name(c, collapse_find(c, "ab", "c", 1)->table), "ab");
	assert_string_equal(collapse_table_name(c, collapse_table_index(c, "b")), "b");
	assert_true(collapse_table_index(c, "c") == SIZE_MAX);
	assert_true(record_hash("a", "bc", 2) != record_hash("ab", "c", 1));
	assert_true(record_hash("a", "", 0) != record_hash("a", "\0", 1));
}

static void
test_growth(void **state)
{
	enum { RECORDS = 120000, TABLES = 50 };
	struct collapse *c = *state;
	char key[24], table[24];

	for (int twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < RECORDS; i++) {
			(void)snprintf(key, sizeof key, "%zu", i);
			(void)snprintf(table, sizeof table, "table %zu", i / (RECORDS / TABLES));
			ADD(c, { .id = (uint64_t)twice * RECORDS + i + 1, .operation = OP_UPDATE, .table = table, .key = key, .key_len = strlen(key),
				.changed_at = twice == 0 ? T1 : T2 });
		}
	assert_int_equal(c->n, RECORDS);
	assert_int_equal(c->ntables, TABLES);
	for (size_t i = 0; i < RECORDS; i++) {
		struct entry *entry;

		(void)snprintf(key, sizeof key, "%zu", i);
		(void)snprintf(table, sizeof table, "table %zu", i / (RECORDS / TABLES));
		entry = collapse_find(c, table, key, strlen(key));
		assert_non_null(entry);
		assert_true(entry == &c->entries[i]); /* oldest first */
		assert_int_equal(entry->last_id, RECORDS + i + 1);
		assert_string_equal(collapse_text(c, entry->key), key);
		assert_string_equal(collapse_text(c, entry->changed_at), T2);
	}
	collapse_reset(c);
	assert_int_equal(c->n, 0);
	assert_int_equal(c->ntables, 0);
	assert_null(collapse_find(c, "table 0", "0", 1));
	ADD(c, change(OP_INSERT, "0", T3));
	assert_int_equal(c->n, 1);
	assert_version(c, "0", T3, NULL);
	assert_null(collapse_find(c, "table 0", "0", 1));
}

/* A thousand updates of one record travel once, and do not fill the memory. */
static void
test_memory(void **state)
{
	struct collapse *c = *state;
	char time[QUEUE_TIME_LEN + 1];
	size_t after = 0;

	for (unsigned i = 0; i < 100000; i++) {
		(void)snprintf(time, sizeof time, "2026-11-21 02:03:04.%06u", i);
		ADD(c, change(OP_UPDATE, "1", time));
		if (i == 0)
			after = c->arena.len;
	}
	assert_int_equal(c->n, 1);
	assert_int_equal(c->arena.len, after);
}

static void
test_memory_relayed(void **state)
{
	struct collapse *c = *state;
	char time[QUEUE_TIME_LEN + 1];
	size_t after = 0;

	for (unsigned i = 0; i < 100000; i++) {
		(void)snprintf(time, sizeof time, "2026-11-21 02:03:04.%06u", i);
		ADD(c, relayed(change(OP_UPDATE, "1", time), i % 2 == 0 ? "zoe" : "adam", "carl"));
		if (i == 10)
			after = c->arena.len;
	}
	assert_int_equal(c->n, 1);
	assert_true(c->arena.len <= after);
}

static void
test_keep(void **state)
{
	struct collapse *c = *state;
	size_t a = collapse_keep(c, "a\0b", 3), b = collapse_keep(c, "", 0);

	assert_true(a != 0 && b != 0 && a != b);
	assert_memory_equal(collapse_text(c, a), "a\0b", 4);
	assert_string_equal(collapse_text(c, b), "");
}

static void
test_compare(void **state)
{
	(void)state;
	assert_true(version_compare(T1, "z", T2, "a") < 0);
	assert_true(version_compare(T2, "a", T1, "z") > 0);
	assert_true(version_compare(T1, "a", T1, "b") < 0);
	assert_true(version_compare(T1, "b", T1, "a") > 0);
	assert_true(version_compare(T1, "B", T1, "a") < 0); /* bytes, not a locale's order */
	assert_int_equal(version_compare(T1, "a", T1, "a"), 0);
	assert_true(version_compare("2026-11-21 23:59:59.999999", "z", "2026-11-22 00:00:00.000000", "a") < 0);
}

struct naive {
	const char *changed_at, *node;
	uint64_t last_id;
	enum operation first;
	bool send, whole, seen;
};

static void
take_naively(struct naive *n, const struct change *one)
{
	const char *node = one->origin == NULL ? "mia" : one->origin;

	n->last_id = one->id;
	n->seen = true;
	if (one->via != NULL && strcmp(one->via, "ben") == 0)
		return;
	if (!n->send)
		n->first = one->operation;
	n->send = true;
	n->whole = n->whole || one->whole || one->operation != OP_UPDATE;
	if (n->changed_at == NULL || strcmp(one->changed_at, n->changed_at) > 0 ||
	    (strcmp(one->changed_at, n->changed_at) == 0 && strcmp(node, n->node) > 0)) {
		n->changed_at = one->changed_at;
		n->node = node;
	}
}

static void
test_model(void **state)
{
	static const char *const times[] = { T1, T2, T3 }, *const nodes[] = { NULL, "ben", "adam", "zoe" }, *const vias[] = { NULL, "ben", "carl" };
	static const char *const keys[] = { "0", "1", "2", "3", "4" };
	struct seed random = seed_choose();
	struct collapse *c = *state;

	for (int round = 0; round < 2000; round++) {
		struct naive naive[5] = { { 0 } };

		collapse_reset(c);
		for (size_t i = 0, n = seed_below(&random, 30); i < n; i++) {
			size_t k = seed_below(&random, 5);
			struct change one = change((enum operation)(1 + seed_below(&random, 3)), keys[k], times[seed_below(&random, 3)]);

			one.origin = nodes[seed_below(&random, 4)];
			one.via = vias[seed_below(&random, 3)];
			one.whole = seed_below(&random, 10) == 0;
			add(c, &one);
			take_naively(&naive[k], &one);
		}
		for (size_t k = 0; k < 5; k++) {
			struct entry *entry = collapse_find(c, "t", keys[k], 1);

			assert_int_equal(entry != NULL, naive[k].seen);
			if (entry == NULL)
				continue;
			assert_int_equal(entry->last_id, naive[k].last_id);
			assert_int_equal(entry->send, naive[k].send);
			assert_int_equal(entry->whole, naive[k].whole);
			if (!entry->send)
				continue;
			assert_int_equal(entry->first, naive[k].first);
			assert_version(c, keys[k], naive[k].changed_at, strcmp(naive[k].node, "mia") == 0 ? NULL : naive[k].node);
		}
	}
}

#define NAMED(text, f) { text, f, begin, end, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("an empty one knows nothing", test_empty),
		NAMED("one change is one record", test_one),
		NAMED("each column has its version, differences add up", test_columns_and_differences),
		NAMED("the newest version wins in any order", test_newest_time_wins),
		NAMED("of equal times the greater node wins, ourselves by name", test_equal_times),
		NAMED("the first operation stays", test_first_operation),
		NAMED("an insert, a delete or a verdict make a record whole", test_whole),
		NAMED("what came by the peer counts and is not sent", test_from_the_peer),
		NAMED("the peer's own change that came by another way is sent", test_of_the_peer_by_another_way),
		NAMED("a link is kept", test_links),
		NAMED("keys may be empty and hold a NUL", test_odd_keys),
		NAMED("one key in two tables is two records", test_tables),
		NAMED("it grows over 100,000 records and can be emptied", test_growth),
		NAMED("many changes of one record need no more memory", test_memory),
		NAMED("many relayed changes of one record need no more memory", test_memory_relayed),
		NAMED("a text is kept with its NULs", test_keep),
		NAMED("versions compare by time, then by node", test_compare),
		NAMED("random changes agree with a naive model", test_model),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("collapse", tests, NULL, NULL);
}

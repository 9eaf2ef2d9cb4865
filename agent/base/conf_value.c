/* Values of agent.conf. Lives here: one function a kind that judges a text and stores it. Not
 * here: which option is of which kind (the table in conf), and what two options may not say
 * together (conf as well). */
#include "config.h"

#include "base/conf_value.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "base/text.h"

enum {
	PORT_MAX = 65535,
	HOST_MAX = 255,		    /* bytes of a DNS name */
	PIN_BASE64 = 44,	    /* a SHA-256 in base64, with its one = */
	PERCENT_MAX = 100,
	KEEP_MAX = 10000, /* snapshots of 27 years, one a day */
	MAX_DELETE_ROWS = 1000000000, /* more is no limit */
	FILE_WAIT_MS_MAX = 7 * 86400 * 1000 /* a row that waits longer has lost its file */
};

typedef bool set_value(const struct conf_option_row *o, void *base, const char *text, struct err *e);

/* The one form of "bad value": want is what it must be, with the remedy in it. */
static bool
bad(const struct conf_option_row *o, const char *text, const char *want, struct err *e)
{
	if (o->info.secret)
		return err_set(e, ERR_CONFIG, "%s must be %s", o->info.name, want);
	return err_set(e, ERR_CONFIG, "%s must be %s, not \"%.80s\"", o->info.name, want, text);
}

static void *
field(const struct conf_option_row *o, void *base)
{
	return (char *)base + o->offset;
}

static void
drop_text(char **text)
{
	if (*text != NULL)
		text_wipe(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

static bool
store_n(char **to, const char *text, size_t len, struct err *e)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for agent.conf");
	memcpy(copy, text, len);
	copy[len] = '\0';
	drop_text(to);
	*to = copy;
	return true;
}

static bool
store(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	return store_n(field(o, base), text, strlen(text), e);
}

/* Is text one of the words of "a|b|c"? An empty word may be among them. */
static bool
among(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (;;) {
		size_t n = strcspn(words, "|");

		if (n == len && strncmp(words, text, n) == 0)
			return true;
		if (words[n] == '\0')
			return false;
		words += n + 1;
	}
}

/* The number at *p, at least one digit, at most max; *p is moved behind it. */
static bool
number_at(const char **p, int64_t max, int64_t *out)
{
	int64_t n = 0;

	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++) {
		int digit = **p - '0';

		if (n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out = n;
	return true;
}

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* --- texts ---------------------------------------------------------------------------------- */

static bool
set_text(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	size_t len = strlen(text);
	char want[64];

	if ((int64_t)len >= o->min && (int64_t)len <= o->max)
		return store(o, base, text, e);
	if (len == 0)
		return err_set(e, ERR_CONFIG, "%s must not be empty; %s", o->info.name, o->info.help);
	(void)snprintf(want, sizeof want, "%lld to %lld bytes long", (long long)o->min, (long long)o->max);
	return bad(o, text, want, e);
}

static bool
set_word(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	char want[128];

	if (among(o->choices, text))
		return store(o, base, text, e);
	(void)snprintf(want, sizeof want, "one of %s%s", o->choices, among(o->choices, "") ? " or empty" : "");
	return bad(o, text, want, e);
}

static bool
set_path(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	if (text[0] != '\0' && text[0] != '/')
		return bad(o, text, "an absolute path (beginning with /) or empty", e);
	return set_text(o, base, text, e);
}

static bool
set_command(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	if (text[0] != '\0' && text[0] != '/')
		return bad(o, text, "empty, or a program's absolute path (beginning with /) and its words", e);
	return set_text(o, base, text, e);
}

bool
conf_name_ok(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(name);

	return len >= 1 && len <= CONF_NAME_MAX && strspn(name, allowed) == len;
}

static bool
set_name(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	if (!conf_name_ok(text))
		return bad(o, text, "1 to 32 letters, digits, dots, underscores or hyphens", e);
	return store(o, base, text, e);
}

/* Length of the host at p: a name, an IPv4 address or [IPv6]; 0 when it is none. */
static size_t
host_len(const char *p)
{
	static const char name[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
	size_t n;

	if (p[0] == '[') {
		n = strspn(p + 1, "0123456789abcdefABCDEF:.");
		return n >= 2 && p[1 + n] == ']' ? n + 2 : 0;
	}
	n = strspn(p, name);
	return n <= HOST_MAX && p[0] != '-' && p[0] != '.' ? n : 0;
}

/* Is p exactly ":PORT"? */
static bool
port_ok(const char *p)
{
	int64_t port;

	return *p++ == ':' && number_at(&p, PORT_MAX, &port) && port >= 1 && *p == '\0';
}

static bool
set_address(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	size_t n = host_len(text);

	if (n == 0 || !port_ok(text + n))
		return bad(o, text, "HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:8440 or [::1]:8440", e);
	return store(o, base, text, e);
}

static bool
set_url(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	size_t len = strlen(text);
	const char *p = text;
	size_t n;

	if (len == 0)
		return store_n(field(o, base), text, 0, e);
	p += strncmp(p, "http://", 7) == 0 ? 7 : strncmp(p, "https://", 8) == 0 ? 8 : 0;
	if (strchr(p, '@') != NULL) /* what stands before it may be a password: not shown */
		return err_set(e, ERR_CONFIG, "%s must not hold a user or password; the key option proves who we are", o->info.name);
	if (strpbrk(p, "?#") != NULL) /* a query often holds a secret */
		return err_set(e, ERR_CONFIG, "%s must not hold a query (?) or fragment (#); give http://HOST:PORT alone", o->info.name);
	if (len > 0 && text[len - 1] == '/' && text + len - 1 > p)
		len--;
	n = host_len(p);
	if (p == text || n == 0 || n > len)
		return bad(o, text, "http://HOST:PORT or https://HOST:PORT", e);
	if (text + len > p + n) {
		char rest[8]; /* ":65535" and a NUL */

		(void)snprintf(rest, sizeof rest, "%.*s", (int)(text + len - p - (ptrdiff_t)n), p + n);
		if ((size_t)(text + len - p) - n >= sizeof rest || !port_ok(rest))
			return bad(o, text, "http://HOST:PORT without a path, the port from 1 to 65535", e);
	}
	return store_n(field(o, base), text, len, e);
}

static bool
set_pin(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	static const char head[] = "sha256//";
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = strncmp(text, head, sizeof head - 1) == 0 ? text + sizeof head - 1 : "";

	if (text[0] != '\0' && (strlen(p) != PIN_BASE64 || strspn(p, base64) != PIN_BASE64 - 1 ||
	    p[PIN_BASE64 - 1] != '='))
		return bad(o, text, "empty or sha256// and 44 characters of base64", e);
	return store(o, base, text, e);
}

static bool
all_zero(const char *hex)
{
	return hex[strspn(hex, "0")] == '\0';
}

static bool
set_hex(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	size_t len = strlen(text);
	char want[96];

	(void)snprintf(want, sizeof want, "%lld to %lld hexadecimal digits; agent --init makes one",
	    (long long)o->min, (long long)o->max);
	if (len == 0 && o->info.fallback != NULL)
		return store(o, base, text, e);
	if ((int64_t)len < o->min || (int64_t)len > o->max || strspn(text, "0123456789abcdefABCDEF") != len)
		return bad(o, text, want, e);
	if (all_zero(text))
		return bad(o, text, "a secret of your own, not the example's zeros; agent --init makes one", e);
	return store(o, base, text, e);
}

static bool
set_target(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	if (!among("stderr|syslog", text) && strncmp(text, "file /", 6) != 0)
		return bad(o, text, "stderr, syslog or \"file\" and an absolute path", e);
	return set_text(o, base, text, e);
}

/* --- numbers -------------------------------------------------------------------------------- */

static bool
set_bool(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	bool yes = among("on|yes|true", text);

	if (!yes && !among("off|no|false", text))
		return bad(o, text, "on or off (yes, no, true, false are read too)", e);
	*(bool *)field(o, base) = yes;
	return true;
}

static bool
set_number(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	const char *p = text;
	int64_t n = 0;
	char want[96];

	if (number_at(&p, o->max, &n) && o->kind == CONF_DAYS && *p == 'd')
		p++;
	if (p == text || *p != '\0' || n < o->min || n > o->max) {
		(void)snprintf(want, sizeof want, "a number%s from %lld to %lld",
		    o->kind == CONF_DAYS ? " of days" : "", (long long)o->min, (long long)o->max);
		return bad(o, text, want, e);
	}
	*(unsigned *)field(o, base) = (unsigned)n;
	return true;
}

static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "d", 86400 * 1000 },
};

enum {
	UNITS = sizeof units / sizeof units[0]
};

/* ms in the largest unit that keeps it whole: "20ms", "30s". */
static void
duration_text(int64_t ms, char *out, size_t size)
{
	size_t i = UNITS - 1;

	while (i > 0 && ms % units[i].ms != 0)
		i--;
	(void)snprintf(out, size, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
}

static bool
set_duration(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	const char *p = text;
	int64_t n = 0;
	char least[32], most[32], want[128];

	if (number_at(&p, o->max, &n)) {
		for (size_t i = 0; i < UNITS; i++) {
			if (strcmp(p, units[i].name) != 0 || n > o->max / units[i].ms || n * units[i].ms < o->min)
				continue;
			*(int64_t *)field(o, base) = n * units[i].ms;
			return true;
		}
	}
	duration_text(o->min, least, sizeof least);
	duration_text(o->max, most, sizeof most);
	(void)snprintf(want, sizeof want, "a duration from %s to %s with its unit (ms, s, m, h or d)", least, most);
	return bad(o, text, want, e);
}

static const char want_size[] = "a size of 4K or more, such as 512K, 10M or 1G, or off";

/* "10M": K, M, G are powers of 1024. off is 0. */
static bool
set_size(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	static const char letters[] = "KMG";
	const char *p = text, *unit;
	int64_t n = 0;
	int shift;

	if (strcmp(text, "off") == 0) {
		*(int64_t *)field(o, base) = 0;
		return true;
	}
	if (!number_at(&p, o->max, &n))
		return bad(o, text, want_size, e);
	unit = *p == '\0' ? NULL : strchr(letters, *p);
	shift = unit == NULL ? 0 : 10 * (int)(unit - letters + 1);
	if ((*p != '\0' && (unit == NULL || p[1] != '\0')) || n > o->max >> shift || n << shift < o->min)
		return bad(o, text, want_size, e);
	*(int64_t *)field(o, base) = n << shift;
	return true;
}

static bool
set_mode(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	size_t len = strlen(text);
	unsigned mode = 0;

	for (const char *p = text; *p != '\0'; p++)
		mode = mode * 8 + (unsigned)(*p - '0');
	/* Setuid, setgid and sticky are nobody's to give; a file that its owner cannot read cannot be sent on. */
	if (len > 0 && ((len != 3 && !(len == 4 && text[0] == '0')) || strspn(text, "01234567") != len || (mode & 0600) != 0600))
		return bad(o, text, "empty or three octal digits that let the owner read and write, such as 664", e);
	*(unsigned *)field(o, base) = len == 0 ? 0 : mode;
	return true;
}

static bool
set_file_limit(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	static const char files[] = " files,";
	struct conf_limit *out = field(o, base);
	int64_t n, percent;
	const char *p = text;

	*out = (struct conf_limit){ 100, 0 };
	if (strcmp(p, "off") == 0)
		return true;
	if (!number_at(&p, MAX_DELETE_ROWS, &n) || n < 1 || strncmp(p, files, sizeof files - 1) != 0)
		goto refuse;
	p = skip_blanks(p + sizeof files - 1);
	if (!number_at(&p, PERCENT_MAX, &percent) || percent < 1 || strcmp(p, "%") != 0)
		goto refuse;
	*out = (struct conf_limit){ (unsigned)percent, (unsigned)n };
	return true;
refuse:
	return bad(o, text, "a number of files, a comma and a share from 1% to 100%, such as \"50 files, 10%\", or off", e);
}

/* A number up to KEEP_MAX and the word behind it; *p goes past both. */
static bool
keep_at(const char **p, const char *word, unsigned *out)
{
	int64_t n;

	if (!number_at(p, KEEP_MAX, &n) || strncmp(*p, word, strlen(word)) != 0)
		return false;
	*p += strlen(word);
	*out = (unsigned)n;
	return true;
}

static bool
set_keep(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	static const char least[] = "at least ";
	struct conf_keep *out = field(o, base);
	const char *p = text;

	if (keep_at(&p, " days, ", &out->days) && keep_at(&p, " weeks, ", &out->weeks) && strncmp(p, least, sizeof least - 1) == 0) {
		p += sizeof least - 1;
		if (keep_at(&p, "", &out->least) && *p == '\0' && out->least >= 1)
			return true;
	}
	return bad(o, text, "like \"7 days, 4 weeks, at least 3\"", e);
}

static int
either_case(char digit)
{
	return hex_digit((char)(digit | 0x20));
}

static bool
set_key(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	unsigned char *key = field(o, base);

	if (strlen(text) != CONF_KEY_BYTES * 2 || strspn(text, "0123456789abcdefABCDEF") != CONF_KEY_BYTES * 2)
		return bad(o, text, "exactly 64 hexadecimal digits; agent --init makes a key", e);
	if (all_zero(text))
		return bad(o, text, "a key of your own, not the example's zeros; agent --init makes one", e);
	for (size_t i = 0; i < CONF_KEY_BYTES; i++)
		key[i] = (unsigned char)(either_case(text[2 * i]) << 4 | either_case(text[2 * i + 1]));
	return true;
}

static bool
set_level(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	static const char *const words[] = {
		[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug",
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcmp(words[i], text) != 0)
			continue;
		*(enum log_level *)field(o, base) = (enum log_level)i;
		return true;
	}
	return bad(o, text, "error, warning, info or debug", e);
}

/* --- conflict policy and deletion limit ------------------------------------------------------ */

bool
conf_value_rule(const char *text, struct conf_rule *out)
{
	static const char prefer[] = "prefer ";

	*out = (struct conf_rule){ POLICY_NEWER, "" };
	if (strcmp(text, "newer") == 0)
		return true;
	out->policy = strcmp(text, "merge") == 0 ? POLICY_MERGE : strcmp(text, "manual") == 0 ? POLICY_MANUAL : POLICY_PREFER;
	if (out->policy != POLICY_PREFER)
		return true;
	if (strncmp(text, prefer, sizeof prefer - 1) != 0)
		return false;
	out->node = skip_blanks(text + sizeof prefer - 1);
	return conf_name_ok(out->node);
}

static const char want_policy[] = "newer, prefer NODE, merge or manual";

static bool
set_policy(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	struct conf_sync *sync = base;
	struct conf_rule rule;

	if (!conf_value_rule(text, &rule))
		return bad(o, text, want_policy, e);
	sync->conflict = rule.policy;
	return store_n(&sync->conflict_node, rule.node, strlen(rule.node), e);
}

static bool
set_policy_of_table(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	struct conf_rule rule;

	if (text[0] != '\0' && !conf_value_rule(text, &rule))
		return bad(o, text, want_policy, e);
	return store(o, base, text, e);
}

/* "50%, 1000", or off */
bool
conf_value_limit(const char *p, struct conf_limit *out)
{
	int64_t percent, rows;

	*out = (struct conf_limit){ 100, 0 };
	if (strcmp(p, "off") == 0)
		return true;
	if (!number_at(&p, PERCENT_MAX, &percent) || percent < 1 || *p++ != '%')
		return false;
	p = skip_blanks(p);
	if (*p++ != ',')
		return false;
	p = skip_blanks(p);
	if (!number_at(&p, MAX_DELETE_ROWS, &rows) || rows < 1 || *p != '\0')
		return false;
	*out = (struct conf_limit){ (unsigned)percent, (unsigned)rows };
	return true;
}

static const char want_limit[] = "a share from 1% to 100%, a comma and a number of records, such as \"50%, 1000\", or off";

static bool
set_limit(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	struct conf_sync *sync = base;

	return conf_value_limit(text, &sync->max_delete) || bad(o, text, want_limit, e);
}

/* The word at p: its length, and what stands behind it. */
static size_t
word_at(const char *p, const char **behind)
{
	size_t n = strcspn(p, " \t");

	*behind = skip_blanks(p + n);
	return n;
}

bool
conf_value_file_column(const char *text, struct conf_file_text *out)
{
	const char *p = text;

	*out = (struct conf_file_text){ .column = p, .prefix = "" };
	out->column_len = word_at(p, &p);
	if (out->column_len == 0 || word_at(p, &p) != 2 || strncmp(out->column + out->column_len + strspn(out->column + out->column_len, " \t"), "in", 2) != 0)
		return false;
	out->tree = p;
	out->tree_len = word_at(p, &p);
	if (out->tree_len == 0 || *p == '\0')
		return out->tree_len > 0;
	if (strncmp(p, "prefix", 6) != 0 || word_at(p, &p) != 6 || *p == '\0')
		return false;
	out->prefix = p;
	return true;
}

bool
conf_value_file_wait(const char *text, int64_t *out)
{
	const char *p = text;
	int64_t n = 0;

	*out = strcmp(text, "off") == 0 ? 0 : -1;
	if (strcmp(text, "off") == 0 || strcmp(text, "strict") == 0)
		return true;
	if (!number_at(&p, FILE_WAIT_MS_MAX, &n) || n < 1)
		return false;
	for (size_t i = 0; i < UNITS; i++)
		if (strcmp(p, units[i].name) == 0 && n <= FILE_WAIT_MS_MAX / units[i].ms) {
			*out = n * units[i].ms;
			return true;
		}
	return false;
}

static bool
set_file_column(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	struct conf_file_text parts;

	if (text[0] != '\0' && !conf_value_file_column(text, &parts))
		return bad(o, text, "COLUMN in TREE, or COLUMN in TREE prefix TEXT, such as \"photo in uploads prefix /uploads/\"", e);
	return set_text(o, base, text, e);
}

static bool
set_file_wait(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	int64_t ms;

	if (!conf_value_file_wait(text, &ms))
		return bad(o, text, "strict, off or a duration with its unit, such as 600s", e);
	return store(o, base, text, e);
}

static bool
set_limit_of_table(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	struct conf_limit limit;

	if (text[0] != '\0' && !conf_value_limit(text, &limit))
		return bad(o, text, want_limit, e);
	return store(o, base, text, e);
}

/* --- all kinds ------------------------------------------------------------------------------- */

static set_value *const setters[] = {
	[CONF_TEXT] = set_text,
	[CONF_LIST] = set_text,
	[CONF_WORD] = set_word,
	[CONF_PATH] = set_path,
	[CONF_COMMAND] = set_command,
	[CONF_NODE_NAME] = set_name,
	[CONF_ADDRESS] = set_address,
	[CONF_URL] = set_url,
	[CONF_PIN] = set_pin,
	[CONF_HEX] = set_hex,
	[CONF_TARGET] = set_target,
	[CONF_POLICY_OF_TABLE] = set_policy_of_table,
	[CONF_FILE_COLUMN] = set_file_column,
	[CONF_FILE_WAIT] = set_file_wait,
	[CONF_LIMIT_OF_TABLE] = set_limit_of_table,
	[CONF_BOOL] = set_bool,
	[CONF_NUMBER] = set_number,
	[CONF_DAYS] = set_number,
	[CONF_DURATION] = set_duration,
	[CONF_SIZE] = set_size,
	[CONF_MODE] = set_mode,
	[CONF_KEEP] = set_keep,
	[CONF_FILE_LIMIT] = set_file_limit,
	[CONF_KEY] = set_key,
	[CONF_LEVEL] = set_level,
	[CONF_POLICY] = set_policy,
	[CONF_LIMIT] = set_limit,
};

bool
conf_value_set(const struct conf_option_row *o, void *base, const char *text, struct err *e)
{
	assert((size_t)o->kind < sizeof setters / sizeof setters[0]);
	if (!setters[o->kind](o, base, text, e))
		return false;
	if (o->built == NULL || among(o->built, text))
		return true;
	return err_set(e, ERR_CONFIG, "%s = %.80s: this version does not have it yet; leave it at %s",
	    o->info.name, text, o->info.fallback[0] == '\0' ? "nothing (empty)" : o->info.fallback);
}

void
conf_value_free(const struct conf_option_row *o, void *base)
{
	if (o->kind <= CONF_LIMIT_OF_TABLE)
		drop_text(field(o, base));
	else if (o->kind == CONF_POLICY)
		drop_text(&((struct conf_sync *)base)->conflict_node);
	else if (o->kind == CONF_KEY)
		text_wipe(field(o, base), CONF_KEY_BYTES);
}

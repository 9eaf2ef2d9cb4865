/* One value of agent.conf: its kinds, and what a text of each kind may be. For base/conf alone. */
#ifndef TANDEM_BASE_CONF_VALUE_H
#define TANDEM_BASE_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/err.h"

/* The comment says the field's type. min and max of an option bound the number, or the length in
 * bytes of a text. */
enum conf_kind {
	CONF_TEXT,	 /* char *: any text */
	CONF_LIST,	 /* char *: items between commas; may go on in indented lines */
	CONF_WORD,	 /* char *: one of choices */
	CONF_PATH,	 /* char *: absolute, or empty */
	CONF_COMMAND,	 /* char *: the same, and words behind blanks */
	CONF_NODE_NAME,	 /* char * */
	CONF_ADDRESS,	 /* char *: HOST:PORT or [V6]:PORT */
	CONF_URL,	 /* char *: http or https, a trailing / removed */
	CONF_PIN,	 /* char *: empty or sha256//BASE64 */
	CONF_HEX,	 /* char *: hexadecimal digits; or empty, where that is the default */
	CONF_TARGET,	 /* char *: of the log */
	CONF_POLICY_OF_TABLE, /* char *: empty or a policy */
	CONF_FILE_COLUMN, /* char *: empty or COLUMN in TREE [prefix TEXT] */
	CONF_FILE_WAIT,	  /* char *: strict, off or a duration */
	CONF_LIMIT_OF_TABLE,  /* char *: empty or a deletion limit */
	CONF_BOOL,	 /* bool */
	CONF_NUMBER,	 /* unsigned */
	CONF_DAYS,	 /* unsigned: a number of days, the d may be left out */
	CONF_DURATION,	 /* int64_t, milliseconds */
	CONF_SIZE,	 /* int64_t, bytes; 0: off */
	CONF_MODE,	 /* unsigned: permissions in octal digits; empty: 0 */
	CONF_KEEP,	 /* struct conf_keep: "7 days, 4 weeks, at least 3" */
	CONF_FILE_LIMIT, /* struct conf_limit: "50 files, 10%" or off */
	CONF_KEY,	 /* unsigned char [CONF_KEY_BYTES] */
	CONF_LEVEL,	 /* enum log_level */
	CONF_POLICY,	 /* struct conf_sync: conflict and conflict_node (offset 0) */
	CONF_LIMIT	 /* struct conf_sync: max_delete (offset 0) */
};

struct conf_option_row {
	struct conf_option_info info; /* first: conf_option hands it out */
	enum conf_kind kind;
	size_t offset; /* of the field in the section's struct */
	int64_t min, max;
	const char *choices; /* "a|b|c" of CONF_WORD */
	const char *built;   /* the values this version has, "a|b"; NULL: all of them */
};

/* Read text into the field of base that o describes; an old text there is freed. The message
 * ("port must be a number from 1 to 65535, not "70000"") never holds a secret. */
MUST_CHECK bool conf_value_set(const struct conf_option_row *o, void *base, const char *text, struct err *e);
/* Overwrite and free what the field holds. */
void conf_value_free(const struct conf_option_row *o, void *base);

/* [A-Za-z0-9._-], 1 to CONF_NAME_MAX bytes? */
bool conf_name_ok(const char *name);

/* newer, prefer NODE, merge or manual. node is borrowed from text. False: none of these. */
bool conf_value_rule(const char *text, struct conf_rule *out);
/* "photo in uploads prefix /files/", in its parts, borrowed; prefix "" where there is none. False: it is not that. */
struct conf_file_text {
	const char *column, *tree, *prefix;
	size_t column_len, tree_len;
};
bool conf_value_file_column(const char *text, struct conf_file_text *out);
/* strict: -1, off: 0, or milliseconds. False: none of these. */
bool conf_value_file_wait(const char *text, int64_t *out);
/* "50%, 1000" or off. False: neither. */
bool conf_value_limit(const char *text, struct conf_limit *out);

#endif

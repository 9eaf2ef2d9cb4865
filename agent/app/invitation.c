/* The file of the invitation. Lives here: its text and its age. Not here: who may use it (app/pair).
 *
 * Its age is told by the clock that only goes forward. That clock begins anew with the computer: an
 * invitation of before would be from the future, and such a one counts for nothing. */
#include "config.h"

#include "app/invitation.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/private.h"
#include "base/text.h"

enum {
	FILE_MAX = 1024,
	FILE_PATH_MAX = 4096
};

static bool
path_of(const struct conf *conf, char path[FILE_PATH_MAX])
{
	return (size_t)snprintf(path, FILE_PATH_MAX, "%s/invitation", conf->node.state_dir) < FILE_PATH_MAX;
}

void
invitation_remove(const struct conf *conf)
{
	char path[FILE_PATH_MAX];

	if (path_of(conf, path))
		(void)unlink(path);
}

bool
invitation_save(const struct conf *conf, const struct invitation *in, struct err *e)
{
	char path[FILE_PATH_MAX], text[FILE_MAX];
	bool exists = false, ok;
	struct buf line;

	buf_init(&line, PAIRING_TEXT_MAX);
	pairing_put_line(&line, &in->line);
	(void)snprintf(text, sizeof text, "%s %" PRId64 " %s %s %s\n", buf_cstr(&line), in->made_ms, in->nonce, in->joiner, in->by);
	ok = buf_check(&line, "the invitation", e) && (path_of(conf, path) || err_set(e, ERR_CONFIG, "[node] state_dir is too long"));
	/* In one step: --pair, which waits, would take a moment without the file for the end. */
	if (ok && access(path, F_OK) == 0)
		ok = private_replace(path, text, strlen(text), e);
	else if (ok)
		ok = private_create(path, text, strlen(text), &exists, e) &&
		    (!exists || err_set(e, ERR_IO, "another agent --pair began at this moment; try again"));
	text_wipe(text, sizeof text);
	text_wipe(line.data, line.cap);
	buf_free(&line);
	return ok;
}

static bool
parse(char *text, struct invitation *out, struct err *e)
{
	char *space = strchr(text, ' ');
	int end = 0;

	memset(out, 0, sizeof *out);
	if (space == NULL)
		return false;
	*space = '\0';
	return sscanf(space + 1, "%" SCNd64 " %32[0-9a-f] %32[0-9a-f-] %32[A-Za-z0-9._-]%n", &out->made_ms, out->nonce, out->joiner, out->by, &end) == 4 &&
	    end > 0 && pairing_parse_line(text, &out->line, e);
}

bool
invitation_load(const struct conf *conf, struct invitation *out)
{
	char path[FILE_PATH_MAX], *text = NULL;
	int64_t age_ms;
	struct err e;
	size_t len = 0;
	bool ok;

	ok = path_of(conf, path) && access(path, F_OK) == 0 && private_read(path, "invitation", "", FILE_MAX, &text, &len, &e) && parse(text, out, &e);
	private_free(text, len);
	age_ms = ok ? clock_mono_ms() - out->made_ms : -1;
	return age_ms >= 0 && age_ms < PAIRING_VALID_MS;
}

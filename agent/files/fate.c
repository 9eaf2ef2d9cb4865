/* Ends of what was tried with one path: words, and what errno means. */
#include "config.h"

#include "files/fate.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

enum {
	PATH_SHOWN = 160, /* bytes of a path in a message: room is left for the rest */
	ESCAPED_MAX = PATH_SHOWN * 4 /* a byte becomes \xHH */
};

static const struct {
	const char *word;
	enum err_code code;
} fates[FATES] = {
	[FATE_DONE] = { "done", ERR_NONE },
	[FATE_GONE] = { "gone", ERR_IO },
	[FATE_EXISTS] = { "exists", ERR_IO },
	[FATE_BUSY] = { "busy", ERR_IO },
	[FATE_CHANGED] = { "changed", ERR_IO },
	[FATE_ESCAPES] = { "escapes", ERR_INPUT },
	[FATE_BAD_NAME] = { "bad name", ERR_INPUT },
	[FATE_TOO_LONG] = { "name too long", ERR_IO },
	[FATE_KIND] = { "other kind", ERR_IO },
	[FATE_DENIED] = { "denied", ERR_IO },
	[FATE_READ_ONLY] = { "read-only", ERR_IO },
	[FATE_FULL] = { "no room", ERR_IO },
	[FATE_CORRUPT] = { "corrupt", ERR_INPUT },
	[FATE_OFFLINE] = { "offline", ERR_HELD },
	[FATE_FAILED] = { "failed", ERR_IO },
};

enum fate
fate_of_errno(int error)
{
	switch (error) {
	case ENOENT:
		return FATE_GONE;
	case EEXIST:
	case ENOTEMPTY:
		return FATE_EXISTS;
	case EAGAIN:
	case ETXTBSY:
	case EBUSY:
		return FATE_BUSY;
	case ELOOP:
	case EXDEV:
		return FATE_ESCAPES;
	case ENAMETOOLONG:
	case EILSEQ: /* file systems that take only UTF-8 */
		return FATE_TOO_LONG;
	case ENOTDIR:
	case EISDIR:
	case ENXIO: /* a FIFO or socket was opened */
		return FATE_KIND;
	case EACCES:
	case EPERM:
		return FATE_DENIED;
	case EROFS:
		return FATE_READ_ONLY;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return FATE_FULL;
	case ESTALE:
	case ENODEV:
		return FATE_OFFLINE;
	default:
		return FATE_FAILED;
	}
}

const char *
fate_word(enum fate f)
{
	return fates[f].word;
}

/* The path for a message: printable, a long one cut to its end. */
static void
shown(const char *path, char out[ESCAPED_MAX])
{
	size_t len = strlen(path);
	bool cut = len > PATH_SHOWN;

	if (len == 0)
		memcpy(out, "the tree's root", sizeof "the tree's root");
	else
		(void)text_escape(cut ? path + len - PATH_SHOWN : path, cut ? PATH_SHOWN : len, out, ESCAPED_MAX);
}

enum fate
fate_errno(struct err *e, const char *what, const char *path)
{
	enum fate f = fate_of_errno(errno);
	char text[ESCAPED_MAX];
	int saved = errno;

	shown(path, text);
	errno = saved;
	(void)err_errno(e, fates[f].code, "%s %.*s", what, ERR_MSG_MAX / 2, text);
	return f;
}

enum fate
fate_set(struct err *e, enum fate f, const char *what, const char *path)
{
	char text[ESCAPED_MAX];

	shown(path, text);
	(void)err_set(e, fates[f].code, "%s %.*s: %s", what, ERR_MSG_MAX / 2, text, fates[f].word);
	return f;
}

/* The spool. Lives here: memory or file, zstd in and out, cutting lines. Not here: what the lines
 * say (wire/message, wire/line). */
#include "wire/spool.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/disk.h"
#include "wire/line.h"

enum {
	SPOOL_CHUNK = 128 * 1024, /* bytes in and out of zstd at once */
	SPOOL_LEVEL = 1,	  /* zstd: the fast end; a LAN is faster than any higher level */
	SPOOL_WINDOW_LOG = 23	  /* decoder: refuse a frame that wants more than 8 MiB of window */
};

struct spool {
	char *directory;
	struct buf memory;
	int fd;
	uint64_t size;	/* bytes in file or memory */
	uint64_t plain; /* bytes before compression */
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
	uint64_t read_at; /* next compressed byte to read */
	bool frame_open;  /* the decoder is inside a frame */
	struct buf lines; /* decompressed, not yet handed out */
	size_t line_at;	  /* start of the next line in it */
	size_t scanned;	  /* bytes of lines known to hold no newline */
	char *chunk;
	size_t chunk_len, chunk_at;
};

bool
spool_new(const char *directory, struct spool **out, struct err *e)
{
	struct spool *s = calloc(1, sizeof *s);

	*out = NULL;
	if (s == NULL)
		return err_set(e, ERR_MEMORY, "out of memory for a spool");
	s->fd = -1;
	buf_init(&s->memory, SPOOL_MEMORY);
	buf_init(&s->lines, (size_t)LINE_BYTES_MAX + SPOOL_CHUNK * 2);
	s->directory = strdup(directory);
	s->chunk = malloc(SPOOL_CHUNK);
	if (s->directory == NULL || s->chunk == NULL) {
		spool_free(s);
		return err_set(e, ERR_MEMORY, "out of memory for a spool");
	}
	*out = s;
	return true;
}

void
spool_free(struct spool *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		(void)close(s->fd);
	(void)ZSTD_freeCCtx(s->pack);
	(void)ZSTD_freeDCtx(s->unpack);
	buf_free(&s->memory);
	buf_free(&s->lines);
	free(s->chunk);
	free(s->directory);
	free(s);
}

/* --- bytes --- */

static bool
open_file(struct spool *s, struct err *e)
{
	char path[4096];

	if (snprintf(path, sizeof path, "%s/spool-XXXXXX", s->directory) >= (int)sizeof path)
		return err_set(e, ERR_CONFIG, "[node] state_dir is too long");
	s->fd = mkostemp(path, O_CLOEXEC);
	if (s->fd < 0)
		return err_errno(e, ERR_IO, "cannot make a file in [node] state_dir %s", s->directory);
	(void)unlink(path); /* nobody else needs its name, and it vanishes with us */
	return true;
}

static bool
write_all(int fd, const void *data, size_t len, struct err *e)
{
	return disk_write(fd, data, len) || err_errno(e, ERR_IO, "writing to a spool file in [node] state_dir");
}

bool
spool_put(struct spool *s, const void *data, size_t len, struct err *e)
{
	if (len > SPOOL_BYTES_MAX - s->size)
		return err_set(e, ERR_LIMIT, "a group is larger than %llu bytes: lower [sync] group_rows where it comes from", (unsigned long long)SPOOL_BYTES_MAX);
	if (s->fd < 0 && len <= SPOOL_MEMORY - s->memory.len) {
		buf_put(&s->memory, data, len);
		s->size += len;
		return buf_check(&s->memory, "a spool", e);
	}
	if (s->fd < 0) {
		if (!open_file(s, e) || !write_all(s->fd, s->memory.data, s->memory.len, e))
			return false;
		buf_free(&s->memory);
	}
	s->size += len;
	return write_all(s->fd, data, len, e);
}

uint64_t
spool_size(const struct spool *s)
{
	return s->size;
}

uint64_t
spool_plain_size(const struct spool *s)
{
	return s->plain;
}

bool
spool_get(struct spool *s, uint64_t offset, void *out, size_t len, size_t *got, struct err *e)
{
	ssize_t n;

	*got = 0;
	if (offset >= s->size)
		return true;
	if (len > s->size - offset)
		len = (size_t)(s->size - offset);
	if (s->fd < 0) {
		memcpy(out, s->memory.data + offset, len);
		*got = len;
		return true;
	}
	n = pread(s->fd, out, len, (off_t)offset);
	if (n < 0)
		return err_errno(e, ERR_IO, "reading a spool file");
	*got = (size_t)n;
	return true;
}

/* --- compression --- */

static bool
compress_more(struct spool *s, ZSTD_inBuffer *in, ZSTD_EndDirective how, struct err *e)
{
	size_t left;

	do {
		ZSTD_outBuffer out = { s->chunk, SPOOL_CHUNK, 0 };

		left = ZSTD_compressStream2(s->pack, &out, in, how);
		if (ZSTD_isError(left))
			return err_set(e, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
		if (out.pos > 0 && !spool_put(s, s->chunk, out.pos, e))
			return false;
	} while (how == ZSTD_e_end ? left != 0 : in->pos < in->size);
	return true;
}

bool
spool_write(struct spool *s, const void *data, size_t len, struct err *e)
{
	ZSTD_inBuffer in = { data, len, 0 };

	if (s->pack == NULL) {
		s->pack = ZSTD_createCCtx();
		if (s->pack == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a spool");
		(void)ZSTD_CCtx_setParameter(s->pack, ZSTD_c_compressionLevel, SPOOL_LEVEL);
	}
	s->plain += len;
	return compress_more(s, &in, ZSTD_e_continue, e);
}

bool
spool_finish(struct spool *s, struct err *e)
{
	ZSTD_inBuffer in = { NULL, 0, 0 };

	if (s->pack == NULL)
		return true;
	if (!compress_more(s, &in, ZSTD_e_end, e))
		return false;
	(void)ZSTD_freeCCtx(s->pack); /* its window is a few MiB that a waiting spool does not need */
	s->pack = NULL;
	return true;
}

/* --- lines --- */

bool
spool_rewind(struct spool *s, struct err *e)
{
	if (s->unpack == NULL) {
		s->unpack = ZSTD_createDCtx();
		if (s->unpack == NULL)
			return err_set(e, ERR_MEMORY, "out of memory for a spool");
		(void)ZSTD_DCtx_setParameter(s->unpack, ZSTD_d_windowLogMax, SPOOL_WINDOW_LOG);
	}
	(void)ZSTD_DCtx_reset(s->unpack, ZSTD_reset_session_only);
	s->read_at = 0;
	s->frame_open = false;
	s->chunk_len = s->chunk_at = 0;
	s->line_at = s->scanned = 0;
	buf_reset(&s->lines);
	return true;
}

/* Decompress some more behind what is there. *end: no byte is left. */
static bool
fill_lines(struct spool *s, bool *end, struct err *e)
{
	ZSTD_inBuffer in;
	ZSTD_outBuffer out;
	size_t left;
	char *room;

	*end = false;
	if (s->chunk_at == s->chunk_len) {
		s->chunk_at = 0;
		if (!spool_get(s, s->read_at, s->chunk, SPOOL_CHUNK, &s->chunk_len, e))
			return false;
		s->read_at += s->chunk_len;
	}
	if (s->chunk_len == 0 && !s->frame_open) {
		*end = true;
		return true;
	}
	if (s->chunk_len == 0)
		return err_set(e, ERR_INPUT, "a group ends in the middle");
	room = buf_room(&s->lines, SPOOL_CHUNK);
	if (room == NULL)
		return s->lines.no_memory ? err_set(e, ERR_MEMORY, "out of memory for a record") :
					    err_set(e, ERR_LIMIT, "a record is longer than %d bytes", LINE_BYTES_MAX);
	in = (ZSTD_inBuffer){ s->chunk, s->chunk_len, s->chunk_at };
	out = (ZSTD_outBuffer){ room, SPOOL_CHUNK, 0 };
	left = ZSTD_decompressStream(s->unpack, &out, &in);
	if (ZSTD_isError(left))
		return err_set(e, ERR_INPUT, "a group is not compressed as it should be: %s", ZSTD_getErrorName(left));
	s->frame_open = left != 0;
	s->chunk_at = in.pos;
	s->lines.len += out.pos;
	return true;
}

bool
spool_line(struct spool *s, char **line, size_t *len, struct err *e)
{
	bool end = false;

	*line = NULL;
	for (;;) {
		char *from = s->lines.data == NULL ? NULL : s->lines.data + s->line_at;
		size_t have = s->lines.len - s->line_at;
		char *newline = have > s->scanned ? memchr(from + s->scanned, '\n', have - s->scanned) : NULL;

		if (newline != NULL) {
			*line = from;
			*len = (size_t)(newline - from);
			*newline = '\0';
			s->line_at += *len + 1;
			s->scanned = 0;
			return true;
		}
		s->scanned = have;
		if (end)
			break;
		buf_drop(&s->lines, s->line_at);
		s->line_at = 0;
		if (!fill_lines(s, &end, e))
			return false;
	}
	return s->lines.len == s->line_at || err_set(e, ERR_INPUT, "the last line of a group has no end");
}

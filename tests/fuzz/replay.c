/* Gives a fuzz target each file of its corpus, and beginnings of it, in a build without libFuzzer.
 * Speaks TAP; run by make check. The corpus of PROGRAM is tests/fuzz/corpus/PROGRAM. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"

enum {
	INPUT_MAX = 1024 * 1024,
	CUTS = 16 /* beginnings of each input that are tried as well */
};

static size_t
read_file(const char *path, uint8_t *out)
{
	FILE *f = fopen(path, "rb");
	size_t len;

	if (f == NULL) {
		(void)printf("Bail out! cannot read %s: %s\n", path, strerror(errno));
		exit(1);
	}
	len = fread(out, 1, INPUT_MAX, f);
	(void)fclose(f);
	return len;
}

/* A copy of exactly this size, so that a sanitizer sees a step beyond it. */
static void
try(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);

	MUST(copy != NULL);
	memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static unsigned
replay(const char *folder)
{
	static uint8_t data[INPUT_MAX];
	DIR *d = opendir(folder);
	struct dirent *entry;
	char path[4096];
	unsigned n = 0;
	size_t len;

	if (d == NULL)
		return 0;
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		len = read_file(path, data);
		try(data, len);
		for (size_t i = 0; i < CUTS; i++)
			try(data, len * i / CUTS);
		n++;
	}
	(void)closedir(d);
	return n;
}

int
main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/'), *srcdir = getenv("srcdir");
	char folder[2048];
	unsigned n;

	name = name == NULL ? argv[0] : name + 1;
	(void)snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", srcdir == NULL ? "." : srcdir, name);
	n = replay(argc > 1 ? argv[1] : folder);
	(void)printf("1..1\n%sok 1 - %s takes %u inputs and their beginnings\n", n > 0 ? "" : "not ", name, n);
	return n > 0 ? 0 : 1;
}

/* agent.conf: any text is either taken whole or refused with a message that names the file. */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "fuzz.h"

static char folder[] = "/tmp/tandem-fuzz.XXXXXX", path[64];

static void
clean(void)
{
	(void)unlink(path);
	(void)rmdir(folder);
}

static void
prepare(void)
{
	MUST(mkdtemp(folder) != NULL);
	(void)snprintf(path, sizeof path, "%s/agent.conf", folder);
	(void)umask(077);
	MUST(atexit(clean) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf *conf = NULL;
	struct err e = { .code = ERR_NONE };
	FILE *f;

	if (path[0] == '\0')
		prepare();
	f = fopen(path, "wb");
	MUST(f != NULL);
	MUST(fwrite(data, 1, len, f) == len);
	MUST(fclose(f) == 0);
	if (conf_load(path, &conf, &e)) {
		MUST(conf != NULL && conf->npeers <= CONF_PEERS_MAX && conf->node.name != NULL);
		conf_free(conf);
	} else
		MUST(e.code != ERR_NONE && strstr(e.msg, "agent.conf") != NULL);
	return 0;
}

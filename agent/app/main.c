/* The program's start. Lives here: the order of things, and the one place where an error becomes
 * a line on stderr. Not here: anything that a test could want to call. */
#include "config.h"

#include <curl/curl.h>
#include <mysql.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/verbs.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/process.h"

/* The libraries set themselves up at first use, which is safe only before there are threads. */
static bool
prepare_libraries(struct err *e)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || mysql_library_init(0, NULL, NULL) != 0)
		return err_set(e, ERR_MEMORY, "libcurl or libmariadb cannot start; is there memory left?");
	return true;
}

static enum exit_code
run(int argc, char **argv, struct err *e)
{
	struct conf *conf = NULL;
	enum exit_code code;
	struct cli cli;

	if (!cli_parse(argc, argv, verb_table, &cli, e))
		return cli_exit_code(e);
	if (cli.verb == NULL)
		return EXIT_DONE;
	if (cli.verb->needs_conf && (!conf_load(cli.config, &conf, e) || !process_make_directory(conf->node.state_dir, e)))
		code = cli_exit_code(e);
	else if (!cli_open_log(&cli, conf, e) || !prepare_libraries(e))
		code = cli_exit_code(e);
	else
		code = cli.verb->run(&cli, conf, e);
	mysql_library_end();
	curl_global_cleanup();
	log_close();
	conf_free(conf);
	return code;
}

int
main(int argc, char **argv)
{
	struct err e = { .code = ERR_NONE };
	enum exit_code code;

	process_prepare();
	code = run(argc, argv, &e);
	if (code != EXIT_DONE && e.msg[0] != '\0')
		cli_complain(e.msg);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_complain("the output could not be written; is the disk full?");
		code = code == EXIT_DONE ? EXIT_FAILED : code;
	}
	return (int)code;
}

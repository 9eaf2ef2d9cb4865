/* What a shell completes after "agent". All three scripts ask the same: which verb stands in the
 * line already; then they offer what that verb takes. Arguments that can be known are offered, too:
 * the names of peers and folders from agent.conf, local, remote and both, files behind --config. */
#include "config.h"

#include "app/completion.h"

#include <stdio.h>
#include <string.h>

/* --- bash ------------------------------------------------------------------------------------- */

/* The names of its [peer] or [tree] sections: from the file that the line names, else from the one that agent would
 * take. */
static const char bash_head[] =
    "# Completion of agent's verbs and options for bash, as agent --completion bash prints it.\n"
    "_agent_named()\n"
    "{\n"
    "\tlocal i file=${AGENT_CONF:-./agent.conf}\n"
    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
    "\t\t[ \"${COMP_WORDS[i]}\" != --config ] || file=${COMP_WORDS[i + 1]}\n"
    "\tdone\n"
    "\t[ -r \"$file\" ] || file=" SYSCONFDIR "/agent.conf\n"
    "\tsed -n \"s/^\\[$1 \\([A-Za-z0-9._-]*\\)\\].*/\\1/p\" \"$file\" 2>/dev/null\n"
    "}\n"
    "_agent()\n"
    "{\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word verb= words=\n"
    "\tCOMPREPLY=()\n"
    "\tcase $prev in\n"
    "\t--config) COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null; return ;;\n"
    "\t--keep) COMPREPLY=($(compgen -W 'local remote both' -- \"$cur\")); return ;;\n"
    "\t--color) COMPREPLY=($(compgen -W 'auto always never' -- \"$cur\")); return ;;\n"
    "\t--completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\")); return ;;\n"
    "\t--peer|--from|--unpair|--rotate) COMPREPLY=($(compgen -W \"$(_agent_named peer)\" -- \"$cur\")); return ;;\n"
    "\t--push|--pull|--backup|--restore) COMPREPLY=($(compgen -W \"$(_agent_named tree)\" -- \"$cur\")); return ;;\n"
    "\tesac\n"
    "\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
    "\t\tcase $word in\n"
    "\t\t";

/* " --drain --status": the verbs, or the options that a verb takes (NULL: those that all take). */
static void
print_words(const struct verb *verbs)
{
	for (const struct verb *v = verbs; v->name != NULL; v++)
		(void)printf("%s--%s", v == verbs ? "" : " ", v->name);
}

static void
print_options(const char *verb)
{
	struct cli_option o;

	for (size_t i = 0; cli_option(i, &o); i++)
		if (cli_takes(i, verb))
			(void)printf(" --%s", o.name);
}

static void
print_bash(const struct verb *verbs)
{
	(void)fputs(bash_head, stdout);
	for (const struct verb *v = verbs; v->name != NULL; v++)
		(void)printf("%s--%s", v == verbs ? "" : "|", v->name);
	(void)printf(") verb=$word ;;\n\t\tesac\n\tdone\n\tcase $verb in\n\t'') words='");
	print_words(verbs);
	print_options(NULL);
	(void)printf("' ;;\n");
	for (const struct verb *v = verbs; v->name != NULL; v++) {
		(void)printf("\t--%s) words='", v->name);
		print_options(v->name);
		(void)printf("' ;;\n");
	}
	(void)printf("\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _agent agent\n");
}

/* --- zsh -------------------------------------------------------------------------------------- */

static const char zsh_head[] =
    "#compdef agent\n"
    "# Completion of agent's verbs and options for zsh, as agent --completion zsh prints it.\n"
    "_agent_named()\n"
    "{\n"
    "\tlocal file=${AGENT_CONF:-./agent.conf} at=${words[(i)--config]}\n"
    "\t(( at < CURRENT - 1 )) && file=${words[at + 1]}\n"
    "\t[[ -r $file ]] || file=" SYSCONFDIR "/agent.conf\n"
    "\tcompadd -- ${(f)\"$(sed -n \"s/^\\[$1 \\([A-Za-z0-9._-]*\\)\\].*/\\1/p\" $file 2>/dev/null)\"}\n"
    "}\n"
    "_agent()\n"
    "{\n"
    "\tlocal word verb=\n"
    "\tlocal -a offered\n"
    "\tcase ${words[CURRENT - 1]} in\n"
    "\t--config) _files; return ;;\n"
    "\t--keep) compadd local remote both; return ;;\n"
    "\t--color) compadd auto always never; return ;;\n"
    "\t--completion) compadd bash zsh fish; return ;;\n"
    "\t--peer|--from|--unpair|--rotate) _agent_named peer; return ;;\n"
    "\t--push|--pull|--backup|--restore) _agent_named tree; return ;;\n"
    "\tesac\n"
    "\tfor word in ${words[2,CURRENT - 1]}; do\n"
    "\t\tcase $word in\n"
    "\t\t";

/* Text inside '...' of a shell; in zsh's lists a : separates and is escaped. */
static void
print_text(const char *text, bool zsh)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\'')
			(void)fputs(zsh ? "'\\''" : "\\'", stdout);
		else if (zsh && *p == ':')
			(void)fputs("\\:", stdout);
		else
			(void)putchar(*p);
	}
}

static void
print_zsh_word(const char *name, const char *help)
{
	(void)printf(" '--%s:", name);
	print_text(help, true);
	(void)putchar('\'');
}

static void
print_zsh_options(const char *verb)
{
	struct cli_option o;

	for (size_t i = 0; cli_option(i, &o); i++)
		if (cli_takes(i, verb))
			print_zsh_word(o.name, o.help);
}

static void
print_zsh(const struct verb *verbs)
{
	(void)fputs(zsh_head, stdout);
	for (const struct verb *v = verbs; v->name != NULL; v++)
		(void)printf("%s--%s", v == verbs ? "" : "|", v->name);
	(void)printf(") verb=$word ;;\n\t\tesac\n\tdone\n\tcase $verb in\n\t'') offered=(");
	for (const struct verb *v = verbs; v->name != NULL; v++)
		print_zsh_word(v->name, v->help);
	print_zsh_options(NULL);
	(void)printf(") ;;\n");
	for (const struct verb *v = verbs; v->name != NULL; v++) {
		(void)printf("\t--%s) offered=(", v->name);
		print_zsh_options(v->name);
		(void)printf(") ;;\n");
	}
	(void)printf("\tesac\n\t_describe agent offered\n}\n"
		     "if [ \"$funcstack[1]\" = _agent ]; then _agent \"$@\"; else compdef _agent agent; fi\n");
}

/* --- fish ------------------------------------------------------------------------------------- */

static const char fish_head[] =
    "# Completion of agent's verbs and options for fish, as agent --completion fish prints it.\n"
    "function __agent_named\n"
    "\tset -l file ./agent.conf\n"
    "\tset -q AGENT_CONF; and set file $AGENT_CONF\n"
    "\tset -l line (commandline -opc)\n"
    "\tset -l at (contains -i -- --config $line); and set file $line[(math $at + 1)]\n"
    "\ttest -r \"$file\"; or set file " SYSCONFDIR "/agent.conf\n"
    "\tsed -n \"s/^\\[$argv[1] \\([A-Za-z0-9._-]*\\)\\].*/\\1/p\" $file 2>/dev/null\n"
    "end\n"
    "# Does one of these verbs stand in the line?\n"
    "function __agent_verb\n"
    "\tfor word in (commandline -opc)\n"
    "\t\tcontains -- $word $argv; and return 0\n"
    "\tend\n"
    "\treturn 1\n"
    "end\n"
    "complete -c agent -f\n";

/* What an option's or verb's argument can be. */
static const char *
fish_argument(const char *name, const char *argument)
{
	if (argument == NULL)
		return "";
	if (strcmp(name, "config") == 0)
		return " -r -F";
	if (strcmp(name, "keep") == 0)
		return " -x -a 'local remote both'";
	if (strcmp(name, "color") == 0)
		return " -x -a 'auto always never'";
	if (strcmp(name, "completion") == 0)
		return " -x -a 'bash zsh fish'";
	if (strcmp(name, "peer") == 0 || strcmp(name, "from") == 0 || strcmp(name, "unpair") == 0 ||
	    strcmp(name, "rotate") == 0)
		return " -x -a '(__agent_named peer)'";
	if (strcmp(name, "push") == 0 || strcmp(name, "pull") == 0 || strcmp(name, "backup") == 0 ||
	    strcmp(name, "restore") == 0)
		return " -x -a '(__agent_named tree)'";
	return argument[0] == '[' ? "" : " -x";
}

static void
print_fish_line(const char *name, const char *argument, const char *help)
{
	(void)printf(" -l %s%s -d '", name, fish_argument(name, argument));
	print_text(help, false);
	(void)printf("'\n");
}

static void
print_fish(const struct verb *verbs)
{
	struct cli_option o;

	(void)fputs(fish_head, stdout);
	for (const struct verb *v = verbs; v->name != NULL; v++) {
		(void)printf("complete -c agent -n 'not __agent_verb");
		for (const struct verb *other = verbs; other->name != NULL; other++)
			if (other != v || v->argument == NULL) /* else its argument would not be offered */
				(void)printf(" --%s", other->name);
		(void)printf("'");
		print_fish_line(v->name, v->argument, v->help);
	}
	for (size_t i = 0; cli_option(i, &o); i++) {
		(void)printf("complete -c agent");
		if (o.letter != 0)
			(void)printf(" -s %c", o.letter);
		if (!cli_takes(i, NULL)) {
			(void)printf(" -n '__agent_verb");
			for (const struct verb *v = verbs; v->name != NULL; v++)
				if (cli_takes(i, v->name))
					(void)printf(" --%s", v->name);
			(void)printf("'");
		}
		print_fish_line(o.name, o.argument, o.help);
	}
}

/* ---------------------------------------------------------------------------------------------- */

bool
completion_print(const struct verb *verbs, const char *shell, struct err *e)
{
	static const struct {
		const char *name;
		void (*print)(const struct verb *);
	} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };

	for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++)
		if (strcmp(shell, shells[i].name) == 0) {
			shells[i].print(verbs);
			return true;
		}
	return err_set(e, ERR_USAGE, "no completion for \"%.40s\"; write agent --completion bash, zsh or fish", shell);
}

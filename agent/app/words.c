/* Words that page and command line share. Not here: the page (app/page puts them into its templates itself). */
#include "app/words.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/asset.h"

enum {
	KEY_MAX = 80
};

struct words {
	struct json_object *texts;
};

struct words *
words_open(void)
{
	const struct asset *a = asset_find("web/texts.json");
	struct words *w = calloc(1, sizeof *w);

	if (w != NULL && a != NULL)
		w->texts = json_tokener_parse((const char *)a->data);
	return w;
}

void
words_close(struct words *w)
{
	if (w != NULL)
		json_object_put(w->texts);
	free(w);
}

const char *
words_get(const struct words *w, const char *prefix, const char *name)
{
	struct json_object *text = NULL;
	char key[KEY_MAX];

	(void)snprintf(key, sizeof key, "%s%s", prefix, name);
	if (w == NULL || w->texts == NULL || !json_object_object_get_ex(w->texts, key, &text))
		return "";
	return json_object_get_string(text);
}

#include "proc/import.h"

#include <string.h>

enum { NOTES_MAX = 400,
	NOTE_MODELS_MAX = 200 };

static json_t *
find(json_t *list, const char *what, const char *reason)
{
	json_t *note;
	size_t i;
	json_array_foreach(list, i, note) if (strcmp(json_string_value(json_object_get(note, "what")), what) == 0 &&
		strcmp(json_string_value(json_object_get(note, "reason")), reason) == 0) return note;
	return NULL;
}

/* Lists are not always in UTF-8 that JSON takes; what isn't is shown as far as it is. */
static json_t *
text(const char *s)
{
	json_t *t = json_string(s);
	return t != NULL ? t : json_string("?");
}

void
import_note(struct import_notes *notes, const char *model, const char *what, const char *reason)
{
	if (notes == NULL)
		return;
	json_t *note = find(notes->list, what, reason);
	if (note == NULL) {
		if (json_array_size(notes->list) == NOTES_MAX) {
			notes->more++;
			return;
		}
		note = json_pack("{s:o, s:o, s:[], s:i}", "what", text(what), "reason", text(reason), "models", "count", 0);
		json_array_append_new(notes->list, note);
	}
	json_t *models = json_object_get(note, "models"), *last = json_array_get(models, json_array_size(models) - 1);
	if (last != NULL && strcmp(json_string_value(last), model) == 0)
		return;
	json_object_set_new(note, "count", json_integer(json_integer_value(json_object_get(note, "count")) + 1));
	if (json_array_size(models) < NOTE_MODELS_MAX)
		json_array_append_new(models, text(model));
}

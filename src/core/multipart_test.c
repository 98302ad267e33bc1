#include "core/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define B "--bnd"
#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

/* What a form says, in one line: "name=content" or "name@content" for a file, "!" and the error. */
static void
say_of(void (*init)(struct multipart *, struct span), const char *body, size_t len, size_t step, char *to)
{
	struct multipart m;
	struct multipart_event ev = {0};
	char *out = to;
	init(&m, SPAN("bnd"));
	for (size_t at = 0; at < len; at += step) {
		size_t n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, body + at, n);
		multipart_feed(&m, piece, n);
		for (enum multipart_token t; (t = multipart_next(&m, &ev)) != MULTIPART_MORE;) {
			if (t == MULTIPART_BAD) {
				sprintf(to, "!%d", m.error);
				free(piece);
				return;
			}
			if (t == MULTIPART_PART) {
				assert_true(ev.at <= at + n);
				out += sprintf(out, "%.*s%c", (int)ev.name.len, ev.name.at, ev.file ? '@' : '=');
			}
			if (t == MULTIPART_DATA) {
				memcpy(out, ev.data.at, ev.data.len);
				out += ev.data.len;
			}
			if (t == MULTIPART_PART_END) {
				assert_memory_equal(body + ev.at, "\r\n--bnd", 7);
				*out++ = ';';
			}
			if (t == MULTIPART_END)
				*out++ = '.';
		}
		free(piece);
	}
	strcpy(out, multipart_complete(&m) ? "" : "?");
}

static void
say(const char *body, size_t len, size_t step, char *to)
{
	say_of(multipart_init, body, len, step, to);
}

static void
a_form_is_read_in_any_pieces(void **state)
{
	static const struct {
		const char *body, *says;
	} rows[] = {
		{B "\r\n" FIELD("model") "\r\nwhisper-1\r\n" B "--\r\n", "model=whisper-1;."},
		{B "\r\n" FIELD("model") "\r\nwhisper-1\r\n" B "--", "model=whisper-1;."},
		{B "\r\n" FIELD("a") "\r\n\r\n" B "\r\n" FIELD("b") "\r\n1\r\n" B "--\r\n", "a=;b=1;."},
		{B "\r\ncontent-type: audio/wav\r\ncontent-disposition:form-data;name=file ; filename=\"a \\b;c.wav\"\r\nX-Y: z\r\n\r\n\r\n-\r\n--\r\n--bn\r\r\n\n--b\r\n" B "--",
			"file@\r\n-\r\n--\r\n--bn\r\r\n\n--b;."},
		{B "\r\nContent-Disposition: FORM-DATA; name=\"f\"; filename=\"x\"; filename*=utf-8''x\r\nContent-Transfer-Encoding: binary\r\n\r\n--bn\r\n--bn\r\n" B "--\r\n",
			"f@--bn\r\n--bn;."},
		{B "\r\n" FIELD("a") "\r\n1\r\n" B "--\r", "a=1;.?"},
		{B "\r\n" FIELD("a") "\r\n1\r\n" B "-", "a=1;?"},
		{B "\r\n" FIELD("a") "\r\n1\r\n--bn", "a=1?"},
		{B "\r\n" FIELD("a"), "?"},
		{"", "?"},
	};
	char out[4096];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step < 90; step++) {
			say(rows[i].body, strlen(rows[i].body), step, out);
			assert_string_equal(out, rows[i].says);
		}
}

#define ONE(head) B "\r\n" head "\r\n\r\n1\r\n" B "--"
#define DISPOSITION "Content-Disposition: form-data; name=\"a\""

static void
what_can_be_read_in_two_ways_is_refused(void **state)
{
	static const struct {
		const char *body;
		enum multipart_error error;
	} rows[] = {
		{"preamble\r\n" B "\r\n", MULTIPART_E_START},
		{"\r\n" B "\r\n", MULTIPART_E_START},
		{B "--", MULTIPART_E_START},
		{B "\n", MULTIPART_E_DELIMITER},
		{B " \r\n", MULTIPART_E_DELIMITER},
		{B "x\r\n", MULTIPART_E_DELIMITER},
		{B "\r\n" FIELD("a") "\r\n1\r\n" B "x", MULTIPART_E_DELIMITER},
		{B "\r\n" FIELD("a") "\r\n1\r\n" B "-x", MULTIPART_E_DELIMITER},
		{B "\r\n" FIELD("a") "\r\n1\n" B "--", MULTIPART_E_STRAY_BOUNDARY},
		{B "\r\n" FIELD("a") "\r\n1\r" B "--", MULTIPART_E_STRAY_BOUNDARY},
		{B "\r\n" FIELD("a") "\r\n" B "--", MULTIPART_E_STRAY_BOUNDARY},
		{B "\r\n" FIELD("a") "\r\n1 " B " 2\r\n" B "--", MULTIPART_E_STRAY_BOUNDARY},
		{B "\r\n" FIELD("a") "\r\n-" B "\r\n", MULTIPART_E_STRAY_BOUNDARY},
		{B "\r\n" FIELD("a") "\r\n\r\r\n\n-" B "\r\n", MULTIPART_E_STRAY_BOUNDARY},
		{B "\r\n" FIELD("a") B ": x\r\n\r\n1\r\n" B "--", MULTIPART_E_STRAY_BOUNDARY},
		{B "\r\n\r\n1\r\n" B "--", MULTIPART_E_DISPOSITION},
		{ONE("Content-Type: text/plain"), MULTIPART_E_DISPOSITION},
		{ONE(DISPOSITION "\r\n" DISPOSITION), MULTIPART_E_DISPOSITION},
		{ONE(DISPOSITION "; name=\"b\""), MULTIPART_E_DISPOSITION},
		{ONE(DISPOSITION "; name*=utf-8''b"), MULTIPART_E_DISPOSITION},
		{ONE(DISPOSITION "; filename=a; filename=b"), MULTIPART_E_DISPOSITION},
		{ONE(DISPOSITION "; filename=\"a\\\"; name=\\\"b\""), MULTIPART_E_DISPOSITION},
		{ONE(DISPOSITION " x"), MULTIPART_E_DISPOSITION},
		{ONE(DISPOSITION ";"), MULTIPART_E_DISPOSITION},
		{ONE("Content-Disposition: form-data"), MULTIPART_E_DISPOSITION},
		{ONE("Content-Disposition: form-data; name"), MULTIPART_E_DISPOSITION},
		{ONE("Content-Disposition: form-data; name="), MULTIPART_E_DISPOSITION},
		{ONE("Content-Disposition: form-data; name=\"a"), MULTIPART_E_DISPOSITION},
		{ONE("Content-Disposition: form-data; name=\"a\\b\""), MULTIPART_E_DISPOSITION},
		{ONE("Content-Disposition: attachment; name=\"a\""), MULTIPART_E_DISPOSITION},
		{ONE(DISPOSITION "\r\n x: folded"), MULTIPART_E_HEAD},
		{ONE(DISPOSITION "\r\nnothing"), MULTIPART_E_HEAD},
		{ONE(DISPOSITION "\r\nx : y"), MULTIPART_E_HEAD},
		{ONE(DISPOSITION "\nx: y"), MULTIPART_E_HEAD},
		{ONE(DISPOSITION "\r\nx: y\rz"), MULTIPART_E_HEAD},
		{ONE(DISPOSITION "\r\nx: \x01"), MULTIPART_E_HEAD},
		{ONE(DISPOSITION "\r\nContent-Transfer-Encoding: base64"), MULTIPART_E_TRANSFER},
		{ONE(DISPOSITION "\r\nContent-Type: Multipart/mixed; boundary=x"), MULTIPART_E_NESTED},
		{B "\r\n" FIELD("a") "\r\n1\r\n" B "--x", MULTIPART_E_EPILOGUE},
		{B "\r\n" FIELD("a") "\r\n1\r\n" B "--\n", MULTIPART_E_EPILOGUE},
		{B "\r\n" FIELD("a") "\r\n1\r\n" B "--\r\r", MULTIPART_E_EPILOGUE},
		{B "\r\n" FIELD("a") "\r\n1\r\n" B "--\r\n" B "\r\n", MULTIPART_E_EPILOGUE},
	};
	char out[4096], want[16];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step < 60; step += 1 + step / 8) {
			say(rows[i].body, strlen(rows[i].body), step, out);
			sprintf(want, "!%d", rows[i].error);
			if (strcmp(out, want) != 0)
				print_error("row %zu in pieces of %zu\n", i, step);
			assert_string_equal(out, want);
		}
}

static void
everything_has_a_bound(void **state)
{
	static char body[MULTIPART_PARTS_MAX * 80 + 100], out[sizeof body];
	size_t len = (size_t)sprintf(body, B);
	for (int i = 0; i < MULTIPART_PARTS_MAX; i++)
		len += (size_t)sprintf(body + len, "\r\n" FIELD("a") "\r\n1\r\n" B);
	strcpy(body + len, "--");
	say(body, len + 2, 1000, out);
	assert_int_equal(out[strlen(out) - 1], '.');
	len += (size_t)sprintf(body + len, "\r\n" FIELD("a") "\r\n1\r\n" B "--");
	say(body, len, 1000, out);
	char want[16];
	sprintf(want, "!%d", MULTIPART_E_TOO_MANY_PARTS);
	assert_string_equal(out, want);

	len = (size_t)sprintf(body, B "\r\nx: ");
	memset(body + len, 'a', MULTIPART_HEAD_MAX);
	say(body, len + MULTIPART_HEAD_MAX, 7, out);
	sprintf(want, "!%d", MULTIPART_E_HEAD_TOO_LARGE);
	assert_string_equal(out, want);
}

/* A part is told by its type; that of the one before is not its own. */
static void
parts_without_names_are_read_as_strictly(void **state)
{
	static const struct {
		const char *body, *says;
	} rows[] = {
		{B "\r\nContent-Type:  application/json \r\n\r\n{}\r\n" B "\r\ncontent-disposition: attachment; name*=x\r\ncontent-type: a/b\r\n\r\n\r\n" B "--\r\n", "application/json={};a/b=;."},
		{B "\r\ncontent-type: a/b\r\n\r\n1\r\n" B "\r\n\r\n2\r\n" B "\r\ncontent-typ: c/d\r\n\r\n3\r\n" B "--", "a/b=1;=2;=3;."},
		{B "\r\ncontent-type: a/b\r\nContent-Type: a/b\r\n\r\n1\r\n" B "--", "!5"},
		{B "\r\ncontent-type:\r\n\r\n1\r\n" B "--", "!5"},
		{B "\r\ncontent-type: a/b\r\n c/d\r\n\r\n1\r\n" B "--", "!5"},
		{B "\r\ncontent-type : a/b\r\n\r\n1\r\n" B "--", "!5"},
		{B "\r\ncontent-type: multipart/related; boundary=x\r\n\r\n1\r\n" B "--", "!8"},
		{B "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n1\r\n" B "--", "!7"},
		{"\r\n" B "\r\n\r\n1\r\n" B "--", "!1"},
		{B "\r\n\r\n1\n" B "--", "!3"},
	};
	char out[4096];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step < 90; step++) {
			say_of(multipart_related_init, rows[i].body, strlen(rows[i].body), step, out);
			assert_string_equal(out, rows[i].says);
		}
}

static void
the_boundary_of_parts_without_names_is_all_that_their_header_says(void **state)
{
	static const struct {
		const char *type;
		bool good;
	} rows[] = {
		{"multipart/related; boundary=abc", true},
		{"Multipart/Related;type=\"application/json\"; BOUNDARY=\"abc\"", true},
		{"multipart/related", false},
		{"multipart/related; type=a", false},
		{"multipart/related; boundary=abc; boundary=abc", false},
		{"multipart/related; boundary=abc; start=\"<b>\"", false},
		{"multipart/related; START=b; boundary=abc", false},
		{"multipart/related; boundary=abc; start-info=x", false},
		{"multipart/related; boundary=abc; boundary*=utf-8''b", false},
		{"multipart/related; boundary*0=b; boundary=abc", false},
		{"multipart/form-data; boundary=abc", false},
		{"multipart/relatedx; boundary=abc", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span got = {0};
		bool found = multipart_related_boundary((struct span){rows[i].type, strlen(rows[i].type)}, &got);
		if (found != rows[i].good)
			print_error("row %zu\n", i);
		assert_int_equal(found, rows[i].good);
		assert_true(!found || (got.len == 3 && !memcmp(got.at, "abc", 3)));
	}
}

static void
a_boundary_is_found_in_its_header_or_refused(void **state)
{
	static const struct {
		const char *type, *boundary; /* NULL: refused */
	} rows[] = {
		{"multipart/form-data; boundary=abc", "abc"},
		{"Multipart/Form-Data;BOUNDARY=\"a b\"", NULL},
		{"multipart/form-data ; charset=utf-8; boundary=\"a(=)?c\"", "a(=)?c"},
		{"multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567890123456789",
			"0123456789012345678901234567890123456789012345678901234567890123456789"},
		{"multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", NULL},
		{"multipart/form-data", NULL},
		{"multipart/form-data; boundary=", NULL},
		{"multipart/form-data; boundary=a; boundary=b", NULL},
		{"multipart/form-data; boundary=a b", NULL},
		{"multipart/form-data; boundary=\"a", NULL},
		{"multipart/form-data; boundary=\"\"", NULL},
		{"multipart/form-data; boundary=a%b", NULL},
		{"multipart/form-datax; boundary=a", NULL},
		{"multipart/mixed; boundary=a", NULL},
		{"application/json", NULL},
		{"", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span got = {0};
		bool found = multipart_boundary((struct span){rows[i].type, strlen(rows[i].type)}, &got);
		if (found != (rows[i].boundary != NULL))
			print_error("row %zu\n", i);
		assert_int_equal(found, rows[i].boundary != NULL);
		if (found)
			assert_true(got.len == strlen(rows[i].boundary) && !memcmp(got.at, rows[i].boundary, got.len));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_form_is_read_in_any_pieces),
		cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
		cmocka_unit_test(everything_has_a_bound),
		cmocka_unit_test(parts_without_names_are_read_as_strictly),
		cmocka_unit_test(the_boundary_of_parts_without_names_is_all_that_their_header_says),
		cmocka_unit_test(a_boundary_is_found_in_its_header_or_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

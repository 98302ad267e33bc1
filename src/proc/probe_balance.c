/* What a provider says of its account. Figures of somebody else's, shown and compared with a threshold: in no book of ours. */
#include "proc/probe.h"

#include "ticket/nano.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* "12.34", also below zero. */
static bool
read_text(const char *text, int64_t *ret)
{
	struct nano n;
	bool below = text && text[0] == '-';
	if (!text || !nano_parse((struct span){text + below, strlen(text) - below}, &n))
		return false;
	*ret = below ? -n.v : n.v;
	return true;
}

/* {"balance_infos":[{"currency":"USD","total_balance":"110.00",...}]}: dollars, else what there is. */
static bool
read_deepseek(const json_t *o, struct probe *ret)
{
	const json_t *list = json_object_get(o, "balance_infos");
	bool any = false;
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one)
	{
		const char *currency = json_string_value(json_object_get(one, "currency"));
		int64_t nano;
		if (!currency || strlen(currency) != 3 || !read_text(json_string_value(json_object_get(one, "total_balance")), &nano) || (any && strcmp(currency, "USD") != 0))
			continue;
		memcpy(ret->currency, currency, sizeof ret->currency);
		ret->balance_nano = nano;
		any = true;
	}
	return any;
}

/* {"data":{"total_credits":100.5,"total_usage":25.75}}, in dollars. */
static bool
read_openrouter(const json_t *o, struct probe *ret)
{
	static const double most = 1e9;
	const json_t *data = json_object_get(o, "data"), *bought = json_object_get(data, "total_credits"), *used = json_object_get(data, "total_usage");
	double left = json_number_value(bought) - json_number_value(used);
	if (!json_is_number(bought) || !json_is_number(used) || !(fabs(left) < most))
		return false;
	ret->balance_nano = llround(left * 1e9);
	memcpy(ret->currency, "USD", sizeof ret->currency);
	return true;
}

bool
probe_balance_read(enum balance_wire wire, struct span body, struct probe *ret)
{
	json_t *o = json_loadb(body.at, body.len, JSON_REJECT_DUPLICATES, NULL);
	ret->has_balance = o && (wire == BALANCE_DEEPSEEK ? read_deepseek(o, ret) : read_openrouter(o, ret));
	json_decref(o);
	return ret->has_balance;
}

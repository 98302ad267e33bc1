#include "proc/roles.h"

static const struct role roles[] = {
#define X(ROLE, name_, count_, listens_, grants_) \
	{.end = END_OF_##ROLE, .name = #name_, .comm = "lethe-" #name_, .count = (count_), .listens = (listens_), .grants = (grants_), .profile = PROFILE_##ROLE, .main = role_##name_},
	ROLES(X)
#undef X
};

static const struct arrow_row arrows[] = {
#define X(A, B) {END_OF_##A, END_OF_##B},
	ARROWS(X)
#undef X
};

const struct role *
role_at(uint32_t i)
{
	return i < ARRAY_LEN(roles) ? &roles[i] : NULL;
}

const struct role *
role_of(enum message_end end)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (roles[i].end == end)
			return &roles[i];
	return NULL;
}

const struct arrow_row *
arrow_row_at(uint32_t i)
{
	return i < ARRAY_LEN(arrows) ? &arrows[i] : NULL;
}

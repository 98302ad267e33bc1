#include "proc/handover.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

int
handover_write(const struct handover *h)
{
	int fd = memfd_create("lethe-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (write(fd, h, sizeof *h) == (ssize_t)sizeof *h && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	close(fd);
	return -1;
}

bool
handover_read(struct handover *ret)
{
	struct stat st;
	if (fcntl(HANDOVER_FD, F_GET_SEALS) != SEALS || fstat(HANDOVER_FD, &st) != 0 ||
		st.st_size != (off_t)sizeof *ret)
		return false;
	ssize_t n = pread(HANDOVER_FD, ret, sizeof *ret, 0);
	close(HANDOVER_FD);
	return n == (ssize_t)sizeof *ret && ret->magic == HANDOVER_MAGIC && ret->bytes == sizeof *ret &&
		ret->listen_count <= HANDOVER_LISTENERS_MAX && ret->peer_count <= HANDOVER_PEERS_MAX;
}

int
handover_peer_fd(const struct handover *h, enum message_end role, uint32_t instance)
{
	for (uint32_t i = 0; i < h->peer_count; i++)
		if (h->peer[i].role == role && h->peer[i].instance == instance)
			return h->peer[i].fd;
	return -1;
}

int
handover_only_peer_fd(const struct handover *h, enum message_end role)
{
	for (uint32_t i = 0; i < h->peer_count; i++)
		if (h->peer[i].role == role)
			return h->peer[i].fd;
	return -1;
}

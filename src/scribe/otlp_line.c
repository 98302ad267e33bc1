#include "scribe/otlp_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool
otlp_line_open(struct otlp_line *l, int fd, struct tls_client *client, const char *host)
{
	*l = (struct otlp_line){.fd = fd};
	if (client)
		l->tls = tls_connect(client, host, NULL, fd);
	return !client || l->tls;
}

void
otlp_line_close(struct otlp_line *l)
{
	tls_free(&l->tls);
	free(l->left);
	l->left = NULL;
	l->fd = -1;
}

static enum line_result
send_plain(int fd, const char *at, size_t len, size_t *sent)
{
	while (*sent < len) {
		ssize_t n = send(fd, at + *sent, len - *sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return LINE_AGAIN;
		if (n <= 0)
			return LINE_OVER;
		*sent += (size_t)n;
	}
	return LINE_OK;
}

static enum line_result
send_left(struct otlp_line *l)
{
	enum line_result r = l->left ? send_plain(l->fd, l->left, l->left_len, &l->left_sent) : LINE_OK;
	if (r != LINE_AGAIN) {
		free(l->left);
		l->left = NULL;
	}
	return r;
}

/* What TLS has to say is sent, or kept: the wire is everybody's. Nothing is left from before. */
static enum line_result
send_wire(struct otlp_line *l)
{
	struct span wire = tls_wire();
	size_t sent = 0;
	enum line_result r = send_plain(l->fd, wire.at, wire.len, &sent);
	if (r == LINE_AGAIN) {
		l->left_len = wire.len - sent;
		l->left_sent = 0;
		l->left = malloc(l->left_len);
		if (l->left)
			memcpy(l->left, wire.at + sent, l->left_len);
		else
			r = LINE_OVER;
	}
	tls_wire_taken();
	return r;
}

enum line_result
otlp_line_shake(struct otlp_line *l)
{
	enum line_result left = send_left(l);
	if (!l->tls || left != LINE_OK)
		return left;
	enum tls_result r = tls_handshake(l->tls);
	left = send_wire(l);
	if (left == LINE_OVER || (r != TLS_OK && r != TLS_AGAIN))
		return LINE_OVER;
	return r == TLS_OK ? left : LINE_AGAIN;
}

enum line_result
otlp_line_send(struct otlp_line *l, const char *at, size_t len, size_t *sent)
{
	if (!l->tls)
		return send_plain(l->fd, at, len, sent);
	enum line_result r = send_left(l);
	while (r == LINE_OK && *sent < len) {
		struct iovec part = {(char *)(uintptr_t)(at + *sent), len - *sent < TLS_WRITE_MAX ? len - *sent : TLS_WRITE_MAX};
		size_t taken = 0;
		if (tls_write(l->tls, &part, 1, &taken) != TLS_OK)
			return LINE_OVER;
		*sent += taken;
		r = send_wire(l);
	}
	return r;
}

static enum line_result
receive_plain(const struct otlp_line *l, char *at, size_t cap, size_t *ret_len)
{
	for (;;) {
		ssize_t n = recv(l->fd, at, cap, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		*ret_len = n > 0 ? (size_t)n : 0;
		return n > 0 ? LINE_OK : n < 0 && errno == EAGAIN ? LINE_AGAIN
														  : LINE_OVER;
	}
}

enum line_result
otlp_line_receive(struct otlp_line *l, char *at, size_t cap, size_t *ret_len)
{
	if (!l->tls)
		return receive_plain(l, at, cap, ret_len);
	enum line_result left = send_left(l);
	if (left == LINE_OVER)
		return left;
	enum tls_result r;
	do
		r = tls_read(l->tls, at, cap, ret_len);
	while (r == TLS_AGAIN && tls_has_more(l->tls));
	if (left == LINE_OK && send_wire(l) == LINE_OVER)
		return LINE_OVER;
	return r == TLS_OK ? LINE_OK : r == TLS_AGAIN ? LINE_AGAIN
												  : LINE_OVER;
}

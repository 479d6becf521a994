/* SPDX-License-Identifier: MIT */
#include "io/tls/tlsbio.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <sys/socket.h>

static int fd_of(BIO *b)
{
    return (int)(intptr_t)BIO_get_data(b);
}

/* As BIO_meth_set_read_ex(3) wants it: 1, or what recv has returned: 0 at the end, -1 with errno.
 * So with writing below. */
static int on_read(BIO *b, char *p, size_t n, size_t *got)
{
    BIO_clear_retry_flags(b);
    errno = 0;
    ssize_t r = recv(fd_of(b), p, n, 0);

    if (r > 0) {
        *got = (size_t)r;
        return 1;
    }
    *got = 0;
    if (BIO_sock_should_retry((int)r))
        BIO_set_retry_read(b);
    else if (r == 0)
        BIO_set_flags(b, BIO_FLAGS_IN_EOF); /* so that OpenSSL tells an end from a failure */
    return (int)r;
}

static int on_write(BIO *b, const char *p, size_t n, size_t *put)
{
    BIO_clear_retry_flags(b);
    errno = 0;
    ssize_t r = send(fd_of(b), p, n, MSG_NOSIGNAL);

    if (r > 0) {
        *put = (size_t)r;
        return 1;
    }
    *put = 0;
    if (BIO_sock_should_retry((int)r))
        BIO_set_retry_write(b);
    return (int)r;
}

/* What libssl asks of a BIO that keeps nothing back. */
static long on_ctrl(BIO *b, int cmd, long number, void *p)
{
    (void)number;
    (void)p;
    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

BIO_METHOD *tlsbio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOCKET, "wsluice socket");

    if (m != NULL && BIO_meth_set_read_ex(m, on_read) == 1 &&
        BIO_meth_set_write_ex(m, on_write) == 1 && BIO_meth_set_ctrl(m, on_ctrl) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

bool tlsbio_attach(SSL *ssl, const BIO_METHOD *method, int fd)
{
    BIO *b = BIO_new(method);

    if (b == NULL)
        return false;
    BIO_set_data(b, (void *)(intptr_t)fd);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    return true;
}

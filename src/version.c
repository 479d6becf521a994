/* SPDX-License-Identifier: MIT */
#include "version.h"

#include <ares.h>
#include <ev.h>
#include <jansson.h>
#include <llhttp.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>
#include <zlib.h>

void version_print(void)
{
    printf("wsluice %s\n"
           "libev %d.%d, llhttp %d.%d.%d, c-ares %s, libyaml %s, jansson %s, zlib %s, %s\n",
           WSLUICE_VERSION, ev_version_major(), ev_version_minor(), LLHTTP_VERSION_MAJOR,
           LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH, ares_version(NULL),
           yaml_get_version_string(), jansson_version_str(), zlibVersion(),
           OpenSSL_version(OPENSSL_VERSION));
}

/* SPDX-License-Identifier: MIT */
/* base/utf8 as on a processor without SSSE3, tested likewise. */
#include "base/utf8_ssse3.h"

#define utf8_ssse3_here() false
#include "../../src/base/utf8.c" /* NOLINT(bugprone-suspicious-include) */
#undef utf8_ssse3_here

#include "test_utf8.c" /* NOLINT(bugprone-suspicious-include) */

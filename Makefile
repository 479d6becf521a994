# SPDX-License-Identifier: MIT
# wsluice. `make` builds build/plain/wsluice, `make check` proves it, `make help` lists the rest.

VERSION = 0.1.0
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
CLANG  ?= clang
# One of plain, asan, cov: which build `test-unit` and `test-e2e` run. The first two belong to `make check`.
MODE   ?= plain
# Seconds for each fuzz target, and for the soak.
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 600
SOAK_CUTS ?= 10000

all: build/plain/wsluice  ## the program: build/plain/wsluice (default)
.PHONY: all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# ---- sources: every .c below src/; a unit test is one tests/unit/test_*.c, other files there are
# ---- linked into each of them
SRCS    := $(sort $(shell find src -name '*.c'))
UNITS   := $(sort $(wildcard tests/unit/test_*.c))
SUPPORT := $(filter-out $(UNITS),$(sort $(wildcard tests/unit/*.c)))
FUZZERS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
MANS    := $(patsubst docs/%.scd,build/man/%,$(wildcard docs/*.scd))

# ---- llhttp: Debian 13 has it as a library; Debian 12 has its C sources in package node-llhttp.
# ---- Those are compiled beside ours, in strict mode and without our warnings.
ifneq ($(wildcard /usr/include/llhttp.h),)
LLHTTP_LIBS = -lllhttp
else ifneq ($(wildcard /usr/share/llhttp/llhttp.c),)
LLHTTP_DIR = /usr/share/llhttp
LLHTTP_CPP = -isystem /usr/share/include/llhttp -DLLHTTP_STRICT_MODE=1
LLHTTP_OBJ = llhttp/llhttp.o llhttp/api.o llhttp/http.o
endif

# ---- flags; V=1 shows the commands whole
Q   = $(if $(V),,@)
SAY = $(if $(V),@:,@printf '  %-6s%s\n' $(1) $(2))
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
       -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 -Wundef -Wcast-qual \
       -Wwrite-strings -Wpointer-arith
CPP  = -std=gnu11 -D_GNU_SOURCE -Isrc -isystem build/terminal -DWSLUICE_VERSION=\"$(VERSION)\" $(LLHTTP_CPP) \
       $(shell pkg-config --cflags libcares 2>/dev/null)
LIBS = $(LLHTTP_LIBS) -ljansson -lev -lssl -lcrypto -lcrypt -lcap -lyaml -lm \
       $(shell pkg-config --libs zlib 2>/dev/null || echo -lz) \
       $(shell pkg-config --libs libcares 2>/dev/null || echo -lcares)
SANE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# What hardens the program, as far as this compiler can do it for this target (docs/security.md); asked once, when first
# needed. `make HARDEN=` builds without, `make HARDEN='...'` with something else.
HARDEN = $(eval HARDEN := $(shell contrib/hardening-flags $(CC_plain) -O2 $(CFLAGS)))$(HARDEN)

# Each mode has its own folder below build/, its own compiler and flags, and the same rules.
# CFLAGS and LDFLAGS given by the user come last, so they win.
CC_plain = $(CC)
C_plain  = -O2 -g -fPIE -fstack-protector-strong $(HARDEN)
LD_plain = -pie -Wl,-z,relro,-z,now
CC_asan  = $(CC)
C_asan   = -O1 -g $(SANE) -DWSLUICE_POISON=1
LD_asan  = $(SANE)
INSIDE_asan = -DSANITIZED
CC_cov   = gcc
C_cov    = -O0 -g --coverage -fprofile-abs-path
LD_cov   = --coverage
CC_fuzz  = $(CLANG)
C_fuzz   = -O1 -g $(SANE) -fsanitize=fuzzer-no-link -DWSLUICE_POISON=1 -DWSLUICE_FUZZ=1
LD_fuzz  = $(SANE) -fsanitize=fuzzer

# What the compiler says about OBJECT.o is kept in OBJECT.warn, for `make warnings-gcc`, and shown as if it were not.
KEEP_WARNINGS = 2>$$(@:.o=.warn); s=$$$$?; cat $$(@:.o=.warn) >&2; exit $$$$s
COLOUR = $(if $(MAKE_TERMERR),-fdiagnostics-color=always)

# ---- rules of one mode: $(1) is plain, asan, cov or fuzz; objects of src/ are in build/$(1)/obj/
define MODE_RULES
FLAGS_$(1) = $(CC_$(1)) $(CPP) $(C_$(1)) $(CFLAGS)
OBJS_$(1) := $(SRCS:src/%.c=build/$(1)/obj/%.o) $(LLHTTP_OBJ:%=build/$(1)/%)
TEST_OBJS_$(1) := $(SUPPORT:tests/unit/%.c=build/$(1)/unit/%.o)
UNITS_$(1) := $(UNITS:tests/unit/%.c=build/$(1)/unit/%)

build/$(1)/wsluice: $$(OBJS_$(1)) build/$(1)/.list
	$(call SAY,LD,$$@)
	$(Q)$(CC_$(1)) $(LD_$(1)) -o $$@ $$(OBJS_$(1)) $(LDFLAGS) $(LIBS)

build/$(1)/obj/%.o: src/%.c build/$(1)/.flags | need-llhttp
	@mkdir -p $$(@D)
	$(call SAY,CC,$$@)
	$(Q)$$(FLAGS_$(1)) $(WARN) $(COLOUR) -MMD -MP -c -o $$@ $$< $(KEEP_WARNINGS)
build/$(1)/obj/handler/h_console.o: src/handler/console.html
build/$(1)/obj/cli/example.o: $(wildcard contrib/examples/*.yaml)
build/$(1)/obj/handler/files/terminal_page.o: build/terminal/terminal_files.h

build/$(1)/unit/%.o: tests/unit/%.c build/$(1)/.flags | need-llhttp
	@mkdir -p $$(@D)
	$(call SAY,CC,$$@)
	$(Q)$$(FLAGS_$(1)) $(WARN) $(COLOUR) -Itests/unit -MMD -MP -c -o $$@ $$< $(KEEP_WARNINGS)

build/$(1)/llhttp/%.o: $(LLHTTP_DIR)/%.c build/$(1)/.flags
	@mkdir -p $$(@D)
	$(call SAY,CC,$$@)
	$(Q)$$(FLAGS_$(1)) -w -c -o $$@ $$<

# everything but main(), for tests: of an archive the linker takes only what is used
build/$(1)/all.a: $$(filter-out %/main.o,$$(OBJS_$(1))) build/$(1)/.list
	@rm -f $$@
	$(call SAY,AR,$$@)
	$(Q)ar qcs $$@ $$(filter %.o,$$^)

$$(UNITS_$(1)): %: %.o $$(TEST_OBJS_$(1)) build/$(1)/all.a
	$(call SAY,LD,$$@)
	$(Q)$(CC_$(1)) $(LD_$(1)) -o $$@ $$(filter %.o %.a,$$^) $(LDFLAGS) -lcmocka $(LIBS)

# what the end-to-end tests load into the program
build/$(1)/inside.so: tests/e2e/inside.c
	@mkdir -p $$(@D)
	$(call SAY,LD,$$@)
	$(Q)$$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -fPIC -shared $(WARN) -Wno-pedantic -Werror $$(INSIDE_$(1)) -o $$@ $$<

# rewritten only when they change, so that other flags rebuild and a removed file relinks
build/$(1)/.flags: force
	@mkdir -p $$(@D)
	@echo '$$(FLAGS_$(1)) $(LD_$(1)) $(WARN)' | cmp -s - $$@ || echo '$$(FLAGS_$(1)) $(LD_$(1)) $(WARN)' >$$@
build/$(1)/.list: force
	@mkdir -p $$(@D)
	@echo '$$(OBJS_$(1)) $$(TEST_OBJS_$(1))' | cmp -s - $$@ || echo '$$(OBJS_$(1)) $$(TEST_OBJS_$(1))' >$$@

-include $$(OBJS_$(1):.o=.d) $$(UNITS_$(1):%=%.d) $$(TEST_OBJS_$(1):.o=.d)
.SECONDARY: $$(UNITS_$(1):%=%.o)
endef
$(foreach mode,plain asan cov fuzz,$(eval $(call MODE_RULES,$(mode))))

# ---- the terminal page, as far as `make terminal` has completed it, goes into the program of all modes
build/terminal/terminal_files.h: contrib/terminal/embed contrib/terminal/vendor $(wildcard contrib/terminal/www/*.* contrib/terminal/www/vendor/from)
	$(call SAY,PAGE,$(@D))
	$(Q)contrib/terminal/embed $(@D)

.PHONY: force need-llhttp
force:
need-llhttp:
ifeq ($(LLHTTP_LIBS)$(LLHTTP_OBJ),)
	@echo 'llhttp is not installed: run "make deps" (or install libllhttp-dev or node-llhttp)' >&2; exit 1
endif

.PHONY: asan unit unit-asan
asan: build/asan/wsluice  ## the same with AddressSanitizer and UBSan: build/asan/wsluice
unit: $(UNITS_plain) build/plain/inside.so  ## build the unit tests (unit-asan: with sanitizers)
unit-asan: $(UNITS_asan) build/asan/inside.so

# ---- checks. `make check` is the whole; the others are its parts, to run one by one
.PHONY: check test-unit test-e2e warnings
check: deps-test  ## everything: warnings, lint, unit and end-to-end tests, plain and sanitized
	@MAKE='$(MAKE)' PYTHON='$(PYTHON)' $(PYTHON) tests/run-all
test-unit: $(UNITS_$(MODE))  ## run the unit tests (MODE=asan)
	@set -e; for t in $^; do $$t; done
test-e2e: build/$(MODE)/wsluice build/$(MODE)/inside.so  ## run the end-to-end tests (MODE=asan T='-k word')
	WSLUICE=$(CURDIR)/build/$(MODE)/wsluice $(PYTHON) -m pytest -q tests/e2e $(T)

# Every C file of ours once with gcc and once with clang, any warning an error. What `make` itself compiles with gcc is not
# compiled again: of that the warnings are kept.
OURS := $(SRCS) $(UNITS) $(SUPPORT) $(FUZZERS) $(sort $(wildcard bench/*.c))
warnings: warnings-gcc warnings-clang  ## compile all with gcc and with clang, warnings are errors
.PHONY: warnings-gcc warnings-clang
KEPT := $(if $(filter cc gcc,$(CC)),$(SRCS) $(UNITS) $(SUPPORT))
WARNED := $(patsubst tests/%.c,build/plain/%.o,$(filter tests/%,$(KEPT))) $(patsubst src/%.c,build/plain/obj/%.o,$(filter src/%,$(KEPT)))
warnings-gcc: $(patsubst %.c,build/warnings/gcc/%.o,$(filter-out $(KEPT),$(OURS))) $(WARNED)
	@cat /dev/null $(patsubst %.o,%.warn,$(WARNED)) >build/warnings/gcc/kept && cat build/warnings/gcc/kept && [ ! -s build/warnings/gcc/kept ]
warnings-clang: $(OURS:%.c=build/warnings/clang/%.o)
STRICT = $(CPP) $(WARN) -Werror -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -Itests/unit -MMD -MP
build/warnings/gcc/%.o: %.c Makefile | need-llhttp
	@mkdir -p $(@D)
	$(call SAY,GCC,$<)
	$(Q)gcc $(STRICT) -c -o $@ $<
build/warnings/clang/%.o: %.c Makefile | need-llhttp
	@mkdir -p $(@D)
	$(call SAY,CLANG,$<)
	$(Q)$(CLANG) $(STRICT) -fsyntax-only -MF $(@:.o=.d) -MT $@ $< && touch $@
build/warnings/gcc/src/handler/files/terminal_page.o build/warnings/clang/src/handler/files/terminal_page.o: build/terminal/terminal_files.h
-include $(OURS:%.c=build/warnings/gcc/%.d) $(OURS:%.c=build/warnings/clang/%.d)

# Each lint is one command: it prints its faults and exits 1, or "skipped: why" and exits 0.
.PHONY: lint lint-format lint-layers lint-globals lint-headers lint-names lint-spdx lint-shell lint-docs format
LINTS = lint-format lint-layers lint-globals lint-headers lint-names lint-spdx lint-shell lint-docs
lint: $(LINTS)  ## format, layers, writable globals, headers alone, names, licences, shell, documents
lint-format:
	@tests/tools/check-format
lint-layers:
	@tests/tools/check-layers
lint-globals: build/plain/wsluice
	@tests/tools/check-globals
lint-headers:
	@CC='$(CC)' FLAGS='$(CPP) $(WARN)' tests/tools/check-headers
lint-names:
	@tests/tools/check-names
lint-spdx:
	@tests/tools/check-spdx
lint-shell:
	@tests/tools/check-shell
lint-docs: build/plain/wsluice
	@tests/tools/check-docs
format:  ## rewrite all C files in the project's style
	@tests/tools/check-format --write

# The folders of src/ and their includes, for docs/architecture.md.
.PHONY: picture
picture:  ## rewrite docs/architecture.svg from the includes
	@tests/tools/draw-layers >docs/architecture.svg

# The published schema of configuration files; a test compares it with what the program says.
.PHONY: schema
schema: build/plain/wsluice  ## rewrite contrib/wsluice.schema.json from the table of options
	build/plain/wsluice --dump-schema >contrib/wsluice.schema.json

# ---- do the tests see faults? Small ones are planted in a copy, one at a time
.PHONY: mutants
mutants: tests/browser/node_modules/.package-lock.json  ## plant faults, print who survives; MUTANTS='-n 100 --seed 1', CONTRIBUTING.md
	@PYTHON='$(PYTHON)' tests/tools/mutants $(MUTANTS)

# Failures do not stop it: what they have reached counts. Daemons that become somebody else write their figures, too.
.PHONY: coverage
coverage: build/cov/wsluice build/cov/inside.so $(UNITS_cov)  ## lines and branches that all tests reach, a folder each (T='-k word')
	@find build/cov -name '*.gcda' -delete; chmod -R a+rwX build/cov
	-@PYTHON='$(PYTHON)' $(PYTHON) tests/run-all unit-cov; chmod -R a+rwX build/cov
	-@$(if $(T),$(MAKE) --no-print-directory test-e2e MODE=cov T='$(T)',PYTHON='$(PYTHON)' $(PYTHON) tests/run-all e2e-cov)
	@tests/tools/coverage

# ---- longer runs
.PHONY: fuzz soak bench bench-smoke demo
FUZZ_BINS := $(FUZZERS:tests/fuzz/%.c=build/fuzz/%)
$(FUZZ_BINS): build/fuzz/%: tests/fuzz/%.c build/fuzz/all.a
	$(call SAY,LD,$@)
	$(Q)$(FLAGS_fuzz) $(WARN) $(LD_fuzz) -o $@ $^ $(LDFLAGS) $(LIBS)
fuzz: $(FUZZ_BINS)  ## run each fuzz target for FUZZ_SECONDS=60; finds stay in build/fuzz/
	@set -e; for f in $(FUZZ_BINS:build/fuzz/%=%); do \
	  seeds=tests/fuzz/corpus/$$f; mkdir -p build/fuzz/corpus/$$f; [ -d $$seeds ] || seeds=; \
	  echo "== $$f"; build/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	    -print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/corpus/$$f $$seeds; done
soak: asan build/asan/inside.so  ## mixed load for SOAK_SECONDS=600, and SOAK_CUTS=10000 cuts of links, against the sanitized build
	WSLUICE=$(CURDIR)/build/asan/wsluice SOAK_SECONDS=$(SOAK_SECONDS) SOAK_CUTS=$(SOAK_CUTS) $(PYTHON) -m pytest -q -s -o faulthandler_timeout=0 tests/soak
# those that time pieces of src/ alone; the rest of bench/ is separate programs with a Makefile of their own
BENCH_OURS = build/bench/micro build/bench/held
bench: deps-bench  ## compare speed with peers and bare floors; BENCH=--full takes 20 minutes
	@$(MAKE) --no-print-directory all $(BENCH_OURS)
	bench/run $(BENCH)
bench-smoke: all $(BENCH_OURS)  ## only prove that the benchmark itself works
	bench/run --smoke
build/bench/held: bench/floor.c bench/load_hist.c
$(BENCH_OURS): build/bench/%: bench/%.c build/plain/all.a
	@mkdir -p $(@D)
	$(call SAY,LD,$@)
	$(Q)$(FLAGS_plain) $(WARN) $(LD_plain) -o $@ $(filter %.c,$^) $(filter %.a,$^) $(LDFLAGS) $(LIBS)
demo: deps-demo  ## serve a page with a calculator, a chess engine, an echo and a clock
	@$(TRY_TERMINAL)
	@$(MAKE) --no-print-directory all
	@WSLUICE=$(CURDIR)/build/plain/wsluice exec contrib/demo/run

# ---- what Debian and npm must provide; nothing happens when it is there already
.PHONY: deps deps-test deps-bench deps-demo
deps deps-build:  ## install the libraries needed to build (Debian)
	@contrib/install-deps.sh build
deps-test:  ## install what `make check` needs, node modules too
	@contrib/install-deps.sh test
	@$(MAKE) --no-print-directory tests/browser/node_modules/.package-lock.json terminal
deps-bench:  ## install the peers that `make bench` compares with
	@contrib/install-deps.sh bench
deps-demo:
	@contrib/install-deps.sh demo
tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json
	cd tests/browser && npm ci --no-audit --no-fund --ignore-scripts </dev/null
	@touch $@

# ---- the terminal page is complete with xterm.js from npm, and the client library
.PHONY: terminal
TRY_TERMINAL = $(MAKE) --no-print-directory -s terminal || echo '$@: goes on without the terminal page, which needs npm and its registry' >&2
TERMINAL = contrib/terminal/www/vendor/wsluice-client.js
terminal: $(TERMINAL)  ## complete the page in contrib/terminal/www with xterm.js, from npm
$(TERMINAL): contrib/terminal/package-lock.json contrib/terminal/vendor contrib/client/index.js
	contrib/terminal/vendor

# ---- install
.PHONY: install man clean help
man: $(MANS)  ## the manual pages, when scdoc is installed
build/man/%: docs/%.scd
	@mkdir -p $(@D)
	scdoc <$< >$@
# units name the program where it is put
install: $(if $(shell command -v scdoc 2>/dev/null),man)  ## to $(DESTDIR)$(PREFIX)
	@$(TRY_TERMINAL)
	@$(MAKE) --no-print-directory all
	install -D -m 755 build/plain/wsluice '$(DESTDIR)$(PREFIX)/bin/wsluice'
	@mkdir -p build/completion && for s in bash zsh fish; do build/plain/wsluice --completion $$s >build/completion/$$s; done
	install -D -m 644 build/completion/bash '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/wsluice'
	install -D -m 644 build/completion/zsh '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_wsluice'
	install -D -m 644 build/completion/fish '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/wsluice.fish'
	@for m in $(notdir $(MANS)); do [ ! -f build/man/$$m ] || \
	  install -D -m 644 build/man/$$m '$(DESTDIR)$(PREFIX)'/share/man/man$${m##*.}/$$m; done
	@for u in wsluice.service wsluice.socket; do \
	  sed 's|/usr/bin/wsluice|$(PREFIX)/bin/wsluice|' contrib/systemd/$$u | \
	    install -D -m 644 /dev/stdin '$(DESTDIR)$(PREFIX)'/lib/systemd/system/$$u; done
	@for d in sysusers tmpfiles; do \
	  install -D -m 644 contrib/systemd/$$d.conf '$(DESTDIR)$(PREFIX)'/lib/$$d.d/wsluice.conf; done
	@for c in programs cgroup; do \
	  install -D -m 644 contrib/systemd/$$c.conf '$(DESTDIR)$(PREFIX)'/share/wsluice/$$c.conf; done
clean:  ## remove build/
	rm -rf build
help:  ## this list
	@sed -n 's/^\([a-z-]*\)[a-z -]*:[^#]*##  *\(.*\)/\1\t\2/p' Makefile | expand -t 14

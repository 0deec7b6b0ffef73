# philote: build, run, test, install. `make help` lists what there is.

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PHILOTE := $(TARGET_DIR)/release/philote
# What the static binary is for, as Rust calls it.
TARGET ?= $(shell uname -m)-unknown-linux-gnu
STATIC := $(TARGET_DIR)/$(TARGET)/release/philote
DOCDIR := $(PREFIX)/share/doc/philote

# The path of the configuration is compiled in. Handed over only where it is not the default, so
# that a plain `cargo build` and `make` do not take turns in rebuilding the binary.
ifdef RUNSTATEDIR
export PHILOTE_RUNSTATEDIR = $(RUNSTATEDIR)
endif
ifneq ($(SYSCONFDIR),/etc)
export PHILOTE_SYSCONFDIR = $(SYSCONFDIR)
endif

.PHONY: build run server man completions test test-deps conformance deb rpm static tarball image install uninstall \
  bench bench-plots release clean help
.DEFAULT_GOAL := build

build: ## build the release binary (the default)
	@command -v $(CARGO) >/dev/null || { echo "make: $(CARGO) is missing: install Rust 1.88 or newer, with rustup or from your distribution" >&2; exit 1; }
	@command -v "$${CC:-cc}" >/dev/null || { echo "make: a C compiler is missing (the cryptography needs one): install gcc, or Xcode's command line tools" >&2; exit 1; }
	packaging/reproducibly $(CARGO) build --locked --release

run: build ## build, and serve with the defaults; ARGS='--config FILE' for others
	@echo
	@echo "philote will serve here, until Ctrl-C. To try it, in another terminal:"
	@echo
	@echo "  $(PHILOTE) subscribe news                    # hear a channel"
	@echo "  $(PHILOTE) publish news 'Hello'              # speak on it, from a third terminal"
	@echo "  $(PHILOTE) token --read news --write news    # a token, for a client of your own"
	@echo
	@exec $(PHILOTE) serve $(ARGS)

server: run ## the same as `make run`

# One program writes both; it is made of the same definitions as philote.
man: ## write the manual pages into target/man
	packaging/reproducibly $(CARGO) run --locked --quiet --release --example manual -- $(TARGET_DIR)

completions: man ## write the completions for bash, zsh and fish into target/completions

test: ## run all tests that this machine can; as root on Debian it installs what they need first
	@tests/run

test-deps: ## install what the tests need (Debian and Ubuntu, as root)
	@tests/deps install

conformance: ## hold the transport against the Autobahn suite (as root, on Debian)
	@tests/conformance/run

deb: build ## make the Debian package, in target/deb; to release it, on Debian 12
	@rm -f "$(TARGET_DIR)"/deb/philote_*.deb
	@packaging/deb/build "$(PHILOTE)" "$(TARGET_DIR)/deb"

bench: build ## measure beside NATS and nchan, for 25 minutes; SHAPES='latency memory' for a part, QUICK=1 for a look
	$(CARGO) build --locked --release --manifest-path benches/wsload/Cargo.toml
	@benches/run $(if $(QUICK),--quick) $(if $(RESULTS),--results "$(RESULTS)") $(SHAPES)

bench-plots: ## draw benches/plots and the tables of benches/README.md from benches/results.json
	@benches/plot

$(PHILOTE):
	$(MAKE) build

install: $(PHILOTE) ## install what `make` has built, below DESTDIR, PREFIX and SYSCONFDIR
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(DOCDIR)" "$(DESTDIR)$(SYSCONFDIR)/philote"
	install -m 0755 "$(PHILOTE)" "$(DESTDIR)$(PREFIX)/bin/philote"
	install -m 0644 README.md LICENSE config.example.toml "$(DESTDIR)$(DOCDIR)"
	@if test -e "$(DESTDIR)$(SYSCONFDIR)/philote/config.toml"; then \
	  echo "$(DESTDIR)$(SYSCONFDIR)/philote/config.toml is kept as it is"; \
	else \
	  install -m 0640 config.example.toml "$(DESTDIR)$(SYSCONFDIR)/philote/config.toml"; \
	fi

uninstall: ## remove what `make install` has put there, except the configuration
	rm -f "$(DESTDIR)$(PREFIX)/bin/philote"
	rm -rf "$(DESTDIR)$(DOCDIR)"
	@echo "$(DESTDIR)$(SYSCONFDIR)/philote is kept: remove it yourself if you want it gone"

rpm: build ## make the RPM package, in target/rpm; to release it, on EL 9 or Debian 12
	@packaging/rpm/build "$(PHILOTE)" "$(TARGET_DIR)/rpm"

# A static program finds no function by its name while it runs, which is how `getrandom` looks for the system call of
# that name; it would read /dev/urandom instead, which an empty root lacks.
STATIC_FLAGS := -C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"

# A target that is named keeps these flags from build scripts, which run here and now.
static: ## build a static binary, for TARGET
	RUSTFLAGS='$(strip $(RUSTFLAGS) $(STATIC_FLAGS))' packaging/reproducibly $(CARGO) build --locked --release --target $(TARGET)

tarball: static ## pack a static binary and what goes with it, in target/tarball
	@packaging/tarball "$(STATIC)" "$(TARGET)" "$(TARGET_DIR)/tarball"

image: static ## make a container image of the static binary with buildah, in target/image
	@packaging/image "$(STATIC)" "$(TARGET)" "$(TARGET_DIR)/image"

release: ## make everything that a release consists of, in target/dist; packaging/README.md says what comes before and after
	@packaging/release "$(TARGET_DIR)/dist"

clean: ## remove what was built
	$(CARGO) clean
	$(CARGO) clean --manifest-path benches/wsload/Cargo.toml

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR) DESTDIR=$(DESTDIR)"
	@echo "  Another SYSCONFDIR is compiled in: give it to \`make\` as well as to \`make install\`."

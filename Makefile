# philote: build, run, test, install. `make help` lists what there is.

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PHILOTE := $(TARGET_DIR)/release/philote
DOCDIR := $(PREFIX)/share/doc/philote

# The path of the configuration is compiled in. Handed over only where it is not the default, so
# that a plain `cargo build` and `make` do not take turns in rebuilding the binary.
ifdef RUNSTATEDIR
export PHILOTE_RUNSTATEDIR = $(RUNSTATEDIR)
endif
ifneq ($(SYSCONFDIR),/etc)
export PHILOTE_SYSCONFDIR = $(SYSCONFDIR)
endif

.PHONY: build run server test test-deps conformance deb install uninstall clean help
.DEFAULT_GOAL := build

build: ## build the release binary (the default)
	@command -v $(CARGO) >/dev/null || { echo "make: $(CARGO) is missing: install Rust 1.88 or newer, with rustup or from your distribution" >&2; exit 1; }
	@command -v "$${CC:-cc}" >/dev/null || { echo "make: a C compiler is missing (the cryptography needs one): install gcc, or Xcode's command line tools" >&2; exit 1; }
	$(CARGO) build --locked --release

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

test: ## run all tests that this machine can; as root on Debian it installs what they need first
	@tests/run

test-deps: ## install what the tests need (Debian and Ubuntu, as root)
	@tests/deps install

conformance: ## hold the transport against the Autobahn suite (as root, on Debian)
	@tests/conformance/run

deb: build ## make the Debian package, in target/deb; to release it, on Debian 12
	@rm -f "$(TARGET_DIR)"/deb/philote_*.deb
	@packaging/deb/build "$(PHILOTE)" "$(TARGET_DIR)/deb"

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

clean: ## remove what was built
	$(CARGO) clean
	$(CARGO) clean --manifest-path benches/wsload/Cargo.toml

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR) DESTDIR=$(DESTDIR)"
	@echo "  Another SYSCONFDIR is compiled in: give it to \`make\` as well as to \`make install\`."

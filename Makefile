# philote: build, run, test, install. `make help` lists what there is.

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# What `make install` takes: the program, and below PAGES the manual, the completions and the notices of third parties.
PHILOTE ?= $(TARGET_DIR)/release/philote
PAGES ?= $(TARGET_DIR)
SYSTEM ?= $(shell uname -s)
# What the static binary is for, as Rust calls it.
TARGET ?= $(shell uname -m)-unknown-linux-gnu
# In a directory of its own, so that it can be built beside the other.
STATIC := $(TARGET_DIR)/static/$(TARGET)/release/philote

MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/philote
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
LAUNCHDIR ?= /Library/LaunchDaemons

# macOS has no /run, and empties /var/run when it boots.
ifeq ($(SYSTEM),Darwin)
LOCALSTATEDIR ?= $(PREFIX)/var
RUNSTATEDIR ?= $(LOCALSTATEDIR)/run
endif

# Where philote looks for its configuration and its control socket is compiled in. Handed over only where it is not the
# default, so that a plain `cargo build` and `make` do not take turns in rebuilding the binary.
ifdef RUNSTATEDIR
export PHILOTE_RUNSTATEDIR = $(RUNSTATEDIR)
endif
ifneq ($(SYSCONFDIR),/etc)
export PHILOTE_SYSCONFDIR = $(SYSCONFDIR)
endif

# Units and the like are written with the directories of a package; here they get those of this installation.
FILL = sed -e 's|/usr/bin/|$(PREFIX)/bin/|g' -e 's|/usr/share/doc/philote|$(DOCDIR)|g' -e 's|/etc/|$(SYSCONFDIR)/|g'
FILL_DARWIN = sed -e 's|/usr/local/bin/|$(PREFIX)/bin/|g' -e 's|/usr/local/var/run|$(RUNSTATEDIR)|g' \
  -e 's|/usr/local/var|$(LOCALSTATEDIR)|g' -e 's|/etc/philote|$(SYSCONFDIR)/philote|g'

.PHONY: all build run server man completions notices test test-release test-deps soak conformance deb rpm static tarball image install \
  install-Linux install-Darwin uninstall fuzz bench bench-plots release clean help
.DEFAULT_GOAL := all

all: build man notices ## build the release binary, the manual and the notices (the default)

build: ## build the release binary alone
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

# One program writes both; it is made of the same definitions as philote. It is built as tests are, since what it writes is
# the same and a release build of it would take minutes.
man: ## write the manual pages into target/man
	env -u SOURCE_DATE_EPOCH $(CARGO) build --locked --quiet --example manual
	@"$(TARGET_DIR)/debug/examples/manual" "$(TARGET_DIR)"

completions: man ## write the completions for bash, zsh and fish into target/completions

# Of the crates' own sources, which cargo has by then.
notices: ## write what has to be told of the crates that are linked into target/THIRD-PARTY
	env -u SOURCE_DATE_EPOCH $(CARGO) build --locked --quiet --example notices
	@CARGO="$(CARGO)" "$(TARGET_DIR)/debug/examples/notices" "$(TARGET_DIR)/THIRD-PARTY"

test: ## run all tests that this machine can; as root on Debian it installs what they need first
	@tests/run

test-release: ## the same, and what takes minutes and is looked at before a release alone
	@BEFORE_A_RELEASE=1 tests/run

test-deps: ## install what the tests need (Debian and Ubuntu, as root)
	@tests/deps install

# The server as it is shipped; its clients fast enough to leave it room.
soak: build ## an hour of churn against the release build, MINUTES=30 for less: nothing lost, nothing left, memory flat
	PHILOTE_TEST_BINARY="$(abspath $(PHILOTE))" PHILOTE_TEST_SOAK_MINUTES=$(or $(MINUTES),60) \
	  $(CARGO) test --locked --profile soak --test soak -- --nocapture

conformance: ## hold the transport against the Autobahn suite (as root, on Debian)
	@tests/conformance/run

deb: build completions notices ## make the Debian package, in target/deb; to release it, on Debian 12
	@rm -f "$(TARGET_DIR)"/deb/philote_*.deb
	@packaging/deb/build "$(PHILOTE)" "$(TARGET_DIR)/deb" "$(TARGET_DIR)"

fuzz: ## feed the fuzz targets, SECONDS each, two at a time; TARGETS='protocol token' for some
	@fuzz/run $(or $(SECONDS),60) $(TARGETS)

bench: build ## measure beside NATS, nchan and uWebSockets, for half an hour; SHAPES='latency memory' for a part, QUICK=1 for a look
	packaging/reproducibly $(CARGO) build --locked --release --manifest-path benches/wsload/Cargo.toml --target-dir "$(TARGET_DIR)"
	@benches/run $(if $(QUICK),--quick) $(if $(RESULTS),--results "$(RESULTS)") $(SHAPES)

bench-plots: ## draw benches/plots and the tables of benches/README.md from benches/results.json
	@benches/plot

$(TARGET_DIR)/release/philote:
	$(MAKE) build

$(TARGET_DIR)/man/philote.1:
	$(MAKE) man

$(TARGET_DIR)/THIRD-PARTY:
	$(MAKE) notices

install: $(PHILOTE) $(PAGES)/man/philote.1 $(PAGES)/THIRD-PARTY ## install what `make` has built, below DESTDIR, PREFIX and SYSCONFDIR
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(MANDIR)/man5" "$(DESTDIR)$(BASHDIR)" \
	  "$(DESTDIR)$(ZSHDIR)" "$(DESTDIR)$(FISHDIR)" "$(DESTDIR)$(DOCDIR)" "$(DESTDIR)$(SYSCONFDIR)/philote"
	install -m 0755 "$(PHILOTE)" "$(DESTDIR)$(PREFIX)/bin/philote"
	install -m 0644 "$(PAGES)/man/philote.1" "$(DESTDIR)$(MANDIR)/man1"
	install -m 0644 "$(PAGES)/man/philote.toml.5" "$(DESTDIR)$(MANDIR)/man5"
	install -m 0644 "$(PAGES)/completions/philote.bash" "$(DESTDIR)$(BASHDIR)/philote"
	install -m 0644 "$(PAGES)/completions/_philote" "$(DESTDIR)$(ZSHDIR)"
	install -m 0644 "$(PAGES)/completions/philote.fish" "$(DESTDIR)$(FISHDIR)"
	install -d "$(DESTDIR)$(DOCDIR)/docs"
	install -m 0644 README.md CHANGELOG.md LICENSE config.example.toml "$(PAGES)/THIRD-PARTY" "$(DESTDIR)$(DOCDIR)"
	install -m 0644 docs/*.md "$(DESTDIR)$(DOCDIR)/docs"
	@$(MAKE) --no-print-directory install-$(SYSTEM)

# put-config COMMAND,FILE: the configuration that goes with a service, unless there is one.
define put-config
	@if test -e "$(DESTDIR)$(SYSCONFDIR)/philote/config.toml"; then \
	  echo "$(DESTDIR)$(SYSCONFDIR)/philote/config.toml is kept as it is"; \
	else \
	  install -m 0640 /dev/null "$(DESTDIR)$(SYSCONFDIR)/philote/config.toml" && \
	  $(1) $(2) >"$(DESTDIR)$(SYSCONFDIR)/philote/config.toml"; \
	fi
endef

# On the machine itself, which is where DESTDIR is empty, root gets a user for the service and a secret as well.
install-Linux:
	$(call put-config,$(FILL),packaging/config.toml)
	install -d "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(SYSUSERSDIR)" "$(DESTDIR)$(DOCDIR)/examples"
	@for unit in philote.service philote@.service philote.socket; do \
	  $(FILL) "systemd/$$unit" >"$(DESTDIR)$(UNITDIR)/$$unit" && chmod 0644 "$(DESTDIR)$(UNITDIR)/$$unit" || exit 1; \
	done
	install -m 0644 systemd/philote.sysusers "$(DESTDIR)$(SYSUSERSDIR)/philote.conf"
	install -m 0644 packaging/examples/*.conf packaging/logrotate "$(DESTDIR)$(DOCDIR)/examples"
	@if test -z "$(DESTDIR)" && test "$$(id -u)" = 0 && command -v systemd-sysusers >/dev/null; then \
	  packaging/settle "$(SYSCONFDIR)" "$(SYSUSERSDIR)/philote.conf"; \
	fi

install-Darwin:
	$(call put-config,$(FILL_DARWIN),packaging/launchd/config.toml)
	install -d "$(DESTDIR)$(LAUNCHDIR)"
	@for file in "$(LAUNCHDIR)/io.github.pote.philote.plist:packaging/launchd/io.github.pote.philote.plist" \
	  "$(DOCDIR)/newsyslog.conf:packaging/newsyslog.conf"; do \
	  $(FILL_DARWIN) "$${file#*:}" >"$(DESTDIR)$${file%%:*}" && chmod 0644 "$(DESTDIR)$${file%%:*}" || exit 1; \
	done

# Other systems get no service.
install-%:
	$(call put-config,$(FILL),packaging/config.toml)

uninstall: ## remove what `make install` has put there, except the configuration
	rm -f "$(DESTDIR)$(PREFIX)/bin/philote" "$(DESTDIR)$(MANDIR)/man1/philote.1" "$(DESTDIR)$(MANDIR)/man5/philote.toml.5" \
	  "$(DESTDIR)$(BASHDIR)/philote" "$(DESTDIR)$(ZSHDIR)/_philote" "$(DESTDIR)$(FISHDIR)/philote.fish" \
	  "$(DESTDIR)$(UNITDIR)/philote.service" "$(DESTDIR)$(UNITDIR)/philote@.service" \
	  "$(DESTDIR)$(UNITDIR)/philote.socket" "$(DESTDIR)$(SYSUSERSDIR)/philote.conf" \
	  "$(DESTDIR)$(LAUNCHDIR)/io.github.pote.philote.plist"
	rm -rf "$(DESTDIR)$(DOCDIR)"
	@if test -z "$(DESTDIR)" && test -d /run/systemd/system; then systemctl daemon-reload || true; fi
	@echo "$(DESTDIR)$(SYSCONFDIR)/philote is kept: remove it yourself if you want it gone"

rpm: build completions notices ## make the RPM package, in target/rpm; to release it, on EL 9 or Debian 12
	@packaging/rpm/build "$(PHILOTE)" "$(TARGET_DIR)/rpm" "$(TARGET_DIR)"

# A static program finds no function by its name while it runs, which is how `getrandom` looks for the system call of
# that name; it would read /dev/urandom instead, which an empty root lacks.
STATIC_FLAGS := -C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"

# A target that is named keeps these flags from build scripts, which run here and now.
static: ## build a static binary, for TARGET
	RUSTFLAGS='$(strip $(RUSTFLAGS) $(STATIC_FLAGS))' packaging/reproducibly $(CARGO) build --locked --release --target $(TARGET) \
	  --target-dir "$(TARGET_DIR)/static"

tarball: static completions notices ## pack a static binary and what goes with it, in target/tarball
	@packaging/tarball "$(STATIC)" "$(TARGET)" "$(TARGET_DIR)/tarball" "$(TARGET_DIR)"

image: static notices ## make a container image of the static binary with buildah, in target/image
	@packaging/image "$(STATIC)" "$(TARGET)" "$(TARGET_DIR)/image" "$(TARGET_DIR)"

release: ## make everything that a release consists of, in target/dist; packaging/README.md says what comes before and after
	@packaging/release "$(TARGET_DIR)/dist"

clean: ## remove what was built
	$(CARGO) clean
	$(CARGO) clean --manifest-path fuzz/Cargo.toml

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR) DESTDIR=$(DESTDIR)"
	@echo "  Another SYSCONFDIR or RUNSTATEDIR is compiled in: give it to \`make\` as well as to \`make install\`."

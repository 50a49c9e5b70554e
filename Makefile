# 文印闸 wenyin-gate. `make run` and `make test` do their own set-up on a bare Debian or Ubuntu machine.
SHELL := /bin/bash
export PATH := $(PATH):/usr/sbin:/sbin
export PYTHONDONTWRITEBYTECODE :=
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
# What the tests use beyond Python, as program:package+package. strace shows the order of system calls and kills at a chosen
# one; LibreOffice writes the old formats, Ghostscript draws PostScript, 7z locks archives; Poppler and MuPDF read redacted files with other eyes.
# cupsd and ippeveprinter are a print shop in a temporary folder: the tests start their own, never the one of the machine.
TEST_TOOLS := strace:strace gs:ghostscript 7z:p7zip-full pdftotext:poppler-utils mutool:mupdf-tools \
  cupsd:cups+cups-client+cups-filters ippeveprinter:cups-ipp-utils dbus-daemon:dbus-daemon \
  chromium:chromium \
  soffice:libreoffice-writer-nogui+libreoffice-calc-nogui+libreoffice-impress-nogui
TEST_FONTS := /usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc:fonts-noto-cjk \
  /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core

# What looks at pages of the console for whoever sees or hears them differently; for tests only, and pinned.
AXE := .build/axe/package/axe.min.js
AXE_VERSION := 4.11.0
AXE_SHA256 := e9e5863c33a874f09bc01acd9234b7e3c871479f5eef8802fa582544465e6d01

.PHONY: setup run test test-long lint bench accuracy peers lock clean test-tools

# Bytecode, whatever the environment says of it: the process that reads hostile files writes none, and an account that
# runs the gate may write none beside its code. Without it every start compiles the program anew, for half a second.
setup: $(STAMP)
	@$(BIN)/python -m compileall -q src/dlp

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "需要 Python 3.11 以上 / Python 3.11 or newer is needed"; exit 3; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || $(call install,python3-venv)
	@[ -e /usr/lib/*/libseccomp.so.2 ] || ldconfig -p | grep -q libseccomp.so.2 || $(call install,libseccomp2)
	@ldconfig -p | grep -q libarchive.so.13 || $(call install,libarchive13)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Installs a Debian package when this user may; says which one is missing when not. What comes with a service does not
# start it: policy-rc.d says no for so long, and what would start with the next boot is switched off.
define install
{ as=; [ "$$(id -u)" = 0 ] || as="sudo -n"; \
  command -v apt-get >/dev/null && $$as true 2>/dev/null && $$as apt-get update -qq && \
  $$as sh -c 'policy=/usr/sbin/policy-rc.d; [ -e $$policy ] || \
    { trap "rm -f $$policy" EXIT; printf "#!/bin/sh\nexit 101\n" >$$policy; chmod 755 $$policy; }; \
    had=$$(command -v cupsd); DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$@" >/dev/null && \
    { [ -n "$$had" ] || [ ! -d /run/systemd/system ] || ! command -v cupsd >/dev/null || \
      systemctl --quiet disable cups.service cups.socket cups.path; }' install $(1) || \
  echo "装不了系统软件包 / cannot install the system package $(1); what needs it is skipped by name"; }
endef

test-tools:
	@for tool in $(TEST_TOOLS); do command -v $${tool%%:*} >/dev/null || \
	  { packages=$$(echo $${tool#*:} | tr + ' '); $(call install,$$packages); }; done
	@for font in $(TEST_FONTS); do [ -e $${font%%:*} ] || { package=$${font#*:}; $(call install,$$package); }; done

	@[ -e $(AXE) ] || { mkdir -p .build/axe && cd .build/axe && npm pack --silent axe-core@$(AXE_VERSION) >/dev/null && \
	  tar xzf axe-core-$(AXE_VERSION).tgz package/axe.min.js && \
	  echo "$(AXE_SHA256)  package/axe.min.js" | sha256sum --check --quiet; } || \
	  { rm -f $(AXE); echo "取不到 axe-core / no axe-core; what needs it is skipped by name"; }

run: setup
	@$(BIN)/dlp run --demo

# Every core takes tests, but no more than four: each may run an OCR engine of its own.
CORES := -n auto --maxprocesses 4 --dist worksteal

test: setup test-tools
	$(BIN)/pytest $(CORES)

test-long: setup test-tools
	$(BIN)/pytest $(CORES) -m "long or not long"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup peers
	$(BIN)/python bench/run.py

# What `bench` and `accuracy` measure beside this product. Without a package index they say so and leave it out.
peers: setup
	@[ -e .venv-peers/.set-up ] || { $(PYTHON) -m venv .venv-peers && \
	  .venv-peers/bin/pip install --quiet --require-hashes --requirement bench/peers/requirements.lock && \
	  touch .venv-peers/.set-up; } || { rm -rf .venv-peers; echo "没有对照工具 / no peers to measure beside"; }

# Precision and recall on the material beside this checkout; prints Markdown.
accuracy: setup peers
	@$(BIN)/python bench/accuracy.py

# Makes the lock file anew from pyproject.toml; needs a package index, so it is never part of set-up.
lock:
	$(PYTHON) -m venv .build/lock && .build/lock/bin/pip install --quiet uv
	.build/lock/bin/uv pip compile pyproject.toml --group dev --generate-hashes --no-emit-index-url --no-header \
	  --universal --python-version 3.11 --output-file requirements.lock
	.build/lock/bin/uv pip compile bench/peers/requirements.in --generate-hashes --no-emit-index-url --no-header \
	  --universal --python-version 3.11 --output-file bench/peers/requirements.lock

clean:
	rm -rf $(VENV) .venv-peers .build build dist demo state .mypy_cache .ruff_cache .pytest_cache .hypothesis

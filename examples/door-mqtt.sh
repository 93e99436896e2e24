#!/bin/sh
# A door on Owsla by mosquitto's own programs:   door-mqtt.sh HOST PORT DEVICE [FOLDER]
#
# A device is one link, and mosquitto_pub and mosquitto_sub make one each. So a mosquitto of the
# device's own holds the link, as a bridge, and brings it back; what runs on the device speaks to
# that one, at FOLDER/socket, where it finds
#   event/TOPIC           out: an EVENT; kept while the link is away
#   request/ID/TOPIC, reply/ID/STATUS    out, and its answer
#   command/KEY/TOPIC, result/KEY/STATUS in, and the device's answer
# The door opens at the command door.open, once however often it comes: the last 16 keys are in
# FOLDER/keys with their answers, over restarts. docs/mqtt.md. Its token, where Owsla wants one, is
# in DEVICE_TOKEN. Needs mosquitto and mosquitto-clients, 2.0 or later.
set -eu
[ $# -ge 3 ] || { echo 'usage: door-mqtt.sh HOST PORT DEVICE [FOLDER]' >&2; exit 64; }
device=$3
folder=${4:-$HOME/.door-$device}
keys=$folder/keys
umask 077
mkdir -p "$folder"
rm -f "$folder/socket" "$folder/commands"
mkfifo "$folder/commands"
touch "$keys"

cat > "$folder/local.conf" <<CONFIG
listener 0 $folder/socket
allow_anonymous true
user $(id -un)
log_dest stderr
log_type error
persistence true
persistence_location $folder/
max_queued_messages 1000
CONFIG
{
  cat "$folder/local.conf" - <<CONFIG
connection owsla
address $1:$2
remote_clientid $device
try_private false
notifications false
bridge_attempt_unsubscribe false
cleansession false
keepalive_interval 60
restart_timeout 1 120
topic # out 1 event/ ""
topic # out 1 request/ \$owsla/request/
topic # in 1 reply/ \$owsla/reply/
topic # in 1 command/ \$owsla/command/
topic # out 1 result/ \$owsla/result/
CONFIG
  [ -z "${DEVICE_TOKEN:-}" ] || printf 'remote_username %s\nremote_password %s\n' \
    "$device" "$DEVICE_TOKEN"
} > "$folder/mosquitto.conf"

mosquitto=
commands=
trap 'kill $mosquitto $commands 2>/dev/null' EXIT
trap 'exit 0' INT TERM

start() { # CONFIG, COMMAND that works once it is up
  PATH=$PATH:/usr/sbin mosquitto -c "$1" &
  mosquitto=$!
  shift
  until "$@" 2>/dev/null; do
    kill -0 "$mosquitto" || exit 1
    sleep 0.1
  done
}

take() { mosquitto_sub --unix "$folder/socket" -i door -c -q 1 -t 'command/#' -F '%t %p' "$@"; }

publish() { mosquitto_pub --unix "$folder/socket" -q 1 -t "$1" -m "$2"; }

# One more key with its answer, the oldest first, in one step: half a file is none.
remember() { # KEY STATUS TEXT
  { grep -v "^$1 " "$keys" || true; echo "$*"; } | tail -n 16 > "$keys.new"
  mv "$keys.new" "$keys"
}

act() { # KEY TOPIC TEXT
  case $2 in
    door/open)
      remember "$1" 5 '' # if power fails now, it may have opened or not
      echo "command $2: $3" # it opens here
      remember "$1" 0 opened
      publish event/door/state open ;;
    *) remember "$1" 3 '' ;;
  esac
}

# First without the link, so that who takes the commands is known before any can come: mosquitto
# keeps them from then on.
start "$folder/local.conf" take -E
kill "$mosquitto"
wait "$mosquitto" || true
start "$folder/mosquitto.conf" publish event/door/state here
echo ready

take > "$folder/commands" &
commands=$!
while read -r topic text; do
  rest=${topic#command/}
  key=${rest%%/*}
  name=${rest#*/}
  if grep -q "^$key " "$keys"; then echo "again $name"; else act "$key" "$name" "$text"; fi
  line=$(grep "^$key " "$keys")
  answer=${line#* }
  publish "result/$key/${answer%% *}" "${answer#* }"
done < "$folder/commands"

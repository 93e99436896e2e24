#!/bin/sh
# Another release of RabbitMQ beside the system's, in a folder of its own. Debian 13 has 4.0.
#
#   .ci/rabbitmq.sh FOLDER [SUITE]      then: make test RABBITMQ=FOLDER
#
# On Debian, as root. SUITE: trixie, unless another is named. What is there already stays; what the
# programs in it need of this system is mounted. `umount FOLDER/proc FOLDER/dev FOLDER/tmp` before
# the folder is removed.
set -eu

folder=${1:?'usage: .ci/rabbitmq.sh FOLDER [SUITE]'}
suite=${2:-trixie}

if [ ! -x "$folder/usr/lib/rabbitmq/bin/rabbitmq-server" ]; then
  command -v debootstrap >/dev/null || {
    apt-get update -q && apt-get install -q -y --no-install-recommends debootstrap
  } >&2
  # Where this system has its packages from.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Component: main' | grep -v security |
    head -n 1)
  debootstrap --variant=minbase --include=rabbitmq-server "$suite" "$folder" "$mirror" >&2
fi
for name in proc dev tmp; do
  mountpoint -q "$folder/$name" || mount --bind "/$name" "$folder/$name"
done
echo "$folder/usr/lib/rabbitmq/lib/"*

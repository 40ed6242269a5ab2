#!/usr/bin/env bash
# From a bare Debian 12 to the demo's result: makes a chroot with debootstrap, copies a clone of this tree into it and
# runs ./run demo there, as root and as a user with sudo, and prints how long each took. Needs root and a mirror.
#   bare_machine.sh [FOLDER]     the folder (default: a fresh one below build/) is removed at the end
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "bare_machine.sh: needs root" >&2; exit 1; }
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
mkdir -p "$here/build"
base=${1:-$(mktemp -d "$here/build/bare.XXXXXX")}
mirror=${MIRROR:-http://deb.debian.org/debian}

clean_up() {
  local root
  for root in "$base"/root "$base"/user; do
    umount -l "$root/proc" "$root/sys" "$root/dev" 2>/dev/null || true
  done
  rm -rf --one-file-system "$base"
}
trap clean_up EXIT

# bare ROOT: a fresh machine with nothing but the base system and what reaches the mirror from here.
bare() {
  local root=$1
  if [ -d "$base/pristine" ]; then
    cp -a "$base/pristine" "$root"
  else
    debootstrap --variant=minbase bookworm "$base/pristine" "$mirror" >"$base/debootstrap.log" 2>&1 ||
      { tail "$base/debootstrap.log" >&2; exit 1; }
    cp -a "$base/pristine" "$root"
  fi
  for file in /etc/resolv.conf /etc/hosts /etc/apt/sources.list /etc/pip.conf; do
    [ ! -e "$file" ] || cp -L "$file" "$root$file"
  done
  [ -e /etc/apt/sources.list ] || rm -f "$root/etc/apt/sources.list"
  rm -rf "$root/etc/apt/sources.list.d" "$root/etc/apt/apt.conf.d"
  cp -a /etc/apt/sources.list.d /etc/apt/apt.conf.d "$root/etc/apt/"
  mkdir -p "$root/usr/local/share/ca-certificates" "$root/etc/ssl/certs"
  cp -aL /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  cp -aL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys" && mount --make-rslave "$root/sys"
  mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev"
}

# demo ROOT USER: a fresh clone, then ./run demo as that user.
demo() {
  local root=$1 user=$2 home start
  home=$([ "$user" = root ] && echo /root || echo "/home/$user")
  git clone -q "$here" "$root$home/spillway"
  [ "$user" = root ] || chroot "$root" chown -R "$user:" "$home"
  start=$SECONDS
  chroot "$root" su - "$user" -c "cd spillway && ./run demo"
  echo "bare_machine: ./run demo as $user took $((SECONDS - start)) s"
}

bare "$base/root"
demo "$base/root" root

bare "$base/user"
chroot "$base/user" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y sudo >/dev/null &&
  useradd -m -s /bin/bash ada && echo "ada ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/ada'
demo "$base/user" ada

#!/usr/bin/env bash
# From a bare Debian 12 to the demo's result: makes a chroot with debootstrap, copies a clone of this tree into it and
# runs ./run demo there, as root and as a user with sudo, and prints how long each took. Needs root and debootstrap; packages
# come from where this machine's own apt gets Debian's.
#   bare_machine.sh [FOLDER]     the folder (default: a fresh one below build/) is removed at the end
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "bare_machine.sh: needs root" >&2; exit 1; }
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
mkdir -p "$here/build"
base=${1:-$(mktemp -d "$here/build/bare.XXXXXX")}
mkdir -p "$base"
command -v debootstrap >/dev/null || { echo "bare_machine.sh: needs debootstrap (apt-get install debootstrap)" >&2; exit 1; }
# "URI suite component" of each of this machine's sources of bookworm.
sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | grep ' bookworm' | sort -u)
mirror=$(awk '$2 == "bookworm" && $3 == "main" { print $1; exit }' <<<"$sources")
[ -n "$mirror" ] || { echo "bare_machine.sh: apt has no source of Debian bookworm here" >&2; exit 1; }

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
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
    [ ! -e "$file" ] || cp -L "$file" "$root$file"
  done
  sed 's/^/deb /' <<<"$sources" >"$root/etc/apt/sources.list"
  cp -a /etc/apt/apt.conf.d "$root/etc/apt/"
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

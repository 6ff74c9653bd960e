# Holds the store's lock as long as this shell lives, and this shell lives as long as its stdin.
# $1 store, $2 token of this deploy, $3 who deploys, $4 a token whose deploy is known to be dead.
# Says `held`, or `busy TOKEN WHO`. The lock is a symlink because making one is atomic, together
# with what it says, on every file system that has them; no clock is asked.
set -uf
root=$1 token=$2 who=$3 dead=$4

started() { # of process $1: field 22 of /proc/PID/stat, counted after the name, which may hold blanks
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
  # shellcheck disable=SC2086  # to be split
  set -- ${stat##*) }
  shift 19
  echo "$1"
}
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo none)
mine=$token:$$:$(started $$):$boot:$who
release() {
  [ "$(readlink "$root/lock")" = "$mine" ] && rm -f "$root/lock"
  exit 0
}
lives() { # $1 token, $2 process, $3 its start, $4 boot
  [ "$1" != "$token" ] && [ "$1" != "$dead" ] && [ "$4" = "$boot" ] &&
    kill -0 "$2" 2>/dev/null && [ "$(started "$2")" = "$3" ]
}

mkdir -p "$root" || exit 20
tries=0
trap release HUP INT TERM
while ! reason=$(ln -s "$mine" "$root/lock" 2>&1); do
  tries=$((tries + 1))
  if [ "$tries" -gt 20 ]; then
    echo "$reason" >&2
    exit 20
  fi
  held=$(readlink "$root/lock") || continue
  IFS=:
  # shellcheck disable=SC2086  # to be split
  set -- $held
  unset IFS
  if [ $# -ge 5 ] && lives "$1" "$2" "$3" "$4"; then
    echo "busy $1 ${held#"$1:$2:$3:$4:"}"
    exit 0
  fi
  # Of several that find it dead, one moves it; who moved a newer one instead puts it back.
  if mv -f "$root/lock" "$root/lock.$$" 2>/dev/null; then
    if [ "$(readlink "$root/lock.$$")" = "$held" ]; then
      rm -f "$root/lock.$$"
    else
      mv -f "$root/lock.$$" "$root/lock"
    fi
  fi
done
echo held
while read -r _; do :; done
release

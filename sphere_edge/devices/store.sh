# What the store needs done on the device. $1 action, $2 store, $3 token of the lock's holder, then the
# action's own. Needs a POSIX shell and the small programs of toybox, busybox or coreutils.
# Exit codes: 20 cannot write, 21 programs cannot be started here, 22 the lock is no longer ours,
# 23 a blob arrived damaged, 24 a blob is missing, 25 no program for sha256, 26 no such bundle.
set -uf
export LC_ALL=C
action=$1 root=$2 token=$3
shift 3

die() {
  echo "$2" >&2
  exit "$1"
}
fail() { # with $1; a program ended by a signal means that the device goes down, not that its storage fails
  status=$?
  [ "$status" -gt 128 ] && exit "$status"
  exit "$1"
}
sum() {
  if command -v sha256sum >/dev/null; then
    sha256sum "$@"
  elif command -v shasum >/dev/null; then
    shasum -a 256 "$@"
  else
    die 25 'no program for sha256'
  fi
}
owned() {
  case $(readlink "$root/lock") in
    "$token":*) ;;
    *) die 22 'the lock is no longer ours' ;;
  esac
}
point() { # pointer file $1 gets lines $2 and $3, at once and whole
  printf '%s\n%s\n' "$2" "$3" >"$root/incoming/.pointer" || fail 20
  # What the pointer names must be on the flash before the pointer is, or a power cut breaks both.
  sync
  mv -f "$root/incoming/.pointer" "$root/current/$1" || fail 20
}
current_of() { # line $2 of pointer file $1, if it can be a bundle's
  line=$(sed -n "${2}p" "$root/current/$1" 2>/dev/null | head -c 64)
  case $line in *[!0-9a-f]*) ;; *) echo "$line" ;; esac
}

link_into() { # blob $1 as file $2 of the bundle folder $3, at once also where another file is
  case $2 in */*) mkdir -p "$3/${2%/*}" || fail 20 ;; esac
  rm -f "$3/$2.new"
  # A hard link is the file itself to whoever opens the bundle. Where those are forbidden, as to
  # adb's shell by Android's rules, or unknown, a symbolic one.
  if ! ln "$root/blobs/$1" "$3/$2.new" 2>/dev/null; then
    up=../..
    rest=$2
    while [ "$rest" != "${rest#*/}" ]; do
      rest=${rest#*/}
      up=../$up
    done
    ln -s "$up/blobs/$1" "$3/$2.new" || fail 20
  fi
  mv -f "$3/$2.new" "$3/$2" || fail 20
}
replace() { # in every bundle, the damaged file that was linked to blob $1
  set +f
  for list in "$root"/bundles/*/files.sha256; do
    [ -f "$list" ] || continue
    while read -r blob path; do
      if [ "$blob" = "$1" ]; then link_into "$blob" "$path" "${list%/files.sha256}"; fi
    done <"$list"
  done
}

case $action in
  prepare)
    mkdir -p "$root/blobs" "$root/bundles" "$root/current" "$root/incoming" || fail 20
    # The folders may be there already on a file system that has become read-only since.
    : >"$root/incoming/.writable" || fail 20
    ;;
  executable)
    for shell in /bin/sh /system/bin/sh; do [ -x "$shell" ] && break; done
    rm -f "$root/incoming/.run"
    printf '#!%s\nexit 0\n' "$shell" >"$root/incoming/.run" || fail 20
    chmod 700 "$root/incoming/.run"
    "$root/incoming/.run" 2>/dev/null || die 21 'programs cannot be started there'
    rm -f "$root/incoming/.run"
    ;;
  inventory)
    folder=$root
    while [ ! -d "$folder" ]; do
      case $folder in */?*) folder=${folder%/*} ;; *) folder=. ;; esac
      [ -n "$folder" ] || folder=/
    done
    echo '== df'
    df -P -k "$folder" || df -k "$folder"
    for kind in blobs incoming bundles; do
      echo "== $kind"
      [ -d "$root/$kind" ] && ls -ln "$root/$kind"
    done
    echo '== current'
    cd "$root/current" 2>/dev/null || exit 0
    set +f
    for name in *; do
      if [ -f "$name" ]; then echo "$name $(head -n 2 "$name" | tr '\n' ' ')"; fi
    done
    ;;
  hash)
    cd "$root/blobs" && sum "$@"
    ;;
  size)
    cd "$root/incoming" || fail 24
    if [ -f "$1" ]; then ls -ln "$1"; fi
    ;;
  finish) # blob $1, mode $2: what arrived becomes a blob if it is what it should be
    owned
    arrived=$root/incoming/$1
    got=$(sum <"$arrived") || fail 24
    if [ "${got%% *}" != "$1" ]; then
      rm -f "$arrived"
      die 23 "arrived as ${got%% *}"
    fi
    was_there=$(ls "$root/blobs/$1" 2>/dev/null)
    chmod "$2" "$arrived" || fail 20
    mv -f "$arrived" "$root/blobs/$1" || fail 20
    if [ -n "$was_there" ]; then replace "$1"; fi
    ;;
  mode) # mode $1, blobs…
    mode=$1
    shift
    cd "$root/blobs" && chmod "$mode" "$@"
    ;;
  link) # bundle $1: a folder of links to blobs, as the list that was sent says
    owned
    list=$root/incoming/$1.files
    new=$root/bundles/.$1.new
    rm -rf "$new"
    mkdir -p "$new" || fail 20
    while read -r blob path; do
      [ -f "$root/blobs/$blob" ] || die 24 "no blob $blob"
      link_into "$blob" "$path" "$new"
    done <"$list"
    mv -f "$list" "$new/files.sha256" || fail 20
    # Content decides the name, so a bundle that is there is the same one; unless a file was lost.
    if [ -d "$root/bundles/$1" ]; then
      if (cd "$root/bundles/$1" && [ -f files.sha256 ] &&
        while read -r blob path; do [ -f "$path" ] || exit 1; done) <"$new/files.sha256"; then
        # A power cut may have emptied the existing list.
        mv -f "$new/files.sha256" "$root/bundles/$1/files.sha256" || fail 20
        rm -rf "$new"
        exit 0
      fi
      rm -rf "$root/bundles/$1"
    fi
    mv -f "$new" "$root/bundles/$1" || fail 20
    ;;
  switch) # name $1 uses bundle $2 from now on
    owned
    [ -d "$root/bundles/$2" ] || die 26 "no bundle $2"
    now=$(current_of "$1" 1)
    [ "$now" = "$2" ] && exit 0
    point "$1" "$2" "$now"
    ;;
  back) # name $1 uses the bundle before, and the other way round
    owned
    now=$(current_of "$1" 1)
    before=$(current_of "$1" 2)
    [ -n "$now" ] || die 26 'nothing of this name'
    if [ -z "$before" ] || [ ! -d "$root/bundles/$before" ]; then die 26 'no bundle before'; fi
    point "$1" "$before" "$now"
    ;;
  forget)
    owned
    rm -f "$root/current/$1" || fail 20
    ;;
  listings) # bundles…
    for bundle in "$@"; do
      echo "== $bundle"
      cat "$root/bundles/$bundle/files.sha256" 2>/dev/null
    done
    exit 0
    ;;
  delete) # kind $1 (bundles, blobs, incoming), names…
    owned
    kind=$1
    shift
    for name in "$@"; do rm -rf "${root:?}/$kind/${name:?}" || fail 20; done
    ;;
  sweep) # what deploys that died left between two steps
    owned
    set +f
    rm -rf "$root"/bundles/.*.new "$root"/lock.[0-9]*
    ;;
esac

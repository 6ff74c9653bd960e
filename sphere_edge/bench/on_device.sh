# Runs a program on the device and reads sensors meanwhile; all of it ends with our stdin.
# $1 seconds between readings, $2 readings before the program, $3 readings after it, $4 how many
# sensor files follow; then those files, then the program and its words. No program: only reads.
# Prints `begin`, lines `s UPTIME RESIDENT_PAGES READING…` and, on a Jetson, `t UPTIME TEGRASTATS`, `report`, the stdout of the program,
# `exit CODE`, more `s` lines, `end`. A missing reading is `-`. Needs a POSIX shell, dd,
# cat and sleep, of toybox, busybox or coreutils; readings start no program.
set -uf
export LC_ALL=C
exec 3<&0 </dev/null 2>/dev/null
interval=$1 before=$2 after=$3 count=$4
shift 4
files=
while [ "$count" -gt 0 ]; do
  files="$files $1"
  shift
  count=$((count - 1))
done

sample() { # of process $1, or -
  up=- pages=- rest=
  read -r up rest </proc/uptime
  [ "$1" = - ] || read -r rest pages rest <"/proc/$1/statm" || pages=-
  line="s ${up:--} ${pages:--}"
  for file in $files; do
    word=-
    read -r word rest <"$file"
    line="$line ${word:--}"
  done
  echo "$line"
}
# NVIDIA's own program reports rails and the GPU also where the kernel's files need root. It ends by itself,
# within one interval of the end of its reader.
case $interval in *.*) milliseconds=500 ;; *) milliseconds=${interval}000 ;; esac
tegrastats=
start_tegrastats() {
  command -v tegrastats >/dev/null || return
  tegrastats --interval "$milliseconds" | while read -r reading; do
    read -r up rest </proc/uptime
    echo "t $up $reading"
  done &
  tegrastats=$!
}
stop_tegrastats() {
  [ -z "$tegrastats" ] || kill -KILL "$tegrastats"
  tegrastats=
}
# Not every sleep knows fractions. Its stdout is not ours: it may live a moment longer than we do.
pause() { sleep "$interval" >/dev/null || sleep 1 >/dev/null; }
samples() { # $1 of them without a program
  left=$1
  while [ "$left" -gt 0 ]; do
    sample -
    pause
    left=$((left - 1))
  done
}

stopped=
trap 'stopped=1' TERM
(
  # Both transports (adb, SSH) give each command a process group of its own, so this ends the program with us.
  trap '' TERM
  while read -r _ <&3; do :; done
  kill -TERM 0
  sleep 1
  kill -KILL 0
) &
watcher=$!

echo begin
start_tegrastats
if [ $# -eq 0 ]; then
  while [ -z "$stopped" ]; do
    sample -
    pause
  done
fi
samples "$before"
if [ -z "$stopped" ]; then
  {
    "$@" 3<&- &
    echo "$!"
    wait "$!"
    echo "exit $?"
  } | {
    read -r program
    (
      trap - TERM
      while :; do
        sample "$program"
        pause
      done
    ) &
    sampler=$!
    # The program speaks only at its end. Two writers at once would tear each other's lines, so the
    # sampler ends first; what it was saying then ends with a dot. KILL, as TERM can be lost: a
    # program that ends at once is faster than the sampler, in which our own trap is still set.
    first=$(dd bs=1 count=1)
    kill -KILL "$sampler"
    wait "$sampler"
    [ -z "$tegrastats" ] || kill -KILL "$tegrastats"
    printf '.\nreport\n%s' "$first"
    cat
  }
fi
if [ -z "$stopped" ] && [ -n "$tegrastats" ]; then start_tegrastats; fi
[ -n "$stopped" ] || samples "$after"
stop_tegrastats
[ -z "$stopped" ] || wait "$watcher"
echo end
kill -KILL "$watcher"

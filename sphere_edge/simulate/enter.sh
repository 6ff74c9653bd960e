# Starts a program of a simulated device, inside namespaces of its own (unshare --map-root-user
# --mount). $1 its root folder, $2 an emulator for its machine code or nothing, $3 folders of this
# machine that it sees, too, joined with `:`; then the program's words.
set -u
root=$1 emulator=$2 shared=$3
shift 3

if [ -n "$emulator" ] && ! [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || exit 90
  # linux/Documentation/admin-guide/binfmt-misc.rst: an ELF header of a 64-bit ARM program, and F:
  # the emulator is opened now, so that the root needs no copy of it.
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":qemu-aarch64:M::$magic:$mask:$emulator:OCF" \
    >/proc/sys/fs/binfmt_misc/register || exit 90
fi
for folder in proc sys dev; do
  mount --rbind "/$folder" "$root/$folder" || exit 90
done
IFS=:
for folder in $shared; do
  mount --rbind "$folder" "$root$folder" || exit 90
  mount -o remount,bind,ro "$root$folder" 2>/dev/null
done
unset IFS
# Nothing of this machine's environment is the device's.
exec unshare --root="$root" --wd=/ env -i HOME=/root USER=root TMPDIR=/tmp \
  PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/system/bin ${QEMU_CPU:+QEMU_CPU="$QEMU_CPU"} "$@"

# Starts a program of a simulated device, inside namespaces of its own (unshare --map-root-user
# --mount). $1 its root folder, $2 folders of this machine that it sees, too, read-only and joined
# with `:`; then the program's words.
set -u
root=$1 shared=$2
shift 2

for folder in proc sys dev; do
  mount --rbind "/$folder" "$root/$folder" || exit 90
done
IFS=:
for folder in $shared; do
  mount --rbind "$folder" "$root$folder" || exit 90
  mount -o remount,bind,ro "$root$folder" 2>/dev/null
done
unset IFS
exec unshare --root="$root" --wd=/ "$@"

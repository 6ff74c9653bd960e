# Prints what the device is, as `== section` lines, each followed by the output of one source.
# Runs in dash, busybox, mksh and toybox; a source that is missing leaves its section empty.
# $1: the folder whose free storage counts; it need not exist yet.
export LC_ALL=C
# Nothing here may read stdin: this script itself comes from there.
exec 2>/dev/null

section() { printf '\n== %s\n' "$1"; }
value() { [ -r "$1" ] && head -c 512 "$1" | tr '\000' '\n'; }

section uname
uname -s
uname -r
uname -m
section os-release
head -c 4096 /etc/os-release
section getprop
# One by one: a listing of all of them could hold anything, at any length.
if command -v getprop >/dev/null; then
  for name in ro.build.version.release ro.build.version.sdk ro.product.manufacturer \
    ro.product.model ro.product.cpu.abi ro.soc.manufacturer ro.soc.model ro.board.platform \
    ro.hardware ro.hardware.egl ro.hardware.vulkan ro.gfx.driver.0; do
    printf '%s=%s\n' "$name" "$(getprop "$name" | head -c 256)"
  done
fi
section libc
getconf GNU_LIBC_VERSION
ls /lib/ld-musl-*.so.1 /system/bin/linker64 /lib*/ld-linux-*.so.* | head -n 3
section cpuinfo
head -c 262144 /proc/cpuinfo
section auxv
od -An -v -t x8 /proc/self/auxv
section cpus
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
  [ -d "$cpu" ] || continue
  printf '%s %s %s %s\n' "${cpu##*/cpu}" \
    "$(cat "$cpu/cpufreq/cpuinfo_max_freq" || echo -)" "$(cat "$cpu/cpu_capacity" || echo -)" \
    "$(cat "$cpu/topology/thread_siblings_list" || echo -)"
done
section online
nproc || getconf _NPROCESSORS_ONLN
section meminfo
head -n 8 /proc/meminfo
section cgroup
value /sys/fs/cgroup/memory.max
value /sys/fs/cgroup/memory.current
section cgroup-cpu
value /sys/fs/cgroup/cpu.max
section page
getconf PAGESIZE || getconf PAGE_SIZE
section storage
folder=$1
while [ ! -d "$folder" ]; do
  case $folder in
    */*) folder=${folder%/*} ;;
    *) folder=. ;;
  esac
  [ -n "$folder" ] || folder=/
done
df -P -k "$folder" || df -k "$folder"
section device-tree
value /proc/device-tree/model
value /proc/device-tree/compatible
section tegra
value /etc/nv_tegra_release
section dmi
value /sys/class/dmi/id/product_name
section gpu
for file in /sys/class/kgsl/kgsl-3d0/gpu_model /sys/class/misc/mali0/device/gpuinfo \
  /sys/devices/platform/*.mali/gpuinfo /proc/driver/nvidia/version /sys/module/nvidia/version; do
  [ -r "$file" ] && printf '%s=%s\n' "$file" "$(head -n 1 "$file" | head -c 256)"
done
for driver in /sys/class/drm/card[0-9]/device/driver; do
  link=$(readlink "$driver") && printf 'drm=%s\n' "${link##*/}"
done
ls /vendor/lib64/egl /vendor/lib64/libOpenCL.so /usr/lib/*/libcuda.so.1 /usr/lib/*/libOpenCL.so.1 \
  /dev/nvhost-gpu /dev/nvgpu | head -n 20
section 'gpu memory'
nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits | head -n 1 | head -c 64
section sensors
sys=${2:-/sys}

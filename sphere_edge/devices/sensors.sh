# Every sensor that can be read, as `sensor KIND VALUE FILE NAME` lines. $sys: where sysfs is mounted.
# Read by devices/sensors.py; run by probe.sh, which sets LC_ALL and closes stderr.
sensor() { # kind $1, file $2, name $3; one that cannot be read is not there
  [ -r "$2" ] || return 0
  seen=
  read -r seen <"$2" || [ -n "$seen" ] || return 0
  printf 'sensor %s %s %s %s\n' "$1" "${seen%% *}" "$2" "$3"
}
first() { # the first word-like line of the first of these files that has one
  for named in "$@"; do
    name=
    [ -r "$named" ] && read -r name <"$named"
    if [ -n "$name" ]; then
      printf '%s\n' "$name"
      return
    fi
  done
}
for zone in "$sys"/class/thermal/thermal_zone[0-9]*; do
  sensor temperature "$zone/temp" "$(first "$zone/type")"
done
for cooler in "$sys"/class/thermal/cooling_device[0-9]*; do
  sensor cooling "$cooler/cur_state" "$(first "$cooler/type")"
done
for file in "$sys"/class/hwmon/hwmon[0-9]*/temp[0-9]*_input; do
  sensor temperature "$file" "$(first "${file%/*}/name") $(first "${file%_input}_label")"
done
for file in "$sys"/class/hwmon/hwmon[0-9]*/curr[0-9]*_input; do
  number=${file##*/curr}
  # INA3221 on Jetson: the rail's name is with its voltage.
  sensor current "$file" "$(first "${file%_input}_label" "${file%/*}/in${number%_input}_label" "${file%/*}/name")"
done
for file in "$sys"/class/hwmon/hwmon[0-9]*/in[0-9]*_input; do
  sensor voltage "$file" "$(first "${file%_input}_label" "${file%/*}/name")"
done
for file in "$sys"/class/hwmon/hwmon[0-9]*/power[0-9]*_input; do
  sensor power "$file" "$(first "${file%_input}_label" "${file%/*}/name")"
done
# The same INA3221 under JetPack 4, in milliwatts.
for file in "$sys"/bus/i2c/drivers/ina3221x/*/iio:device[0-9]*/in_power[0-9]*_input; do
  number=${file##*/in_power}
  sensor milliwatts "$file" "$(first "${file%/*}/rail_name_${number%_input}")"
done
for supply in "$sys"/class/power_supply/*; do
  name=${supply##*/}
  [ "$(first "$supply/type")" = Battery ] || continue
  sensor battery_status "$supply/status" "$name"
  sensor battery_current "$supply/current_now" "$name"
  sensor battery_voltage "$supply/voltage_now" "$name"
  sensor battery_power "$supply/power_now" "$name"
  sensor battery_temperature "$supply/temp" "$name"
done
for zone in "$sys"/class/powercap/intel-rapl:[0-9]; do
  sensor energy "$zone/energy_uj" "$(first "$zone/name")"
done
for policy in "$sys"/devices/system/cpu/cpufreq/policy[0-9]*; do
  name=${policy##*/}
  sensor clock "$policy/scaling_cur_freq" "$name"
  sensor clock_limit "$policy/scaling_max_freq" "$name"
  sensor clock_most "$policy/cpuinfo_max_freq" "$name"
  sensor governor "$policy/scaling_governor" "$name"
done
for device in "$sys"/class/devfreq/*; do
  name=${device##*/}
  case $name in *gpu* | *mali* | *kgsl* | *g3d* | *gv11b* | *ga10b* | *gp10b*) ;; *) continue ;; esac
  sensor gpu_clock "$device/cur_freq" "$name"
  sensor gpu_clock_limit "$device/max_freq" "$name"
  sensor gpu_governor "$device/governor" "$name"
done
# Adreno's own files, where the ones above are hidden from adb's shell.
if ! [ -r "$sys/class/devfreq/kgsl-3d0/cur_freq" ]; then
  sensor gpu_clock "$sys/class/kgsl/kgsl-3d0/gpuclk" kgsl-3d0
  sensor gpu_clock_limit "$sys/class/kgsl/kgsl-3d0/max_gpuclk" kgsl-3d0
fi
for file in "$sys"/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count; do
  name=${file%/thermal_throttle/*}
  sensor throttled_times "$file" "${name##*/}"
done
for file in "$sys"/devices/platform/soc*/soc*:firmware/get_throttled; do
  sensor throttled_flags "$file" raspberry-pi
done

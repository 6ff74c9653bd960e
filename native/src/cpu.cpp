// Probes the processor: CPUID or the kernel's hardware capabilities, and the core topology under /sys.
#include "cpu.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace se {
namespace {

#if defined(__x86_64__)
uint64_t enabled_register_state() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}
#endif

std::string read_line(const std::string &path) {
  std::ifstream stream(path);
  std::string line;
  std::getline(stream, line);
  return line;
}

long read_number(const std::string &path, long otherwise) {
  const std::string line = read_line(path);
  if (line.empty() || line.size() > 18 || line.find_first_not_of("0123456789") != std::string::npos) return otherwise;
  return std::stol(line);
}

uint64_t meminfo_bytes(const std::string &field) {
  std::ifstream stream("/proc/meminfo");
  std::string name;
  uint64_t kibibytes = 0;
  std::string unit;
  while (stream >> name >> kibibytes && std::getline(stream, unit)) {
    if (name == field) return kibibytes * 1024;
  }
  return 0;
}

}  // namespace

const char *cpu_architecture() {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown";
#endif
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> found;
#if defined(__x86_64__)
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return found;
  const bool saves_registers = (c & bit_OSXSAVE) != 0;
  const uint64_t state = saves_registers ? enabled_register_state() : 0;
  // Without the operating system saving the wide registers, the instructions fault.
  const bool ymm = (state & 0x6) == 0x6;
  const bool zmm = (state & 0xe6) == 0xe6;
  const bool fma = ymm && (c & bit_FMA) != 0;
  const bool f16c = ymm && (c & bit_F16C) != 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) b = c = 0;
  if (ymm && (b & bit_AVX2) != 0) found.emplace_back("avx2");
  if (fma) found.emplace_back("fma");
  if (f16c) found.emplace_back("f16c");
  const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  if (zmm && (b & avx512) == avx512 && (c & bit_AVX512VNNI) != 0) found.emplace_back("avx512vnni");
#elif defined(__aarch64__) && defined(__linux__)
  // Bits of the arm64 Linux user interface (asm/hwcap.h), spelled out because older headers lack some.
  const unsigned long capabilities = getauxval(AT_HWCAP);
  const unsigned long more = getauxval(AT_HWCAP2);
  if ((capabilities & (1UL << 1)) != 0) found.emplace_back("neon");
  if ((capabilities & (1UL << 20)) != 0) found.emplace_back("dotprod");
  if ((capabilities & (1UL << 10)) != 0) found.emplace_back("fp16");
  if ((more & (1UL << 13)) != 0) found.emplace_back("i8mm");
#elif defined(__aarch64__) && defined(__APPLE__)
  // Every iPhone since the A13 has these; i8mm came with the A15 and is asked for at build time only.
  found = {"neon", "dotprod", "fp16"};
#if defined(__ARM_FEATURE_MATMUL_INT8)
  found.emplace_back("i8mm");
#endif
#endif
  return found;
}

int performance_cores() {
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return std::max(1U, std::thread::hardware_concurrency());
  // Hyper-threads share a core; big.LITTLE chips tell their cores apart by capacity (or by top frequency).
  std::map<std::string, long> speed_of_core;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    std::string siblings = read_line(folder + "/topology/thread_siblings_list");
    if (siblings.empty()) siblings = std::to_string(cpu);
    long speed = read_number(folder + "/cpu_capacity", 0);
    if (speed == 0) speed = read_number(folder + "/cpufreq/cpuinfo_max_freq", 0);
    speed_of_core[siblings] = speed;
  }
  long fastest = 0;
  for (const auto &[core, speed] : speed_of_core) fastest = std::max(fastest, speed);
  // A core at half the speed of the fastest would only be waited for.
  const auto fast = std::count_if(speed_of_core.begin(), speed_of_core.end(),
                                  [&](const auto &core) { return core.second * 2 > fastest || fastest == 0; });
  return std::max<int>(1, static_cast<int>(fast));
#else
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
#endif
}

uint64_t memory_total_bytes() { return meminfo_bytes("MemTotal:"); }
uint64_t memory_available_bytes() { return meminfo_bytes("MemAvailable:"); }

uint64_t peak_resident_bytes() {
#if defined(__linux__)
  // Not getrusage: its peak survives exec, so a runner started by a large program would report that program's.
  std::ifstream stream("/proc/self/status");
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
#else
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) : 0;
#endif
}

}  // namespace se

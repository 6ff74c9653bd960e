// Probes the machine: the names of its CPU features, the core topology under /sys, memory.
#include "base/cpu.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "base/cpu_features.h"
#include "base/status.h"

namespace se {
namespace {

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
  const uint32_t bits = se_cpu_features_found();
  for (int i = 0; se_cpu_feature_name(i) != nullptr; ++i) {
    if ((bits >> i & 1) != 0) found.emplace_back(se_cpu_feature_name(i));
  }
  return found;
}

int performance_cores() {
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return std::max(1U, std::thread::hardware_concurrency());
  // Hyper-threads share a core; cores of big.LITTLE chips differ by capacity (or by top frequency).
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
  // The fast cores would only wait for one with half their speed.
  const auto fast = std::count_if(speed_of_core.begin(), speed_of_core.end(),
                                  [&](const auto &core) { return core.second * 2 > fastest || fastest == 0; });
  return std::max<int>(1, static_cast<int>(fast));
#else
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
#endif
}

int checked_threads(int requested) {
  require(requested >= 0 && requested <= 512, "threads is out of range: " + ticked(std::to_string(requested)));
  return requested == 0 ? performance_cores() : requested;
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

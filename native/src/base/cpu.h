// This machine's processor: its features by the names of our device profiles, and its performance cores.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace se {

// "x86_64" or "aarch64".
const char *cpu_architecture();

// Features by the names that bundle manifests use: avx2, fma, f16c, avx512vnni, neon, dotprod, i8mm, fp16.
std::vector<std::string> cpu_features();

// How many performance cores this process may use, hyper-threads not counted; at least 1.
int performance_cores();

// The number of threads for a model: `requested`, or the performance cores if it is 0. INVALID_ARGUMENT.
int checked_threads(int requested);

// Bytes of main memory of this machine; 0 if unknown.
uint64_t memory_total_bytes();
uint64_t memory_available_bytes();

// The most memory this process ever had resident, in bytes.
uint64_t peak_resident_bytes();

}  // namespace se

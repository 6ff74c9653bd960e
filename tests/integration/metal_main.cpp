// Runs the Metal device as the runtime does, on metal_stand_in.c; prints a line of JSON.
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "tvm/metal_program.h"

namespace {

using se::metal::Buffer;
using se::metal::Device;

const std::string kSource = "kernel void scale(device float *x, constant args &args)";

std::string cache_folder;

se::GpuCodeParts parts(const std::string &source) {
  se::GpuCodeParts made;
  made.sources = {{"scale", source}};
  made.cache_folder = cache_folder;
  return made;
}

// A kernel that gets the second part of a buffer leaves the first alone.
void divide(Device &gpu, se::metal::Library &library) {
  const size_t half = gpu.part_alignment(), count = half / sizeof(float);
  std::vector<float> numbers(2 * count, 7.0F), seen(2 * count), own(count);
  Buffer *whole = gpu.allocate(2 * half), *part = gpu.part(*whole, half, half);
  gpu.write(*whole, 0, numbers.data(), 2 * half);
  const int32_t factor = 2;
  const int64_t more = 1;
  const size_t groups[] = {count, 1, 1}, threads[] = {1, 1, 1};
  library.run("scale", {{&part->memory, sizeof part->memory, part}, {&factor, 4, nullptr}, {&more, 8, nullptr}}, groups,
              threads);
  gpu.read(*whole, 0, seen.data(), 2 * half);
  gpu.read(*part, 0, own.data(), half);
  for (size_t i = 0; i < count; ++i) {
    if (seen[i] != 7.0F || seen[count + i] != 15.0F || own[i] != 15.0F) {
      throw se::Error(SE_INTERNAL, "number " + std::to_string(i) + " of a part is wrong");
    }
  }
  gpu.release_part(part);
  gpu.release(whole);
}

void compute() {
  Device &gpu = Device::open();
  std::vector<float> numbers(100), copied(numbers.size());
  std::iota(numbers.begin(), numbers.end(), 0.0F);
  const size_t bytes = numbers.size() * sizeof(float);
  Buffer *one = gpu.allocate(bytes), *other = gpu.allocate(bytes);
  se::metal::Library library(gpu, parts(kSource));
  gpu.write(*one, 0, numbers.data(), bytes);
  gpu.fill_with_zeros(*other);
  const int32_t factor = 3;
  const int64_t more = -5;
  const size_t groups[] = {10, 1, 1}, threads[] = {10, 1, 1};
  const auto run = [&](const std::string &name) {
    library.run(name, {{&one->memory, sizeof one->memory, one}, {&factor, 4, nullptr}, {&more, 8, nullptr}}, groups,
                threads);
  };
  for (int i = 0; i < 2; ++i) run("scale");
  gpu.copy(*one, 40, *other, 0, bytes - 40);
  run("scale");  // after the copy, which must not see it
  gpu.read(*other, 0, copied.data(), bytes);
  const auto twice = [](float x) { return (x * 3 - 5) * 3 - 5; };
  for (size_t i = 0; i < copied.size(); ++i) {
    const float expected = i < 90 ? twice(numbers[i + 10]) : 0;
    if (copied[i] != expected) throw se::Error(SE_INTERNAL, "number " + std::to_string(i) + " is wrong");
  }
  gpu.profile(true);
  for (int i = 0; i < 40; ++i) run("scale");
  const auto time = gpu.kernel_times().at("scale");
  if (time.calls != 40 || time.nanoseconds != 40 * 250'000'000ULL) throw se::Error(SE_INTERNAL, "times are wrong");
  gpu.profile(false);
  for (int i = 0; i < 100; ++i) run("scale");
  gpu.finish();
  divide(gpu, library);
  gpu.release(one);
  gpu.release(other);
  gpu.trim();
  if (gpu.used_bytes() != 0) throw se::Error(SE_INTERNAL, "memory is kept");
}

void fail(const std::string &how) {
  Device &gpu = Device::open();
  if (how == "large") gpu.allocate(2 << 20);
  Buffer *memory = gpu.allocate(400);
  se::metal::Library library(gpu, parts(how == "source" ? "nothing" : kSource));
  const size_t groups[] = {1, 1, 1}, threads[] = {how == "threads" ? 65U : 1U, 1, 1};
  library.run(how == "kernel" ? "unknown" : "scale", {{&memory->memory, 8, memory}}, groups, threads);
  gpu.finish();
}

}  // namespace

int main(int count, char **words) {
  try {
    cache_folder = std::string(words[1]) + "/metal";
    count > 2 ? fail(words[2]) : compute();
    std::printf("{\"status\": 0}\n");
  } catch (const se::Error &error) {
    std::printf("{\"status\": %d, \"message\": \"%s\"}\n", error.status, error.message.c_str());
  }
}

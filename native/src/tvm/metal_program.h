// The kernels of one compiled model: Metal source, compiled by the system, with an archive of pipelines kept on disk.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tvm/gpu_code.h"
#include "tvm/metal_device.h"

namespace se::metal {

class Library {
 public:
  // Kernels are compiled when they are first run.
  Library(Device &device, const GpuCodeParts &parts);
  Library(const Library &) = delete;
  Library &operator=(const Library &) = delete;

  // As cl::KernelSet's; LOAD_FAILED with the compiler's message if the system rejects a kernel.
  void run(const std::string &name, const std::vector<GpuArgument> &arguments, const size_t *groups,
           const size_t *threads);

 private:
  Id pipeline(const std::string &name);
  Owned function(const std::string &name);
  void open_archive(const std::filesystem::path &folder);
  void keep_archive();

  Device &device_;
  std::map<std::string, std::string> sources_;
  Owned archive_;
  std::filesystem::path archive_path_;
  std::mutex mutex_;
  std::map<std::string, Owned> pipelines_;
};

}  // namespace se::metal

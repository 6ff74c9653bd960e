// Builds programs and caches their binaries; a cache that cannot be read or written costs time and nothing else.
#include "tvm/opencl_program.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/sha256.h"

namespace se::cl {
namespace fs = std::filesystem;
namespace {

constexpr size_t kLargestBinary = 64 << 20;
constexpr char kMagic[] = "sphere-edge OpenCL binary 2\n";

// Everything that a binary depends on; the file begins with it.
std::string key_of(const Device &device, const std::string &source, const std::string &options) {
  return device.platform() + "\n" + device.name() + "\n" + device.driver() + "\n" + options + "\n" +
         std::to_string(source.size()) + " " + sha256(source) + "\n";
}

std::string read_cached(const fs::path &path, const std::string &key) {
  std::error_code error;
  const uint64_t bytes = fs::file_size(path, error);
  if (error || bytes > kLargestBinary) return "";
  std::ifstream in(path, std::ios::binary);
  std::string content(bytes, '\0');
  if (!in.read(content.data(), static_cast<std::streamsize>(bytes))) return "";
  const std::string head = kMagic + key;
  if (content.compare(0, head.size(), head) != 0) return "";
  const size_t line_end = content.find('\n', head.size());
  if (line_end == std::string::npos) return "";
  const std::string hash = content.substr(head.size(), line_end - head.size());
  std::string binary = content.substr(line_end + 1);
  return hash == sha256(binary) ? binary : "";
}

void write_cached(const fs::path &path, const std::string &key, const std::string &binary) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  const fs::path beside = path.string() + "." + std::to_string(::getpid());
  {
    std::ofstream out(beside, std::ios::binary);
    out << kMagic << key << sha256(binary) << '\n' << binary;
    if (!out.flush()) {
      fs::remove(beside, error);
      return;
    }
  }
  fs::rename(beside, path, error);
  if (error) fs::remove(beside, error);
}

std::string binary_of(Program *program) {
  size_t bytes = 0;
  if (api().GetProgramInfo(program, kProgramBinarySizes, sizeof bytes, &bytes, nullptr) != kSuccess) return "";
  if (bytes == 0 || bytes > kLargestBinary) return "";
  std::string binary(bytes, '\0');
  auto *data = reinterpret_cast<unsigned char *>(binary.data());
  if (api().GetProgramInfo(program, kProgramBinaries, sizeof data, &data, nullptr) != kSuccess) return "";
  return binary;
}

}  // namespace

BuiltProgram::BuiltProgram(Device &device, const GpuCodeParts &parts, const std::string &options)
    : device_(device), options_(options) {
  const std::string &source = parts.code;
  const std::string key = key_of(device, source, options);
  const fs::path &folder = parts.cache_folder;
  const fs::path path = folder / (sha256(key) + ".bin");
  Int code = kSuccess;
  if (const std::string binary = folder.empty() ? "" : read_cached(path, key); !binary.empty()) {
    DeviceId *id = device.id();
    const size_t bytes = binary.size();
    const auto *data = reinterpret_cast<const unsigned char *>(binary.data());
    Int status = kSuccess;
    program_ = api().CreateProgramWithBinary(device.context(), 1, &id, &bytes, &data, &status, &code);
    if (code == kSuccess && status == kSuccess && build(program_, nullptr)) return;
    if (program_ != nullptr && code == kSuccess) api().ReleaseProgram(program_);
    program_ = nullptr;
  }
  const char *text = source.data();
  const size_t bytes = source.size();
  program_ = api().CreateProgramWithSource(device.context(), 1, &text, &bytes, &code);
  if (code != kSuccess) throw device.failure("does not accept the kernels", code);
  std::string log;
  if (!build(program_, &log)) {
    api().ReleaseProgram(program_);
    throw Error(SE_LOAD_FAILED, "the driver of " + ticked(device.name()) + " does not compile the kernels: " + log,
                "open with the backend cpu, and report the driver's version: " + device.driver());
  }
  if (folder.empty()) return;
  if (const std::string binary = binary_of(program_); !binary.empty()) write_cached(path, key, binary);
}

BuiltProgram::~BuiltProgram() {
  for (const auto &[name, kernel] : kernels_) api().ReleaseKernel(kernel);
  if (program_ != nullptr) api().ReleaseProgram(program_);
}

bool BuiltProgram::build(Program *program, std::string *log) {
  DeviceId *id = device_.id();
  if (api().BuildProgram(program, 1, &id, options_.c_str(), nullptr, nullptr) == kSuccess) return true;
  if (log == nullptr) return false;
  size_t bytes = 0;
  api().GetProgramBuildInfo(program, id, kProgramBuildLog, 0, nullptr, &bytes);
  log->assign(bytes, '\0');
  api().GetProgramBuildInfo(program, id, kProgramBuildLog, bytes, log->data(), nullptr);
  log->resize(std::min<size_t>(log->find('\0') == std::string::npos ? log->size() : log->find('\0'), 2000));
  return false;
}

Kernel *BuiltProgram::kernel(const std::string &name) {
  if (const auto found = kernels_.find(name); found != kernels_.end()) return found->second;
  Int code = kSuccess;
  Kernel *made = api().CreateKernel(program_, name.c_str(), &code);
  if (code != kSuccess) {
    throw Error(SE_MODEL_CORRUPT, "the compiled model has no kernel " + ticked(name) + ": " + error_name(code));
  }
  kernels_.emplace(name, made);
  return made;
}

}  // namespace se::cl

// Compiles and caches; an archive that cannot be read or written costs time and nothing else.
#include "tvm/metal_program.h"

#include <unistd.h>

#include "base/sha256.h"

namespace se::metal {
namespace fs = std::filesystem;
namespace {

Id file_url(const fs::path &path) { return send(api().getClass("NSURL"), "fileURLWithPath:", string(path.string())); }

}  // namespace

Library::Library(Device &device, const GpuCodeParts &parts) : device_(device), sources_(parts.sources) {
  const Pool pool;
  open_archive(parts.cache_folder);
}

Owned Library::function(const std::string &name) {
  const auto source = sources_.find(name);
  Id error = nullptr;
  Owned library, found;
  if (source != sources_.end()) {
    library =
        Owned(send(device_.id(), "newLibraryWithSource:options:error:", string(source->second), Id{nullptr}, &error));
    if (library.get() == nullptr) {
      throw Error(
          SE_LOAD_FAILED,
          "Metal does not compile kernel " + ticked(name) + " for " + ticked(device_.name()) + ": " + reason(error),
          "open with the backend cpu, and report the system's version: " + device_.driver());
    }
    found = Owned(send(library.get(), "newFunctionWithName:", string(name)));
  }
  if (found.get() == nullptr) throw Error(SE_MODEL_CORRUPT, "the compiled model has no kernel " + ticked(name));
  return found;
}

void Library::open_archive(const fs::path &folder) {
  if (folder.empty()) return;
  std::string key = device_.name() + "\n" + device_.driver();
  for (const auto &[name, source] : sources_) key += "\n" + source;
  archive_path_ = folder / (sha256(key) + ".archive");
  std::error_code unused;
  fs::create_directories(folder, unused);
  const Owned descriptor(send(api().getClass("MTLBinaryArchiveDescriptor"), "new"));
  if (descriptor.get() == nullptr) return;  // macOS 10, iOS 13
  Id error = nullptr;
  const auto open = [&] {
    return Owned(send(device_.id(), "newBinaryArchiveWithDescriptor:error:", descriptor.get(), &error));
  };
  if (fs::exists(archive_path_, unused)) {
    send<void>(descriptor.get(), "setUrl:", file_url(archive_path_));
    archive_ = open();
    if (archive_.get() != nullptr) return;
    // Damaged, or from another system: make a new one.
    send<void>(descriptor.get(), "setUrl:", Id{nullptr});
  }
  archive_ = open();
}

void Library::keep_archive() {
  if (archive_.get() == nullptr) return;
  const fs::path beside = archive_path_.string() + "." + std::to_string(::getpid());
  Id error = nullptr;
  std::error_code failed;
  if (send<bool>(archive_.get(), "serializeToURL:error:", file_url(beside), &error)) {
    fs::rename(beside, archive_path_, failed);
  }
  if (failed || error != nullptr) fs::remove(beside, failed);
}

Id Library::pipeline(const std::string &name) {
  if (const auto found = pipelines_.find(name); found != pipelines_.end()) return found->second.get();
  const Owned compute = function(name);
  const Owned descriptor(send(api().getClass("MTLComputePipelineDescriptor"), "new"));
  send<void>(descriptor.get(), "setComputeFunction:", compute.get());
  Id error = nullptr;
  const auto make = [&](uint64_t options) {
    return Owned(send(device_.id(), "newComputePipelineStateWithDescriptor:options:reflection:error:", descriptor.get(),
                      options, Id{nullptr}, &error));
  };
  Owned made;
  if (archive_.get() != nullptr) {
    send<void>(descriptor.get(),
               "setBinaryArchives:", send(api().getClass("NSArray"), "arrayWithObject:", archive_.get()));
    made = make(kFailOnBinaryArchiveMiss);
  }
  if (made.get() == nullptr) {
    if (archive_.get() != nullptr &&
        send<bool>(archive_.get(), "addComputePipelineFunctionsWithDescriptor:error:", descriptor.get(), &error)) {
      keep_archive();
    }
    error = nullptr;
    made = make(0);
  }
  if (made.get() == nullptr) {
    throw Error(SE_LOAD_FAILED, "Metal does not compile kernel " + ticked(name) + ": " + reason(error),
                "open with the backend cpu");
  }
  return pipelines_.emplace(name, std::move(made)).first->second.get();
}

void Library::run(const std::string &name, const std::vector<GpuArgument> &arguments, const size_t *groups,
                  const size_t *threads) {
  const Pool pool;
  const std::lock_guard lock(mutex_);
  const Id ready = pipeline(name);
  const auto most = send<uint64_t>(ready, "maxTotalThreadsPerThreadgroup");
  if (const uint64_t asked = threads[0] * threads[1] * threads[2]; asked > most) {
    throw Error(SE_LOAD_FAILED, "kernel " + ticked(name) + " needs " + ticked(std::to_string(asked)) +
                                    " threads per group, and the GPU has at most " + ticked(std::to_string(most)));
  }
  device_.launch(ready, name, groups, threads, arguments);
}

}  // namespace se::metal

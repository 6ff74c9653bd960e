// The shared library of a compiled model, as static programs load it; its code is never run.
#include "target.h"
#include "tvm/elf_loader.h"

namespace {

const Target elf_target("elf",
                        [](const std::string &data) { se::ElfLibrary(file_with(data)).symbol("__tvm_ffi_prefill"); });

}  // namespace

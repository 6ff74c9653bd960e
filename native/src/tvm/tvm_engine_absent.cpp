// Stands in for the tvm engine in builds without TVM's headers (SE_TVM_DIR empty).
#include "base/status.h"
#include "tvm/tvm_engine.h"

namespace se {

void use_cache_folder(const std::string &) {}

std::unique_ptr<Engine> make_tvm_engine(const Bundle &, uint32_t, int, const TvmChoice &) {
  throw Error(SE_UNSUPPORTED, "this build of the runtime has no tvm engine", "package the model as GGUF");
}

}  // namespace se
